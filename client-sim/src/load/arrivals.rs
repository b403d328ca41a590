//! The way in: logs bots in, gives them seats, connects them, as fast as the ramp says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameserver_contract::ids::{Seat, SessionId};
use gameserver_contract::session::{JoinSession, Role};
use gameserver_transport::connect::{ConnectError, ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::lobby::{Lobby, LobbyError, LoggedIn};

/// Logins, joins and handshakes at once.
const AT_ONCE_MAX: usize = 64;
/// What bots call themselves towards the server.
const BUILD: &str = concat!("gameserver-load/", env!("CARGO_PKG_VERSION"));

/// Who comes, and how fast.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    pub(super) lobby: Lobby,
    pub(super) sessions: Vec<SessionId>,
    pub(super) players: u32,
    /// Who come after them, and watch.
    pub(super) spectators: u32,
    pub(super) ramp: Duration,
    pub(super) options: ConnectOptions,
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
    /// It was not.
    Refused(Refusal),
}

/// Why a bot was not let in.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: String,
    /// From asking for a seat to the answer; none when it could not even log in.
    pub(super) after: Option<Duration>,
    /// Whether it was told when to try again.
    pub(super) says_when: bool,
}

/// Sends everybody on their way, spread over the ramp. The receiver ends when all have arrived.
pub(super) fn begin(crowd: Crowd, stop: CancellationToken) -> mpsc::Receiver<Arrival> {
    let (told, arrivals) = mpsc::channel(AT_ONCE_MAX);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let everybody = crowd.players + crowd.spectators;
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
    let session = index as usize % crowd.sessions.len().max(1);
    let role = if index < crowd.players {
        Role::Player
    } else {
        Role::Spectator
    };
    let player = match crowd.lobby.log_in_as_guest().await {
        Ok(player) => player,
        Err(error) => return Arrival::Refused(refused_by_lobby(error)),
    };
    let began = Instant::now();
    match enter(crowd, &player, session, role).await {
        Ok((connection, seat)) => Arrival::Entered {
            connection,
            seat,
            session,
            index,
            after: began.elapsed(),
        },
        Err(refusal) => Arrival::Refused(Refusal {
            after: Some(began.elapsed()),
            ..refusal
        }),
    }
}

async fn enter(
    crowd: &Crowd,
    player: &LoggedIn,
    session: usize,
    role: Role,
) -> Result<(Connection, Option<Seat>), Refusal> {
    let id = crowd.sessions[session];
    let wish = JoinSession {
        role,
        ..JoinSession::default()
    };
    let join = player.join(id, &wish).await.map_err(refused_by_lobby)?;
    let hello = Hello::new(Mode::Thin, Credential::Ticket(join.ticket), BUILD);
    let connected = connect(&join.transports, hello, crowd.options.clone()).await;
    let connected = connected.map_err(refused_by_instance)?;
    Ok((connected.connection, connected.welcome.seat))
}

fn refused_by_lobby(error: LobbyError) -> Refusal {
    let (why, says_when) = match error {
        LobbyError::Refused(refusal) => (refusal.problem.code, refusal.retry_after.is_some()),
        LobbyError::Unreachable { .. } | LobbyError::Unexpected(_) => (error.to_string(), false),
    };
    Refusal {
        why,
        after: None,
        says_when,
    }
}

fn refused_by_instance(error: ConnectError) -> Refusal {
    let (why, says_when) = if let ConnectError::Refused(refused) = &error {
        (refused.code.to_string(), refused.retry_after_ms.is_some())
    } else {
        (error.to_string(), false)
    };
    Refusal {
        why,
        after: None,
        says_when,
    }
}
