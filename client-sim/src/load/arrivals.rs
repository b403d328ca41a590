//! The way in: logs bots in, gives them seats, connects them, as fast as the ramp says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameserver_contract::ids::{Seat, SessionId};
use gameserver_contract::session::{JoinResponse, JoinSession, Role};
use gameserver_transport::connect::{ConnectError, ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::places::{Kind, Place};
use crate::lobby::{Lobby, LobbyError, LoggedIn};

/// Logins, joins and handshakes at once.
const AT_ONCE_MAX: usize = 64;
const SECOND: Duration = Duration::from_secs(1);
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
    /// Who comes and goes after the ramp.
    pub(super) churn: Churn,
    pub(super) options: ConnectOptions,
    /// What native players say that their game is.
    pub(super) fingerprint: u64,
}

/// So many a second leave and as many come, from the ramp's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Churn {
    pub(super) per_s: u32,
    /// How long.
    pub(super) lasts: Duration,
}

impl Crowd {
    fn everybody(&self) -> u32 {
        let players = u32::try_from(self.players.len()).unwrap_or(u32::MAX);
        players.saturating_add(self.spectators)
    }

    /// Those who can be asked to leave: canaries, which come first, stay.
    fn leavers(&self) -> &[Place] {
        let canaries = self.players.iter();
        let canaries = canaries.take_while(|place| place.kind == Kind::Canary);
        &self.players[canaries.count()..]
    }

    /// When this one comes, after the beginning; none when nobody comes any more.
    fn due(&self, index: u32) -> Option<Duration> {
        let Some(later) = index.checked_sub(self.everybody()) else {
            return Some(self.ramp / self.everybody().max(1) * index);
        };
        if self.leavers().is_empty() {
            return None;
        }
        let Churn { per_s, lasts } = self.churn;
        let after = (SECOND * later.saturating_add(1)).checked_div(per_s)?;
        (after < lasts).then_some(self.ramp + after)
    }

    fn turn(&self, index: u32) -> Turn {
        if index < self.everybody() {
            Turn::First
        } else {
            Turn::Later
        }
    }

    /// Those who come later take the places of the first ones who left.
    fn place(&self, index: u32) -> (Place, Role) {
        let place = match index.checked_sub(self.everybody()) {
            Some(later) => {
                let leavers = self.leavers();
                leavers.get(later as usize % leavers.len().max(1))
            }
            None => self.players.get(index as usize),
        };
        let watching = Place {
            session: index as usize % self.sessions.len().max(1),
            kind: Kind::Thin,
        };
        place.map_or((watching, Role::Spectator), |place| (*place, Role::Player))
    }
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
        /// Whose place it has.
        turn: Turn,
        /// From asking for a seat to the Welcome.
        after: Duration,
    },
    /// A canary has a seat; it connects by itself.
    Canary {
        join: JoinResponse,
        /// Which of the sessions.
        session: usize,
        /// Which of the bots.
        index: u32,
    },
    /// It was not.
    Refused(Refusal),
    /// Somebody is about to come in the place of another one, who leaves.
    Leave,
}

/// Whether a bot is of the crowd that comes in the ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Later,
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
        let began = Instant::now();
        for index in 0.. {
            let Some(due) = crowd.due(index) else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until((began + due).into()) => {}
            }
            if crowd.turn(index) == Turn::Later && told.send(Arrival::Leave).await.is_err() {
                return;
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
    let (place, role) = crowd.place(index);
    let player = match crowd.lobby.log_in_as_guest().await {
        Ok(player) => player,
        Err(error) => return Arrival::Refused(refused_by_lobby(error)),
    };
    let began = Instant::now();
    let arrived = async {
        let session = place.session;
        let join = join(&player, crowd.sessions[session], role).await?;
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
            turn: crowd.turn(index),
            after: began.elapsed(),
        })
    };
    arrived.await.unwrap_or_else(|refusal| {
        Arrival::Refused(Refusal {
            after: Some(began.elapsed()),
            ..refusal
        })
    })
}

async fn join(player: &LoggedIn, session: SessionId, role: Role) -> Result<JoinResponse, Refusal> {
    let wish = JoinSession {
        role,
        ..JoinSession::default()
    };
    let join = player.join(session, &wish).await;
    join.map_err(refused_by_lobby)
}

async fn enter(
    crowd: &Crowd,
    join: JoinResponse,
    kind: Kind,
) -> Result<(Connection, Option<Seat>), Refusal> {
    let ticket = Credential::Ticket(join.ticket);
    let hello = match kind {
        Kind::Thin => Hello::new(Mode::Thin, ticket, BUILD),
        Kind::Native | Kind::Canary => {
            Hello::new(Mode::Native, ticket, BUILD).with_fingerprint(crowd.fingerprint)
        }
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::places::{Protocol, places};

    fn crowd(per_s: u32) -> Crowd {
        crowd_with_canaries(0, per_s)
    }

    fn crowd_with_canaries(canaries: usize, per_s: u32) -> Crowd {
        let session = "0197c1a0-0000-7000-8000-000000000000".parse::<SessionId>();
        let session = session.unwrap();
        Crowd {
            lobby: Lobby::new("http://127.0.0.1:1").unwrap(),
            sessions: vec![session; 2],
            players: places(8, canaries, 2, Protocol::Native).into(),
            spectators: 2,
            ramp: Duration::from_secs(10),
            churn: Churn {
                per_s,
                lasts: Duration::from_secs(2),
            },
            options: ConnectOptions::default(),
            fingerprint: 0,
        }
    }

    #[test]
    fn everybody_comes_in_the_ramp_and_so_many_a_second_after_it() {
        let due = |per_s: u32, index| crowd(per_s).due(index).map(|due| due.as_secs_f64());
        assert_eq!((due(4, 0), due(4, 9)), (Some(0.0), Some(9.0)));
        assert_eq!((due(4, 10), due(4, 16)), (Some(10.25), Some(11.75)));
        assert_eq!(due(4, 17), None, "the run is over");
        assert_eq!(due(0, 10), None, "nobody was to come later");
    }

    #[test]
    fn who_comes_later_takes_a_place_where_somebody_left() {
        let crowd = crowd(4);
        let places: Vec<_> = [0, 7, 8, 10, 11].map(|index| crowd.place(index)).into();
        let place = |session, kind| Place { session, kind };
        let player = |session| (place(session, Kind::Native), Role::Player);
        assert_eq!(
            places,
            [
                player(0),
                player(1),
                (place(0, Kind::Thin), Role::Spectator),
                player(0),
                player(1)
            ]
        );
    }
    #[test]
    fn canaries_stay_and_nobody_takes_their_places() {
        let crowd = crowd_with_canaries(2, 4);
        let (first, _) = crowd.place(0);
        assert_eq!(first.kind, Kind::Canary);
        for later in 10..30 {
            let (place, role) = crowd.place(later);
            assert_eq!((place.kind, role), (Kind::Native, Role::Player));
        }
        let nobody_else = crowd_with_canaries(8, 4);
        assert_eq!(nobody_else.due(10), None, "nobody can leave");
    }
}
