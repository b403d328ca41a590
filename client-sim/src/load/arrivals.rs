//! The way in: logs bots in, gives them seats, connects them, as fast as the ramp says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameserver_contract::ids::{Seat, SessionId};
use gameserver_contract::session::{JoinAnswer, JoinSession, Role};
use gameserver_transport::connect::{ConnectError, ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::places::{Kind, Place};
use crate::lobby::{Lobby, LobbyError};

/// Logins, joins and handshakes at once.
const AT_ONCE_MAX: usize = 64;
/// What bots call themselves towards the server.
const BUILD: &str = concat!("gameserver-load/", env!("CARGO_PKG_VERSION"));

/// Who comes, and how fast.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    pub(super) lobby: Lobby,
    pub(super) sessions: Vec<SessionId>,
    /// One for each player.
    pub(super) players: Arc<[Place]>,
    /// Who come after them, and watch.
    pub(super) spectators: u32,
    pub(super) ramp: Duration,
    pub(super) options: ConnectOptions,
    /// What native players say that their game is.
    pub(super) fingerprint: u64,
}

/// A bot's way in, to whatever end.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It was let in.
    Entered {
        connection: Connection,
        /// None for those who watch.
        seat: Option<Seat>,
        /// Which of the sessions.
        session: usize,
        /// Which of the bots.
        index: u32,
        /// From asking for a seat to the Welcome.
        after: Duration,
    },
    /// A canary has a seat; it connects by itself.
    Canary {
        join: JoinAnswer,
        /// Which of the sessions.
        session: usize,
        /// Which of the bots.
        index: u32,
    },
    /// It was not.
    Refused { why: String },
}

/// Sends everybody on their way, spread over the ramp. The receiver ends when all have arrived.
pub(super) fn begin(crowd: Crowd, stop: CancellationToken) -> mpsc::Receiver<Arrival> {
    let (told, arrivals) = mpsc::channel(AT_ONCE_MAX);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let players = u32::try_from(crowd.players.len()).unwrap_or(u32::MAX);
        let everybody = players.saturating_add(crowd.spectators);
        let gap = crowd.ramp / everybody.max(1);
        let began = Instant::now();
        for index in 0..everybody {
            let due = began + gap * index;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (crowd, told) = (crowd.clone(), told.clone());
            tokio::spawn(async move {
                let arrival = arrive(&crowd, index).await;
                drop(permit);
                // Nobody listens any more when the run was stopped.
                let _ = told.send(arrival).await;
            });
        }
    });
    arrivals
}

async fn arrive(crowd: &Crowd, index: u32) -> Arrival {
    let place = crowd.players.get(index as usize).copied();
    let role = place.map_or(Role::Spectator, |_| Role::Player);
    let place = place.unwrap_or(Place {
        session: index as usize % crowd.sessions.len().max(1),
        kind: Kind::Thin,
    });
    let session = place.session;
    let began = Instant::now();
    let arrived = async {
        let join = join(crowd, session, role).await?;
        if place.kind == Kind::Canary {
            return Ok(Arrival::Canary {
                join,
                session,
                index,
            });
        }
        let (connection, seat) = enter(crowd, join, place.kind).await?;
        Ok(Arrival::Entered {
            connection,
            seat,
            session,
            index,
            after: began.elapsed(),
        })
    };
    arrived.await.unwrap_or_else(|why| Arrival::Refused { why })
}

async fn join(crowd: &Crowd, session: usize, role: Role) -> Result<JoinAnswer, String> {
    let name = |error: LobbyError| match error {
        LobbyError::Refused(problem) => problem.code,
        LobbyError::Unreachable { .. } | LobbyError::Unexpected(_) => error.to_string(),
    };
    let player = crowd.lobby.log_in_as_guest().await.map_err(name)?;
    let id = crowd.sessions[session];
    let wish = JoinSession {
        role,
        ..JoinSession::default()
    };
    player.join(id, &wish).await.map_err(name)
}

async fn enter(
    crowd: &Crowd,
    join: JoinAnswer,
    kind: Kind,
) -> Result<(Connection, Option<Seat>), String> {
    let ticket = Credential::Ticket(join.ticket);
    let hello = match kind {
        Kind::Thin => Hello::new(Mode::Thin, ticket, BUILD),
        Kind::Native | Kind::Canary => {
            Hello::new(Mode::Native, ticket, BUILD).with_fingerprint(crowd.fingerprint)
        }
    };
    let connected = connect(&join.transports, hello, crowd.options.clone()).await;
    let connected = connected.map_err(|error| {
        if let ConnectError::Refused(refused) = &error {
            refused.code.to_string()
        } else {
            error.to_string()
        }
    })?;
    Ok((connected.connection, connected.welcome.seat))
}
