//! Pushes what changes to listeners, in every replica.
//!
//! Whoever changes a record publishes its id in the cache. Each replica receives the ids, reads the
//! records once for all of its listeners, and hands them on. Nothing waits for a slow listener: one
//! that falls behind must begin anew, and so must everybody when a message may have been missed.
//!
//! It does not know what the records are, or who may see them.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gameserver_contract::ids::PlayerId;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{
    CHANGES_QUEUED_MAX, LISTENER_LIFETIME, LISTENERS_MAX, LISTENERS_PER_PLAYER_MAX,
};
use crate::kit::Kit;
use crate::kit::cache::{Heard, Subscription};
use crate::kit::db::DbError;
use crate::kit::error::KitError;

/// Ids in one message, 16 bytes each.
const IDS_PER_MESSAGE_MAX: usize = 256;
/// Ids that are read in one go; more wait for the next one.
const IDS_AT_ONCE_MAX: usize = 4_096;
/// Pause before the cache is asked again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(1);

/// A record as it is after a change.
#[derive(Debug)]
pub(crate) struct Change<T> {
    /// Counts the changes that this replica handed on.
    pub(crate) sequence: u64,
    pub(crate) record: T,
}

/// What a listener receives.
#[derive(Debug)]
pub(crate) enum News<T> {
    Changed(Arc<Change<T>>),
    /// Something may have been missed: begin anew.
    Resync,
}

impl<T> Clone for News<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Changed(change) => Self::Changed(Arc::clone(change)),
            Self::Resync => Self::Resync,
        }
    }
}

/// Where a topic's records are read.
pub(crate) trait Source<T>: Send + Sync + 'static {
    /// The record of this id, if there is one.
    fn read(&self, id: Uuid) -> impl Future<Output = Result<Option<T>, DbError>> + Send;
}

/// Records of one kind and everybody in this replica who follows their changes.
#[derive(Debug)]
pub(crate) struct Topic<T> {
    kit: Kit,
    channel: &'static str,
    news: broadcast::Sender<News<T>>,
    sequence: AtomicU64,
    listeners: Arc<Mutex<Listeners>>,
}

#[derive(Debug, Default)]
struct Listeners {
    count: usize,
    by_player: HashMap<PlayerId, usize>,
}

/// One listener, for at most [`LISTENER_LIFETIME`] and until this replica drains.
#[derive(Debug)]
pub(crate) struct Listener<T> {
    news: broadcast::Receiver<News<T>>,
    /// Changes that were handed on before this listener came.
    pub(crate) sequence: u64,
    end: Pin<Box<tokio::time::Sleep>>,
    draining: CancellationToken,
    _permit: ListenerPermit,
}

/// The right to listen, free again when it is dropped.
#[derive(Debug)]
struct ListenerPermit {
    listeners: Arc<Mutex<Listeners>>,
    player: PlayerId,
}

impl<T: Send + Sync + 'static> Listener<T> {
    /// Waits for the next news; after [`News::Resync`] there is no more.
    pub(crate) async fn next(&mut self) -> News<T> {
        tokio::select! {
            () = self.draining.cancelled() => News::Resync,
            () = &mut self.end => News::Resync,
            news = self.news.recv() => news.unwrap_or(News::Resync),
        }
    }
}

impl ListenerPermit {
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

impl Drop for ListenerPermit {
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

impl<T: Send + Sync + 'static> Topic<T> {
    /// A topic whose ids travel between replicas on this channel, which no other topic uses.
    pub(crate) fn new(kit: &Kit, channel: &'static str) -> Self {
        Self {
            kit: kit.clone(),
            channel,
            news: broadcast::Sender::new(CHANGES_QUEUED_MAX),
            sequence: AtomicU64::new(0),
            listeners: Arc::default(),
        }
    }

    /// Begins to listen. What is read from the database afterwards is never newer than what the
    /// listener will have received.
    pub(crate) fn listen(&self, player: PlayerId) -> Result<Listener<T>, KitError> {
        if self.kit.tasks.is_draining() {
            return Err(KitError::Draining);
        }
        let permit =
            ListenerPermit::take(&self.listeners, player).ok_or(KitError::TooManyListeners)?;
        Ok(Listener {
            news: self.news.subscribe(),
            sequence: self.sequence.load(Ordering::SeqCst),
            end: Box::pin(tokio::time::sleep(LISTENER_LIFETIME)),
            draining: self.kit.tasks.draining(),
            _permit: permit,
        })
    }

    /// Publishes that these records are not as they were. It never fails a call that has done its
    /// work: a message that is lost with the cache is made good by the resync that follows.
    pub(crate) async fn publish(&self, ids: impl Iterator<Item = Uuid>) {
        let ids: Vec<Uuid> = ids.collect();
        for some in ids.chunks(IDS_PER_MESSAGE_MAX) {
            let message: Vec<u8> = some.iter().flat_map(|id| *id.as_bytes()).collect();
            if let Err(error) = self.kit.cache.publish(self.channel, &message).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    topic = self.channel,
                    "a change was not published"
                );
                return;
            }
        }
    }

    /// Follows the other replicas and hands on what they publish, until the token is cancelled.
    pub(crate) async fn run(&self, source: Arc<impl Source<T>>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(&source) => {}
        }
    }

    async fn follow(&self, source: &Arc<impl Source<T>>) {
        loop {
            match self.subscribe().await {
                Ok(subscription) => {
                    self.resync();
                    self.pass_on(source, subscription).await;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        topic = self.channel,
                        "failed to subscribe to a topic"
                    );
                    tokio::time::sleep(SUBSCRIBE_AGAIN).await;
                }
            }
        }
    }

    /// Receives what replicas publish from now on.
    pub(crate) async fn subscribe(&self) -> Result<Subscription, KitError> {
        Ok(self.kit.cache.subscribe(self.channel).await?)
    }

    /// Hands on what is published there; ends with its task only.
    pub(crate) async fn pass_on(
        &self,
        source: &Arc<impl Source<T>>,
        mut subscription: Subscription,
    ) {
        loop {
            let changed = self.collect(&mut subscription).await;
            if let Err(error) = self.show(source, changed).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    topic = self.channel,
                    "failed to read a changed record"
                );
                self.resync();
            }
        }
    }

    /// Waits for changes and takes what else is there: under load one read of a record stands for
    /// several of its changes.
    async fn collect(&self, subscription: &mut Subscription) -> BTreeSet<Uuid> {
        let mut changed = BTreeSet::new();
        let mut next = Some(subscription.next().await);
        while let Some(received) = next.take() {
            match received {
                Heard::Message(message) => changed.extend(ids(&message)),
                Heard::Gap => self.resync(),
            }
            if changed.len() < IDS_AT_ONCE_MAX {
                next = subscription.next_waiting();
            }
        }
        changed
    }

    /// Reads records that have changed and hands them to the listeners.
    async fn show(
        &self,
        source: &Arc<impl Source<T>>,
        changed: BTreeSet<Uuid>,
    ) -> Result<(), DbError> {
        for id in changed {
            if self.news.receiver_count() == 0 {
                return Ok(());
            }
            let reader = Arc::clone(source);
            let read = async move { reader.read(id).await };
            if let Some(record) = self.kit.tasks.run_to_end(read).await? {
                let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
                let change = News::Changed(Arc::new(Change { sequence, record }));
                // An error says that nobody listens any more.
                let _ = self.news.send(change);
            }
        }
        Ok(())
    }

    fn resync(&self) {
        let _ = self.news.send(News::Resync);
    }
}

fn ids(message: &[u8]) -> impl Iterator<Item = Uuid> {
    let (ids, _) = message.as_chunks::<16>();
    ids.iter().map(|bytes| Uuid::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(number: u128) -> PlayerId {
        PlayerId(Uuid::from_u128(number))
    }

    #[test]
    fn listeners_are_limited_for_each_player_and_come_back() {
        let listeners = Arc::default();
        let mut held: Vec<_> = (0..LISTENERS_PER_PLAYER_MAX)
            .map(|_| ListenerPermit::take(&listeners, player(1)).unwrap())
            .collect();
        assert!(ListenerPermit::take(&listeners, player(1)).is_none());
        assert!(ListenerPermit::take(&listeners, player(2)).is_some());
        held.pop();
        held.push(ListenerPermit::take(&listeners, player(1)).unwrap());
        drop(held);
        let table = listeners.lock().unwrap();
        assert_eq!((table.count, table.by_player.len()), (0, 0));
    }

    #[test]
    fn listeners_are_limited_for_all_players_together() {
        let listeners = Arc::default();
        let held: Vec<_> = (0..LISTENERS_MAX)
            .map(|number| ListenerPermit::take(&listeners, player(number as u128)).unwrap())
            .collect();
        assert!(ListenerPermit::take(&listeners, player(u128::MAX)).is_none());
        drop(held);
        assert!(ListenerPermit::take(&listeners, player(u128::MAX)).is_some());
    }
}
