//! What an instance does when its matches have no time left: it refuses new spectators, then new
//! players, tells them when to come back, and keeps those that it has.

use std::time::Duration;

use gameserver_contract::ids::MatchId;
use gameserver_contract::session::JoinResponse;
use gameserver_contract::session::TransportKind::{self, Quic, WebSocket};
use gameserver_contract::spectator::{SpectatorClaim, SpectatorView};
use gameserver_server::HostedGames;
use gameserver_server::host::{Admits, BudgetMax};
use gameserver_shared::flow::MatchSettings;
use gameserver_tests::counters::Counter;
use gameserver_tests::heavy::{HEAVY, Heavy, MODE, TICK_RATE_HZ};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_transport::close::{CloseCode, RefusalCode};
use gameserver_transport::connect::ConnectError;
use gameserver_transport::frame::{Credential, Hello, Mode};

/// Two players cost 0.64 of a tick: spectators are refused from 0.6375 on, players from 0.75.
const BUDGET_MAX: f32 = 0.75;

struct Theatre {
    stage: Stage,
    match_id: MatchId,
}

impl Theatre {
    async fn open() -> Self {
        let games = HostedGames::default().with::<Heavy>();
        let games = games.expect("the game is consistent");
        let stage = Stage::alone_within(BudgetMax::of(BUDGET_MAX), games).await;
        let settings = MatchSettings {
            mode: MODE.to_owned(),
            players_min: 1,
            players_max: 8,
            tick_rate_hz: TICK_RATE_HZ,
            seed: 7,
        };
        let match_id = stage.start_match_shown_after(Duration::ZERO, HEAVY, settings);
        Self { stage, match_id }
    }

    async fn seat(&self, seat: u16) -> RawPlayer {
        RawPlayer::join(&self.stage, &self.stage.join(self.match_id, seat), Quic).await
    }

    fn spectator(&self) -> JoinResponse {
        let everything = SpectatorClaim {
            view: SpectatorView::All,
            team: None,
            delay_s: 0,
        };
        self.stage.watch(self.match_id, everything)
    }

    async fn admits(&self, whom: Admits) {
        self.stage
            .shows(self.match_id, &format!("{whom:?} may come"), |hosted| {
                hosted.admits == whom
            })
            .await;
    }

    async fn try_enter(
        &self,
        answer: &JoinResponse,
        kind: TransportKind,
    ) -> Result<RawPlayer, ConnectError> {
        let ticket = Credential::Ticket(answer.ticket.clone());
        let hello = Hello::new(Mode::Thin, ticket, "gameserver-tests");
        RawPlayer::say_hello(&answer.transports, hello, kind).await
    }

    async fn assert_refused(&self, answer: &JoinResponse, class: &str) {
        for kind in [Quic, WebSocket] {
            let shed = Counter::watch_labelled("gs_shed_total", "class", class);
            let refused = self.try_enter(answer, kind).await;
            assert_eq!(shed.increase(), 1, "{class} over {kind}");
            let told = match refused {
                Err(ConnectError::Refused(refused)) => Some((refused.code, refused.retry_after_ms)),
                Err(_) | Ok(_) => None,
            };
            let wanted = (RefusalCode::Overloaded, Some(2_000));
            assert_eq!(told, Some(wanted), "{class} over {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn spectators_are_refused_first_then_players_and_who_has_a_seat_comes_back() {
    let theatre = Theatre::open().await;
    let first = theatre.seat(0).await;
    let watching = theatre.try_enter(&theatre.spectator(), Quic).await;
    watching.expect("there is time for a spectator");
    let _second = theatre.seat(1).await;
    theatre.admits(Admits::Players).await;
    theatre
        .assert_refused(&theatre.spectator(), "spectator")
        .await;

    let ann = theatre.stage.new_player();
    let ticket = || theatre.stage.ticket(theatre.match_id, ann, 2);
    let third = theatre.stage.join_answer(&ticket());
    let third = RawPlayer::join(&theatre.stage, &third, Quic).await;
    theatre.admits(Admits::Nobody).await;
    let late = theatre.stage.join(theatre.match_id, 3);
    theatre.assert_refused(&late, "player").await;
    theatre
        .assert_refused(&theatre.spectator(), "spectator")
        .await;

    third.connection.close(CloseCode::Internal, "");
    let (offers, token) = (&late.transports, &third.welcome.resume_token);
    let back = RawPlayer::resume(&theatre.stage, offers, token, WebSocket).await;
    let back = back.expect("a held seat is given back without time");
    let again = theatre.stage.join_answer(&ticket());
    let again = RawPlayer::join(&theatre.stage, &again, Quic).await;
    assert_eq!(back.closed().await.code, CloseCode::Replaced);
    theatre.admits(Admits::Nobody).await;

    for leaving in [again, first] {
        leaving.connection.close(CloseCode::Consented, "");
    }
    theatre.admits(Admits::Everybody).await;
    theatre.seat(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_player_keeps_the_ticket_for_another_try() {
    let theatre = Theatre::open().await;
    let mut seated = Vec::new();
    for seat in 0..3 {
        seated.push(theatre.seat(seat).await);
    }
    theatre.admits(Admits::Nobody).await;
    let late = theatre.stage.join(theatre.match_id, 3);
    // Refused twice for want of time, and not because the ticket was used.
    theatre.assert_refused(&late, "player").await;
    let seats = theatre.stage.summary(theatre.match_id).seats.len();
    assert_eq!(seats, 3, "no seat is taken by who was refused");
}
