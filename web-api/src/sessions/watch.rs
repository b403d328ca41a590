//! What a listener of the lobby receives, in order: first how things stand, then what changes.
//!
//! It knows no wire format; an API of the service writes it down.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gameserver_contract::ids::{PlayerId, SessionId};
use gameserver_contract::session::{SessionState, SessionVisibility};

use crate::config::{SESSIONS_FOLLOWED_MAX, SNAPSHOT_SESSIONS_MAX};
use crate::kit::cursor::After;
use crate::kit::topic::{Change, Listener, News};
use crate::sessions::Sessions;
use crate::sessions::error::Error;
use crate::sessions::store::records::{SessionFilter, SessionRow};

/// One event, with its number.
#[derive(Debug)]
pub(crate) enum LobbyEvent {
    /// The list as it is now.
    Snapshot(u64, Vec<SessionRow>),
    /// A session is new or not as it was.
    Session(u64, Arc<Change<SessionRow>>),
    /// A session is not part of this list any more.
    Removed(u64, SessionId),
    /// Something may have been missed; nothing follows.
    Resync(u64),
}

/// Follows the list of public sessions, or one session.
#[derive(Debug)]
pub(crate) struct SessionSubscription {
    listener: Listener<SessionRow>,
    /// `None`: all public ones.
    only: Option<SessionId>,
    /// The sessions that were sent, with the version sent last.
    known: HashMap<SessionId, i64>,
    sequence: u64,
    waiting: VecDeque<LobbyEvent>,
    is_over: bool,
}

impl Sessions {
    /// Follows the public sessions, the newest [`SNAPSHOT_SESSIONS_MAX`] of them from the start and
    /// older ones from their next change on.
    pub(crate) async fn watch_sessions(
        &self,
        player: PlayerId,
    ) -> Result<SessionSubscription, Error> {
        let mut watch = SessionSubscription::new(self.topic.listen(player)?, None);
        let rows = self.newest_sessions().await?;
        let known = rows.iter().map(|row| (row.session.id, row.version));
        watch.known.extend(known);
        let snapshot = LobbyEvent::Snapshot(watch.sequence, rows);
        watch.waiting.push_back(snapshot);
        Ok(watch)
    }

    /// Follows one session to its end.
    pub(crate) async fn watch_session(
        &self,
        id: SessionId,
        player: PlayerId,
    ) -> Result<SessionSubscription, Error> {
        let mut watch = SessionSubscription::new(self.topic.listen(player)?, Some(id));
        let row = self.session_for(id, player).await?;
        let sequence = watch.sequence;
        watch.take(Arc::new(Change {
            sequence,
            record: row,
        }));
        Ok(watch)
    }

    async fn newest_sessions(&self) -> Result<Vec<SessionRow>, Error> {
        let filter = SessionFilter::default();
        let mut rows: Vec<SessionRow> = Vec::new();
        loop {
            let after = rows.last().map(|row| After {
                at: row.session.created_at,
                id: row.session.id.0,
            });
            let wanted = SNAPSHOT_SESSIONS_MAX - u16::try_from(rows.len()).unwrap_or(u16::MAX);
            let limit = wanted.min(crate::config::PAGE_MAX);
            let page = self
                .store
                .list_sessions(&filter, after, limit, self.kit.now())
                .await?;
            let is_last = page.len() < usize::from(limit);
            rows.extend(page);
            if is_last || rows.len() >= usize::from(SNAPSHOT_SESSIONS_MAX) {
                return Ok(rows);
            }
        }
    }
}

impl SessionSubscription {
    fn new(listener: Listener<SessionRow>, only: Option<SessionId>) -> Self {
        Self {
            sequence: listener.sequence,
            listener,
            only,
            known: HashMap::new(),
            waiting: VecDeque::new(),
            is_over: false,
        }
    }

    /// What comes next; `None` when that was all.
    pub(crate) async fn next(&mut self) -> Option<LobbyEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            match self.listener.next().await {
                News::Changed(change) => self.take(change),
                News::Resync => self.give_up(),
            }
        }
    }

    fn take(&mut self, change: Arc<Change<SessionRow>>) {
        let session = &change.record.session;
        let (id, version) = (session.id, change.record.version);
        let concerns = match self.only {
            Some(only) => only == id,
            None => session.visibility == SessionVisibility::Public,
        };
        // A change from before the snapshot may be heard after it.
        let is_old = self.known.get(&id).is_some_and(|known| *known >= version);
        if !concerns || is_old {
            return;
        }
        let was_known = self.known.insert(id, version).is_some();
        let sequence = self.sequence.max(change.sequence);
        self.sequence = sequence;
        if is_listed(session.state) {
            self.waiting
                .push_back(LobbyEvent::Session(sequence, change));
            if self.known.len() > SESSIONS_FOLLOWED_MAX {
                self.give_up();
            }
            return;
        }
        self.known.remove(&id);
        if was_known || self.only.is_some() {
            self.waiting
                .push_back(LobbyEvent::Session(sequence, change));
            self.waiting.push_back(LobbyEvent::Removed(sequence, id));
        }
        self.is_over = self.only.is_some();
    }

    fn give_up(&mut self) {
        self.waiting.push_back(LobbyEvent::Resync(self.sequence));
        self.is_over = true;
    }
}

fn is_listed(state: SessionState) -> bool {
    !state.is_final()
}
