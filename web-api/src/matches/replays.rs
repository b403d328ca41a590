//! Replays: the log of a match that is over, read from the instance that hosted it.
//!
//! It knows no format: a log is bytes. Logs stay where they were written; when that instance is
//! gone, so are they.

use gameserver_contract::ids::{MatchId, PlayerId, SessionId};
use gameserver_contract::session::{Session, SessionVisibility};
use gameserver_control::{REPLAY_BYTES_MAX, ReadReplayRequest, ReadReplayResponse};

use crate::fleet::InstanceRecord;
use crate::fleet::error::Error as FleetError;
use crate::matches::Matches;
use crate::matches::error::Error;
use crate::sessions::error::Error as SessionError;
use crate::sessions::spectators;
use crate::sessions::store::records::SessionRow;

/// A log that can be read.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    instance: InstanceRecord,
    pub(crate) match_id: MatchId,
    /// Length in bytes.
    pub(crate) total: u64,
    /// False when the match or its instance broke before its end.
    pub(crate) is_complete: bool,
}

impl Matches {
    /// Finds the log of a session's match. While the match runs there is none for anybody: it
    /// would show what the session's spectators must not see yet. Its host and those who played
    /// have it as soon as it is over; others when the session is public, and not before its
    /// spectators may see so much.
    pub(crate) async fn find_replay(
        &self,
        id: SessionId,
        player: PlayerId,
    ) -> Result<Replay, Error> {
        let row = self.sessions.session_for(id, player).await?;
        let session = &row.session;
        let is_over = session.state.is_final();
        let for_anybody = match session.visibility {
            SessionVisibility::Private => Err(Error::ReplayNotFound),
            SessionVisibility::Public if is_over => self.is_shown(session),
            SessionVisibility::Public => Ok(()),
        };
        if let Err(refusal) = for_anybody
            && !self.took_part(&row, player).await?
        {
            return Err(refusal);
        }
        if !is_over {
            return Err(Error::ReplayNotReady(session.state, None));
        }
        // A later run of the instance still has the files of the run that hosted the match.
        let instance = self.fleet.instance(row.instance).await?;
        let instance = instance.ok_or(SessionError::InstanceLost)?;
        let match_id = session.match_id;
        let answer = self.ask(&instance, match_id, 0, 0).await?;
        Ok(Replay {
            instance,
            match_id,
            total: answer.total,
            is_complete: answer.complete,
        })
    }

    /// Reads a piece of a log, at most `length_max` bytes of it and never none.
    pub(crate) async fn read_replay(
        &self,
        replay: &Replay,
        offset: u64,
        length_max: u64,
    ) -> Result<Vec<u8>, Error> {
        let length_max = u32::try_from(length_max).unwrap_or(u32::MAX);
        let piece = self.ask(
            &replay.instance,
            replay.match_id,
            offset,
            length_max.min(REPLAY_BYTES_MAX),
        );
        let mut bytes = piece.await?.bytes;
        bytes.truncate(usize::try_from(length_max).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            // The log is shorter than it was: it was deleted and is being written anew, or worse.
            return Err(Error::ReplayNotFound);
        }
        Ok(bytes)
    }

    /// Whether everybody may see the log of this session, which is over.
    fn is_shown(&self, session: &Session) -> Result<(), Error> {
        let shown_from = spectators::replay_shown_from(session)?;
        match (shown_from - self.kit.now()).to_std() {
            Ok(wait) if !wait.is_zero() => Err(Error::ReplayNotReady(session.state, Some(wait))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn took_part(&self, row: &SessionRow, player: PlayerId) -> Result<bool, Error> {
        let session = &row.session;
        Ok(session.host_player_id == player
            || self.sessions.has_played(session.match_id, player).await?)
    }

    async fn ask(
        &self,
        instance: &InstanceRecord,
        match_id: MatchId,
        offset: u64,
        length_max: u32,
    ) -> Result<ReadReplayResponse, Error> {
        let request = ReadReplayRequest {
            match_id: match_id.to_string(),
            offset,
            length_max,
        };
        let answer = self.fleet.control.read_replay(instance, request).await;
        let answer = answer.map_err(FleetError::Unavailable)?;
        if answer.found {
            Ok(answer)
        } else {
            Err(Error::ReplayNotFound)
        }
    }
}
