//! Tells listeners what changes in the lobby, in every replica.
//!
//! Whoever changes a session publishes its id in the cache. Each replica hears the ids, reads the
//! records once for all of its listeners, and hands them on. Nothing waits for a slow listener: who
//! falls behind is told to begin anew, and so is everybody when a message may have been missed.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gameserver_contract::ids::{PlayerId, SessionId};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::compose::{App, SharedApp};
use crate::config::{
    CHANGES_QUEUED_MAX, LISTENER_LIFETIME, LISTENERS_MAX, LISTENERS_PER_PLAYER_MAX,
};
use crate::kit::cache::{Heard, Subscription};
use crate::kit::error::Error;
use crate::sessions::store::records::SessionRow;

/// What replicas tell each other on: ids of sessions, 16 bytes each.
pub(crate) const CHANNEL: &str = "sessions";
/// Ids in one message.
const IDS_PER_MESSAGE_MAX: usize = 256;
/// Ids that are read in one go; more wait for the next one.
const IDS_AT_ONCE_MAX: usize = 4_096;
/// Pause before the cache is asked again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(1);

/// A session as it is after a change.
#[derive(Debug)]
pub(crate) struct Change {
    /// Counts the changes that this replica told of.
    pub(crate) sequence: u64,
    pub(crate) row: SessionRow,
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub(crate) enum News {
    Changed(Arc<Change>),
    /// Something may have been missed: begin anew.
    Resync,
}

/// Everybody in this replica who listens.
#[derive(Debug)]
pub(crate) struct Changes {
    news: broadcast::Sender<News>,
    sequence: AtomicU64,
    listeners: Arc<Mutex<Listeners>>,
}

#[derive(Debug, Default)]
struct Listeners {
    count: usize,
    by_player: HashMap<PlayerId, usize>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(CHANGES_QUEUED_MAX),
            sequence: AtomicU64::new(0),
            listeners: Arc::default(),
        }
    }
}

/// One who listens, for at most [`LISTENER_LIFETIME`] and until this replica drains.
#[derive(Debug)]
pub(crate) struct Listener {
    news: broadcast::Receiver<News>,
    /// Changes told of before this listener came.
    pub(crate) sequence: u64,
    end: Pin<Box<tokio::time::Sleep>>,
    draining: CancellationToken,
    _place: Place,
}

/// A place among the listeners, free again when it is dropped.
#[derive(Debug)]
struct Place {
    listeners: Arc<Mutex<Listeners>>,
    player: PlayerId,
}

impl Listener {
    /// Waits for the next news; after [`News::Resync`] there is no more.
    pub(crate) async fn next(&mut self) -> News {
        tokio::select! {
            () = self.draining.cancelled() => News::Resync,
            () = &mut self.end => News::Resync,
            news = self.news.recv() => news.unwrap_or(News::Resync),
        }
    }
}

impl Place {
    fn take(listeners: &Arc<Mutex<Listeners>>, player: PlayerId) -> Option<Self> {
        let mut table = lock(listeners);
        let own = table.by_player.get(&player).copied().unwrap_or(0);
        if table.count >= LISTENERS_MAX || own >= LISTENERS_PER_PLAYER_MAX {
            return None;
        }
        table.count += 1;
        table.by_player.insert(player, own + 1);
        Some(Self {
            listeners: Arc::clone(listeners),
            player,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.listeners);
        table.count -= 1;
        let left = table.by_player.remove(&self.player).unwrap_or(1) - 1;
        if left > 0 {
            table.by_player.insert(self.player, left);
        }
    }
}

fn lock(listeners: &Mutex<Listeners>) -> std::sync::MutexGuard<'_, Listeners> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// Begins to listen. What is read from the store afterwards is never newer than what the
    /// listener will have heard of.
    pub(crate) fn listen(&self, player: PlayerId) -> Result<Listener, Error> {
        if self.is_draining() {
            return Err(Error::Draining);
        }
        let place = Place::take(&self.changes.listeners, player).ok_or(Error::TooManyListeners)?;
        Ok(Listener {
            news: self.changes.news.subscribe(),
            sequence: self.changes.sequence.load(Ordering::SeqCst),
            end: Box::pin(tokio::time::sleep(LISTENER_LIFETIME)),
            draining: self.draining.clone(),
            _place: place,
        })
    }

    /// Says that these sessions are not as they were. It never fails a call that has done its
    /// work: a message that is lost with the cache is made good by the resync that follows.
    pub(crate) async fn tell_changed(&self, sessions: &[SessionId]) {
        for some in sessions.chunks(IDS_PER_MESSAGE_MAX) {
            let message: Vec<u8> = some.iter().flat_map(|id| *id.0.as_bytes()).collect();
            if let Err(error) = self.cache.publish(CHANNEL, &message).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "listeners were not told of a change"
                );
                return;
            }
        }
    }

    /// Reads sessions that have changed and hands them to the listeners.
    async fn show_changed(&self, sessions: &BTreeSet<SessionId>) -> Result<(), Error> {
        if self.changes.news.receiver_count() == 0 {
            return Ok(());
        }
        for id in sessions {
            if let Some(row) = self.store.session(*id, self.now()).await? {
                let sequence = self.changes.sequence.fetch_add(1, Ordering::SeqCst) + 1;
                let change = News::Changed(Arc::new(Change { sequence, row }));
                // An error says that nobody listens any more.
                let _ = self.changes.news.send(change);
            }
        }
        Ok(())
    }

    fn tell_to_begin_anew(&self) {
        let _ = self.changes.news.send(News::Resync);
    }
}

/// Listens to the other replicas until the token is cancelled.
pub(crate) async fn run(app: SharedApp, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = hear_replicas(&app) => {}
    }
}

async fn hear_replicas(app: &SharedApp) {
    loop {
        match app.cache.subscribe(CHANNEL).await {
            Ok(subscription) => {
                app.tell_to_begin_anew();
                pass_on(app, subscription).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to listen for changes"
                );
                tokio::time::sleep(SUBSCRIBE_AGAIN).await;
            }
        }
    }
}

/// Hands on what is heard there; ends with its task only.
pub(crate) async fn pass_on(app: &SharedApp, mut subscription: Subscription) {
    loop {
        let mut changed = BTreeSet::new();
        let mut heard = Some(subscription.next().await);
        // Under load one look at a session stands for several of its changes.
        while let Some(one) = heard.take() {
            match one {
                Heard::Message(message) => changed.extend(ids(&message)),
                Heard::Gap => app.tell_to_begin_anew(),
            }
            if changed.len() < IDS_AT_ONCE_MAX {
                heard = subscription.next_waiting();
            }
        }
        let reader = Arc::clone(app);
        let shown = app
            .run_to_end(async move { reader.show_changed(&changed).await })
            .await;
        if let Err(error) = shown {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to read a changed session"
            );
            app.tell_to_begin_anew();
        }
    }
}

fn ids(message: &[u8]) -> impl Iterator<Item = SessionId> {
    let (ids, _) = message.as_chunks::<16>();
    ids.iter().map(|bytes| SessionId(Uuid::from_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(number: u128) -> PlayerId {
        PlayerId(Uuid::from_u128(number))
    }

    #[test]
    fn places_are_limited_for_each_player_and_come_back() {
        let listeners = Arc::default();
        let mut held: Vec<_> = (0..LISTENERS_PER_PLAYER_MAX)
            .map(|_| Place::take(&listeners, player(1)).unwrap())
            .collect();
        assert!(Place::take(&listeners, player(1)).is_none());
        assert!(Place::take(&listeners, player(2)).is_some());
        held.pop();
        held.push(Place::take(&listeners, player(1)).unwrap());
        drop(held);
        let table = listeners.lock().unwrap();
        assert_eq!((table.count, table.by_player.len()), (0, 0));
    }

    #[test]
    fn places_are_limited_for_all_players_together() {
        let listeners = Arc::default();
        let held: Vec<_> = (0..LISTENERS_MAX)
            .map(|number| Place::take(&listeners, player(number as u128)).unwrap())
            .collect();
        assert!(Place::take(&listeners, player(u128::MAX)).is_none());
        drop(held);
        assert!(Place::take(&listeners, player(u128::MAX)).is_some());
    }
}
