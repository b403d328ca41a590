//! Who finds a session: a public one everybody, a private one its host, those who had its code and
//! those who played. For everybody else it does not exist, and no route tells the difference.

use std::fmt::Display;
use std::time::Duration;

use gameserver_contract::ids::{MatchId, PlayerId, SessionId};
use gameserver_contract::session::SessionVisibility;
use subtle::ConstantTimeEq as _;

use crate::config::{ADMISSION_REMEMBERED, JOIN_CODE_TRIES_PER_MINUTE};
use crate::kit::cache::Key;
use crate::kit::db::DbError;
use crate::kit::rate::RatePolicy;
use crate::sessions::Sessions;
use crate::sessions::error::Error;
use crate::sessions::store::records::{Joinable, SessionRow};

/// Tries of the code of one session by one player.
const JOIN_CODE_TRIES: RatePolicy = RatePolicy {
    class: "code",
    per_minute: Some(JOIN_CODE_TRIES_PER_MINUTE),
};

impl Sessions {
    /// One session, when this player finds it.
    pub(crate) async fn session_for(
        &self,
        id: SessionId,
        player: PlayerId,
    ) -> Result<SessionRow, Error> {
        let row = self.session(id).await?;
        if self.finds(&row, player).await? {
            Ok(row)
        } else {
            Err(Error::NotFound)
        }
    }

    /// One session, when this player may join it. The host needs no code: they can read it anyway.
    /// Tries of codes count for sessions that do not exist as well.
    pub(crate) async fn session_to_join(
        &self,
        id: SessionId,
        player: PlayerId,
        code: Option<&str>,
    ) -> Result<Joinable, Error> {
        let now = self.kit.now();
        let found = self.store.session_for_join(id, player, now).await?;
        if let Some(found) = &found
            && is_open_to(&found.row, player)
        {
            return Ok(found.clone());
        }
        if code.is_some() {
            let who = [*id.0.as_bytes(), *player.0.as_bytes()].concat();
            self.kit.rates.spend(JOIN_CODE_TRIES, &who).await?;
        }
        let found = found.ok_or(Error::NotFound)?;
        if code.is_some_and(|code| fits(&found.row, code)) {
            self.remember_admission(id, player).await;
            return Ok(found);
        }
        if self.finds(&found.row, player).await? {
            return Err(Error::JoinCodeInvalid);
        }
        Err(Error::NotFound)
    }

    async fn finds(&self, row: &SessionRow, player: PlayerId) -> Result<bool, Error> {
        let session = &row.session;
        Ok(is_open_to(row, player)
            || self
                .store
                .seat_of(session.id, player, self.kit.now())
                .await?
                .is_some()
            || self
                .kit
                .cache
                .recall(&Admitted(session.id, player))
                .await?
                .is_some()
            || self.has_played(session.match_id, player).await?)
    }

    /// True when the match's result names this player.
    pub(crate) async fn has_played(&self, id: MatchId, player: PlayerId) -> Result<bool, DbError> {
        self.store.has_played(id, player).await
    }

    /// Spectators have no seat that would show that they had the code. Should the cache refuse it,
    /// they give the code again.
    async fn remember_admission(&self, session: SessionId, player: PlayerId) {
        let key = Admitted(session, player);
        if let Err(error) = self.kit.cache.remember(&key, &[]).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "an admission to a private session was not remembered"
            );
        }
    }
}

fn is_open_to(row: &SessionRow, player: PlayerId) -> bool {
    row.session.visibility == SessionVisibility::Public || row.session.host_player_id == player
}

fn fits(row: &SessionRow, given: &str) -> bool {
    let given = given.trim().to_ascii_uppercase();
    let expected = row.session.join_code.as_deref();
    expected.is_some_and(|expected| given.as_bytes().ct_eq(expected.as_bytes()).into())
}

/// That a player had the code of a private session.
struct Admitted(SessionId, PlayerId);

impl Key for Admitted {
    const PREFIX: &'static str = "admitted";
    const LIFETIME: Duration = ADMISSION_REMEMBERED;

    fn id(&self) -> impl Display {
        format!("{}:{}", self.0, self.1)
    }
}
