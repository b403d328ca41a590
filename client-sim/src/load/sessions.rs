//! The matches of a run: opened before anybody comes, ended when everybody has left.

use gameserver_contract::game::{GameDescriptor, GameMode};
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::CreateSession;

use super::config::{LoadConfig, LoadError};
use crate::lobby::{Lobby, LobbyError, LoggedIn};

/// Sessions that one guest opens: no more than the lobby lets one account have open.
const PER_HOST_MAX: usize = 8;
/// For so long a seat may be known as taken when its player has left.
const SEAT_LAG_S: u32 = 3;

/// What one guest opened.
#[derive(Debug)]
struct HostedSessions {
    host: LoggedIn,
    sessions: Vec<SessionId>,
}

/// All matches of a run.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    opened: Vec<HostedSessions>,
}

impl Sessions {
    /// Opens as many as wanted, by as many guests as that takes.
    pub(super) async fn open(
        config: &LoadConfig,
        game: &GameDescriptor,
        lobby: &Lobby,
    ) -> Result<Self, LoadError> {
        let request = request(config, game)?;
        let mut all = Self::default();
        for number in 1..=config.matches.max(1) {
            let request = CreateSession {
                name: Some(format!("Load {number}")),
                ..request.clone()
            };
            if let Err(error) = all.open_one(&request, lobby).await {
                all.end().await;
                return Err(error.into());
            }
        }
        Ok(all)
    }

    async fn open_one(&mut self, request: &CreateSession, lobby: &Lobby) -> Result<(), LobbyError> {
        let newest = self.opened.last();
        if newest.is_none_or(|opened| opened.sessions.len() >= PER_HOST_MAX) {
            let host = lobby.log_in_as_guest().await?;
            let sessions = Vec::new();
            self.opened.push(HostedSessions { host, sessions });
        }
        if let Some(HostedSessions { host, sessions }) = self.opened.last_mut() {
            sessions.push(host.create_session(request).await?.id);
        }
        Ok(())
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        let opened = self.opened.iter();
        opened
            .flat_map(|opened| &opened.sessions)
            .copied()
            .collect()
    }

    /// Ends them: a match that nobody plays would go on for a while.
    pub(super) async fn end(self) {
        for opened in self.opened {
            opened.end().await;
        }
    }
}

impl HostedSessions {
    async fn end(self) {
        for session in self.sessions {
            if let Err(error) = self.host.end_session(session).await {
                // A match that is over needs no end.
                tracing::debug!(
                    %session, error = &error as &dyn std::error::Error,
                    "session not ended"
                );
            }
        }
    }
}

/// What every one of them is like.
fn request(config: &LoadConfig, game: &GameDescriptor) -> Result<CreateSession, LoadError> {
    let mode = mode(config, game)?;
    if config.canaries > config.players {
        return Err(LoadError::TooManyCanaries {
            players: config.players,
            canaries: config.canaries,
        });
    }
    let matches = config.matches.max(1);
    let each = config.players.div_ceil(matches);
    let spare = (config.churn_per_s * SEAT_LAG_S).div_ceil(matches);
    let seats = u16::try_from(each + spare).unwrap_or(u16::MAX);
    if u32::from(mode.players_max) < each {
        return Err(LoadError::TooMany {
            players: config.players,
            matches: config.matches,
            each: mode.players_max,
        });
    }
    Ok(CreateSession {
        game: game.id.to_string(),
        mode: Some(mode.id.clone()),
        players_max: Some(seats.min(mode.players_max).max(mode.players_min)),
        ..CreateSession::default()
    })
}

fn mode<'a>(config: &LoadConfig, game: &'a GameDescriptor) -> Result<&'a GameMode, LoadError> {
    let mut modes = game.modes.iter();
    let found = match config.mode.as_deref() {
        Some(wanted) => modes.find(|mode| mode.id == wanted),
        None => modes.next(),
    };
    found.ok_or_else(|| LoadError::UnknownMode(config.mode.clone().unwrap_or_default()))
}
