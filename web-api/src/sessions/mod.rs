//! The lobby: sessions are found, left and ended. [`opening`] opens them.

pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod events_api;
pub(crate) mod hosting;
pub(crate) mod job;
pub(crate) mod join;
pub(crate) mod opening;
pub(crate) mod spectators;
pub(crate) mod store;
pub(crate) mod visibility;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use gameserver_contract::ids::{MatchId, PlayerId, SessionId};
use gameserver_contract::session::{Page, Session, SessionState};
use gameserver_contract::ticket::TicketSigner;
use gameserver_control::{KickPlayerRequest, StopMatchRequest};
use uuid::Uuid;

use self::store::SessionsStore;
use crate::config::{OpenSessionLimits, WebApiConfig};
use crate::fleet::{Fleet, InstanceRecord};
use crate::kit::Kit;
use crate::kit::cursor::{After, Paging};
use crate::kit::db::DbError;
use crate::kit::rate::RatePolicy;
use crate::kit::topic::{Source, Topic};
use crate::sessions::error::Error;
use crate::sessions::store::records::{SessionFilter, SessionRow};

/// The lobby: sessions, their seats, and whoever follows them.
#[derive(Debug)]
pub(crate) struct Sessions {
    kit: Kit,
    store: SessionsStore,
    fleet: Arc<Fleet>,
    tickets: TicketSigner,
    limits: OpenSessionLimits,
    opening_rate: RatePolicy,
    /// Pushes sessions that have changed.
    pub(crate) topic: Topic<SessionRow>,
}

impl Sessions {
    /// Opens sessions on the instances of this fleet.
    pub(crate) fn new(kit: &Kit, config: &WebApiConfig, fleet: Arc<Fleet>) -> Self {
        Self {
            kit: kit.clone(),
            store: SessionsStore(kit.db.clone()),
            fleet,
            tickets: TicketSigner::from_seed(config.keys.ticket.bytes()),
            limits: config.open_sessions,
            opening_rate: RatePolicy {
                class: "session",
                per_minute: config.rate_limits.sessions_per_player,
            },
            topic: Topic::new(kit, "sessions"),
        }
    }

    /// Publishes that these sessions are not as they were.
    pub(crate) async fn announce(&self, sessions: &[SessionId]) {
        self.topic.publish(sessions.iter().map(|id| id.0)).await;
    }

    /// The key that instances verify tickets with.
    pub(crate) fn ticket_key(&self) -> [u8; 32] {
        self.tickets.public_key()
    }

    /// The session that a match runs.
    pub(crate) async fn of_match(&self, id: MatchId) -> Result<Option<SessionRow>, DbError> {
        self.store.session_of_match(id, self.kit.now()).await
    }

    /// Deletes holds that have ended; returns how many.
    pub(crate) async fn sweep(&self) -> Result<u64, DbError> {
        let swept = self.store.sweep_holds(self.kit.now()).await?;
        self.announce(&swept.sessions).await;
        Ok(swept.rows)
    }

    /// Public sessions, newest first.
    pub(crate) async fn list_sessions(
        &self,
        filter: &SessionFilter,
        paging: &Paging,
    ) -> Result<Page<SessionRow>, Error> {
        let list = list_name(filter);
        let after = self.kit.cursors.read(&list, paging)?;
        let limit = paging.limit + 1;
        let rows = self
            .store
            .list_sessions(filter, after, limit, self.kit.now())
            .await?;
        let position = |row: &SessionRow| After {
            at: row.session.created_at,
            id: row.session.id.0,
        };
        Ok(self.kit.cursors.page(&list, paging, rows, position))
    }

    /// One session.
    pub(crate) async fn session(&self, id: SessionId) -> Result<SessionRow, Error> {
        self.store
            .session(id, self.kit.now())
            .await?
            .ok_or(Error::NotFound)
    }

    /// Gives a player's seat back and closes their connection. Leaving twice is leaving once.
    pub(crate) async fn leave_session(&self, id: SessionId, player: PlayerId) -> Result<(), Error> {
        let row = self.session_for(id, player).await?;
        // The connection goes first: a free seat that somebody still sits on could be given away.
        if !row.session.state.is_final() {
            self.kick(&row, player, "left").await?;
        }
        if self.store.release_seat(id, player, self.kit.now()).await? {
            self.announce(&[id]).await;
        }
        Ok(())
    }

    async fn kick(&self, row: &SessionRow, player: PlayerId, reason: &str) -> Result<(), Error> {
        let Some(instance) = self.instance_of(row).await? else {
            return Ok(());
        };
        let request = KickPlayerRequest {
            match_id: row.session.match_id.to_string(),
            player_id: player.to_string(),
            reason: reason.to_owned(),
        };
        if let Err(cause) = self.fleet.control.kick_player(&instance, request).await {
            // The seat returns with the next heartbeat after the instance lets the player go.
            tracing::warn!(
                instance.id = %instance.id, session.id = %row.session.id,
                error = &cause as &dyn std::error::Error,
                "an instance did not close a connection"
            );
        }
        Ok(())
    }

    /// Ends a session for everybody; only its host may. The session is `ended` once the instance
    /// has handed in the (aborted) result.
    pub(crate) async fn end_session(
        &self,
        id: SessionId,
        player: PlayerId,
    ) -> Result<SessionRow, Error> {
        let row = self.session_for(id, player).await?;
        if row.session.host_player_id != player {
            return Err(Error::NotHost);
        }
        let ending = match self
            .store
            .transition(id, SessionState::Ending, self.kit.now())
            .await?
        {
            Some(Ok(row)) => row,
            Some(Err(state)) => return Err(Error::IllegalTransition(state)),
            None => return Err(Error::NotFound),
        };
        self.announce(&[id]).await;
        match self.stop_match(&ending).await? {
            Stopped::ResultFollows => Ok(ending),
            Stopped::NotHosted => self.settle(ending, SessionState::Ended).await,
            Stopped::InstanceLost => self.settle(ending, SessionState::Failed).await,
        }
    }

    /// Should the call be lost, the answer to the next heartbeat says it again, because the session
    /// is `ending`.
    async fn stop_match(&self, row: &SessionRow) -> Result<Stopped, Error> {
        let Some(instance) = self.instance_of(row).await? else {
            return Ok(Stopped::InstanceLost);
        };
        let request = StopMatchRequest {
            match_id: row.session.match_id.to_string(),
            reason: "ended by the host".to_owned(),
        };
        match self.fleet.control.stop_match(&instance, request).await {
            Ok(answer) if answer.stopped => Ok(Stopped::ResultFollows),
            Ok(_) => Ok(Stopped::NotHosted),
            Err(cause) => {
                tracing::warn!(
                    instance.id = %instance.id, session.id = %row.session.id,
                    error = &cause as &dyn std::error::Error,
                    "an instance did not stop a match; its next heartbeat will ask again"
                );
                Ok(Stopped::ResultFollows)
            }
        }
    }

    /// Moves a session on; when somebody else did so before, shows what it has become.
    async fn settle(&self, row: SessionRow, state: SessionState) -> Result<SessionRow, Error> {
        match self
            .store
            .transition(row.session.id, state, self.kit.now())
            .await?
        {
            Some(Ok(row)) => {
                self.announce(&[row.session.id]).await;
                Ok(row)
            }
            _ => self.session(row.session.id).await,
        }
    }

    /// The run of the instance that hosts a session, by what the instance reported here a moment
    /// ago, or else by the registry. A ticket for a run that has ended since is refused.
    async fn instance_of_lately(&self, row: &SessionRow) -> Result<Option<InstanceRecord>, Error> {
        match self.fleet.heard_lately(row.instance) {
            Some(instance) if instance.epoch == row.epoch => Ok(Some(instance)),
            Some(_) | None => self.instance_of(row).await,
        }
    }

    /// The run of the instance that hosts a session, while its lease lives.
    pub(crate) async fn instance_of(
        &self,
        row: &SessionRow,
    ) -> Result<Option<InstanceRecord>, Error> {
        let instance = self.fleet.instance(row.instance).await?;
        Ok(instance.filter(|instance| instance.epoch == row.epoch))
    }
}

impl Source<SessionRow> for Sessions {
    async fn read(&self, id: Uuid) -> Result<Option<SessionRow>, DbError> {
        self.store.session(SessionId(id), self.kit.now()).await
    }
}

/// What asking an instance to stop a match came to.
enum Stopped {
    ResultFollows,
    NotHosted,
    InstanceLost,
}

/// A session as this player may see it: the join code is the host's.
pub(crate) fn visible_to(player: PlayerId, row: SessionRow) -> Session {
    let mut session = row.session;
    if session.host_player_id != player {
        session.join_code = None;
    }
    session
}

/// The list's name for its cursors. Debug quotes texts, so that no filter looks like another.
fn list_name(filter: &SessionFilter) -> String {
    let mut name = "sessions".to_owned();
    let _ = write!(
        name,
        "{:?}{:?}{:?}{:?}{:?}{:?}",
        filter.game, filter.mode, filter.region, filter.state, filter.free_slots_min, filter.tag
    );
    name
}
