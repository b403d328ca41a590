//! Logs bots in, joins them to their sessions and connects them, spread over the ramp.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameserver_contract::ids::{Seat, SessionId};
use gameserver_contract::session::{JoinResponse, JoinSession, Role};
use gameserver_transport::connect::{ConnectError, ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::placement::{BotKind, Placement};
use crate::lobby::{Lobby, LobbyError, LoggedIn};

/// Logins, joins and handshakes at once.
const AT_ONCE_MAX: usize = 64;
const SECOND: Duration = Duration::from_secs(1);
/// What bots call themselves towards the server.
const BUILD: &str = concat!("gameserver-load/", env!("CARGO_PKG_VERSION"));

/// Which bots join, where and how fast.
#[derive(Debug, Clone)]
pub(super) struct ArrivalSchedule {
    pub(super) lobby: Lobby,
    pub(super) sessions: Vec<SessionId>,
    /// One for each player.
    pub(super) players: Arc<[Placement]>,
    /// Spectators, who come after them.
    pub(super) spectators: u32,
    pub(super) ramp: Duration,
    /// Bots that come and go after the ramp.
    pub(super) churn: Churn,
    pub(super) options: ConnectOptions,
    /// What native players state as their build of the game.
    pub(super) fingerprint: u64,
}

/// So many a second leave and as many come, from the ramp's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Churn {
    pub(super) per_s: u32,
    /// How long.
    pub(super) duration: Duration,
}

impl ArrivalSchedule {
    fn initial_bots(&self) -> u32 {
        let players = u32::try_from(self.players.len()).unwrap_or(u32::MAX);
        players.saturating_add(self.spectators)
    }

    /// Bots that churn replaces: canaries, which come first, stay.
    fn replaceable(&self) -> &[Placement] {
        let canaries = self.players.iter();
        let canaries = canaries.take_while(|placement| placement.kind == BotKind::Canary);
        &self.players[canaries.count()..]
    }

    /// When this one comes, after the beginning; none when nobody comes any more.
    fn due(&self, index: u32) -> Option<Duration> {
        let Some(later) = index.checked_sub(self.initial_bots()) else {
            return Some(self.ramp / self.initial_bots().max(1) * index);
        };
        if self.replaceable().is_empty() {
            return None;
        }
        let Churn { per_s, duration } = self.churn;
        let after = (SECOND * later.saturating_add(1)).checked_div(per_s)?;
        (after < duration).then_some(self.ramp + after)
    }

    fn wave(&self, index: u32) -> Wave {
        if index < self.initial_bots() {
            Wave::Ramp
        } else {
            Wave::Churn
        }
    }

    /// Bots that come later take the placements of the first ones that left.
    fn placement(&self, index: u32) -> (Placement, Role) {
        let placement = match index.checked_sub(self.initial_bots()) {
            Some(later) => {
                let replaceable = self.replaceable();
                replaceable.get(later as usize % replaceable.len().max(1))
            }
            None => self.players.get(index as usize),
        };
        let watching = Placement {
            session: index as usize % self.sessions.len().max(1),
            kind: BotKind::Thin,
        };
        placement.map_or((watching, Role::Spectator), |placement| {
            (*placement, Role::Player)
        })
    }
}

/// How a bot's attempt to join went.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It was admitted.
    Entered {
        connection: Connection,
        /// None for those who watch.
        seat: Option<Seat>,
        /// Which of the sessions.
        session: usize,
        /// Which of the bots.
        index: u32,
        /// When it joins.
        wave: Wave,
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

/// When a bot joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wave {
    Ramp,
    Churn,
}

/// Why a bot was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: String,
    /// From asking for a seat to the answer; none when it could not even log in.
    pub(super) after: Option<Duration>,
    /// Whether the refusal says when to try again.
    pub(super) says_when: bool,
}

/// Sends everybody on their way, spread over the ramp. The receiver ends when all have arrived.
pub(super) fn start(schedule: ArrivalSchedule, stop: CancellationToken) -> mpsc::Receiver<Arrival> {
    let (sender, arrivals) = mpsc::channel(AT_ONCE_MAX);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let began = Instant::now();
        for index in 0.. {
            let Some(due) = schedule.due(index) else {
                return;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until((began + due).into()) => {}
            }
            if schedule.wave(index) == Wave::Churn && sender.send(Arrival::Leave).await.is_err() {
                return;
            }
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (schedule, sender) = (schedule.clone(), sender.clone());
            tokio::spawn(async move {
                let arrival = arrive(&schedule, index).await;
                drop(permit);
                // Nobody listens any more when the run was stopped.
                let _ = sender.send(arrival).await;
            });
        }
    });
    arrivals
}

async fn arrive(schedule: &ArrivalSchedule, index: u32) -> Arrival {
    let (placement, role) = schedule.placement(index);
    let player = match schedule.lobby.log_in_as_guest().await {
        Ok(player) => player,
        Err(error) => return Arrival::Refused(refused_by_lobby(error)),
    };
    let began = Instant::now();
    let arrived = async {
        let session = placement.session;
        let join = join(&player, schedule.sessions[session], role).await?;
        if placement.kind == BotKind::Canary {
            return Ok(Arrival::Canary {
                join,
                session,
                index,
            });
        }
        let (connection, seat) = enter(schedule, join, placement.kind).await?;
        Ok(Arrival::Entered {
            connection,
            seat,
            session,
            index,
            wave: schedule.wave(index),
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
    let request = JoinSession {
        role,
        ..JoinSession::default()
    };
    let join = player.join(session, &request).await;
    join.map_err(refused_by_lobby)
}

async fn enter(
    schedule: &ArrivalSchedule,
    join: JoinResponse,
    kind: BotKind,
) -> Result<(Connection, Option<Seat>), Refusal> {
    let ticket = Credential::Ticket(join.ticket);
    let hello = match kind {
        BotKind::Thin => Hello::new(Mode::Thin, ticket, BUILD),
        BotKind::Native | BotKind::Canary => {
            Hello::new(Mode::Native, ticket, BUILD).with_fingerprint(schedule.fingerprint)
        }
    };
    let connected = connect(&join.transports, hello, schedule.options.clone()).await;
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
    use crate::load::config::ClientProtocol;
    use crate::load::placement::placements;

    fn schedule(per_s: u32) -> ArrivalSchedule {
        schedule_with_canaries(0, per_s)
    }

    fn schedule_with_canaries(canaries: usize, per_s: u32) -> ArrivalSchedule {
        let session = "0197c1a0-0000-7000-8000-000000000000".parse::<SessionId>();
        let session = session.unwrap();
        ArrivalSchedule {
            lobby: Lobby::new("http://127.0.0.1:1").unwrap(),
            sessions: vec![session; 2],
            players: placements(8, canaries, 2, ClientProtocol::Native).into(),
            spectators: 2,
            ramp: Duration::from_secs(10),
            churn: Churn {
                per_s,
                duration: Duration::from_secs(2),
            },
            options: ConnectOptions::default(),
            fingerprint: 0,
        }
    }

    #[test]
    fn everybody_comes_in_the_ramp_and_so_many_a_second_after_it() {
        let due = |per_s: u32, index| schedule(per_s).due(index).map(|due| due.as_secs_f64());
        assert_eq!((due(4, 0), due(4, 9)), (Some(0.0), Some(9.0)));
        assert_eq!((due(4, 10), due(4, 16)), (Some(10.25), Some(11.75)));
        assert_eq!(due(4, 17), None, "the run is over");
        assert_eq!(due(0, 10), None, "nobody was to come later");
    }

    #[test]
    fn who_comes_later_takes_a_place_where_somebody_left() {
        let schedule = schedule(4);
        let placements: Vec<_> = [0, 7, 8, 10, 11]
            .map(|index| schedule.placement(index))
            .into();
        let placement = |session, kind| Placement { session, kind };
        let player = |session| (placement(session, BotKind::Native), Role::Player);
        assert_eq!(
            placements,
            [
                player(0),
                player(1),
                (placement(0, BotKind::Thin), Role::Spectator),
                player(0),
                player(1)
            ]
        );
    }
    #[test]
    fn canaries_stay_and_nobody_takes_their_places() {
        let schedule = schedule_with_canaries(2, 4);
        let (first, _) = schedule.placement(0);
        assert_eq!(first.kind, BotKind::Canary);
        for later in 10..30 {
            let (placement, role) = schedule.placement(later);
            assert_eq!((placement.kind, role), (BotKind::Native, Role::Player));
        }
        let nobody_else = schedule_with_canaries(8, 4);
        assert_eq!(nobody_else.due(10), None, "nobody can leave");
    }
}
