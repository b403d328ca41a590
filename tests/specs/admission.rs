//! Who gets in, who is kept out and told why, and what becomes of a seat when its player goes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use game_arena::Arena;
use gameserver_contract::entropy::SeededEntropy;
use gameserver_contract::ids::{InstanceEpoch, InstanceId, MatchId, PlayerId, Seat};
use gameserver_contract::session::TransportKind::{self, Quic, WebSocket};
use gameserver_contract::session::{JoinResponse, Role};
use gameserver_contract::spectator::SpectatorClaim;
use gameserver_contract::ticket::{JoinTicket, TicketSigner};
use gameserver_server::HostedGames;
use gameserver_tests::cable::Cable;
use gameserver_tests::counters::Counter;
use gameserver_tests::patience::within;
use gameserver_tests::raw_player::{RawPlayer, refusal};
use gameserver_tests::stage::Stage;
use gameserver_transport::close::{CloseCode, RefusalCode};
use gameserver_transport::frame::{Answer, Credential, Hello, Mode};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as PageCloseCode;
use uuid::Uuid;

fn arena() -> HostedGames {
    let games = HostedGames::default().with::<Arena>();
    games.expect("arena is consistent")
}

/// An instance with a match of four seats, and a ticket for the first one.
struct Door {
    stage: Stage,
    match_id: MatchId,
    player: PlayerId,
}

impl Door {
    async fn open() -> Self {
        Self::of(Stage::alone(arena()).await)
    }

    fn of(stage: Stage) -> Self {
        let match_id = stage.start_match("arena", 2, 4);
        let player = stage.new_player();
        Self {
            stage,
            match_id,
            player,
        }
    }

    fn ticket(&self) -> JoinTicket {
        self.stage.ticket(self.match_id, self.player, 0)
    }

    fn good_answer(&self) -> JoinResponse {
        self.stage.join_answer(&self.ticket())
    }

    async fn join(&self) -> RawPlayer {
        RawPlayer::join(&self.stage, &self.good_answer(), Quic).await
    }

    async fn assert_refused(&self, answer: &JoinResponse, code: RefusalCode) {
        for kind in [Quic, WebSocket] {
            self.assert_refused_over(kind, answer, code).await;
        }
    }

    async fn assert_refused_over(
        &self,
        kind: TransportKind,
        answer: &JoinResponse,
        code: RefusalCode,
    ) {
        let hello = self.stage.hello(Credential::Ticket(answer.ticket.clone()));
        self.assert_hello_refused(kind, answer, hello, code).await;
    }

    async fn assert_hello_refused(
        &self,
        kind: TransportKind,
        answer: &JoinResponse,
        hello: Hello,
        code: RefusalCode,
    ) {
        let counted = Counter::watch_labelled("gs_ticket_rejected_total", "reason", code.as_str());
        let joined = RawPlayer::say_hello(&answer.transports, hello, kind).await;
        assert_eq!(refusal(joined), code, "over {kind}");
        assert_eq!(counted.increase(), 1, "{code} over {kind}");
    }

    async fn assert_ticket_refused(&self, ticket: &JoinTicket, code: RefusalCode) {
        self.assert_refused(&self.stage.join_answer(ticket), code)
            .await;
    }

    async fn resume(&self, token: &str) -> Result<RawPlayer, RefusalCode> {
        let offers = self.good_answer().transports;
        let resumed = RawPlayer::resume(&self.stage, &offers, token, WebSocket).await;
        match resumed {
            Ok(player) => Ok(player),
            refused @ Err(_) => Err(refusal(refused)),
        }
    }

    fn holder_of_first_seat(&self) -> Option<PlayerId> {
        let summary = self.stage.summary(self.match_id);
        summary.seats.get(&Seat(0)).copied()
    }

    async fn sees_first_seat_free(&self) {
        self.stage
            .shows(self.match_id, "the seat is free", |hosted| {
                !hosted.seats.contains_key(&Seat(0))
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_signed_by_a_stranger_is_refused() {
    let door = Door::open().await;
    let stranger = TicketSigner::generate(&*SeededEntropy::new(666));
    let answer = door.stage.join_answer_signed_by(&stranger, &door.ticket());
    door.assert_refused(&answer, RefusalCode::TicketBadSignature)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_text_that_is_no_ticket_is_refused() {
    let door = Door::open().await;
    let answer = JoinResponse {
        ticket: "no ticket".to_owned(),
        ..door.good_answer()
    };
    door.assert_refused(&answer, RefusalCode::TicketMalformed)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_expired_ticket_is_refused() {
    let door = Door::open().await;
    let ticket = door.ticket();
    let expired = JoinTicket {
        issued_at_ms: ticket.issued_at_ms - 20_000,
        expires_at_ms: ticket.issued_at_ms - 10_000,
        ..ticket
    };
    door.assert_ticket_refused(&expired, RefusalCode::TicketExpired)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_for_another_instance_or_an_earlier_run_is_refused() {
    let door = Door::open().await;
    let elsewhere = JoinTicket {
        instance: InstanceId(Uuid::from_u128(9)),
        ..door.ticket()
    };
    let earlier = JoinTicket {
        epoch: InstanceEpoch(0),
        ..door.ticket()
    };
    for ticket in [elsewhere, earlier] {
        door.assert_ticket_refused(&ticket, RefusalCode::TicketWrongInstance)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_is_good_for_one_join_only() {
    let door = Door::open().await;
    let answer = door.good_answer();
    let first = RawPlayer::join(&door.stage, &answer, Quic).await;
    door.assert_refused(&answer, RefusalCode::TicketUsed).await;
    assert_eq!(first.connection.closed(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_players_seat_is_not_given_away() {
    let door = Door::open().await;
    let first = door.join().await;
    for kind in [Quic, WebSocket] {
        let answer = door.stage.join(door.match_id, 0);
        door.assert_refused_over(kind, &answer, RefusalCode::SeatTaken)
            .await;
    }
    assert_eq!(door.holder_of_first_seat(), Some(door.player));
    assert_eq!(first.connection.closed(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_for_a_match_that_is_not_here_is_refused() {
    let door = Door::open().await;
    for kind in [Quic, WebSocket] {
        let answer = door.stage.join(MatchId(Uuid::from_u128(9)), 0);
        door.assert_refused_over(kind, &answer, RefusalCode::MatchUnknown)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_seat_beyond_the_last_one_is_refused() {
    let door = Door::open().await;
    let answer = door.stage.join(door.match_id, 4);
    door.assert_refused_over(Quic, &answer, RefusalCode::MatchFull)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_without_and_spectators_with_a_seat_are_refused() {
    let door = Door::open().await;
    let standing = JoinTicket {
        seat: None,
        ..door.ticket()
    };
    let seated = JoinTicket {
        role: Role::Spectator,
        ..door.ticket()
    };
    for ticket in [standing, seated] {
        let answer = door.stage.join_answer(&ticket);
        door.assert_refused_over(Quic, &answer, RefusalCode::TicketMalformed)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_with_and_spectators_without_a_view_are_refused() {
    let door = Door::open().await;
    let watching = JoinTicket {
        watch: Some(SpectatorClaim::default()),
        ..door.ticket()
    };
    let blind = JoinTicket {
        role: Role::Spectator,
        seat: None,
        ..door.ticket()
    };
    for ticket in [watching, blind] {
        let answer = door.stage.join_answer(&ticket);
        door.assert_refused_over(Quic, &answer, RefusalCode::TicketMalformed)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_of_another_build_is_refused_and_may_keep_its_ticket() {
    let door = Door::open().await;
    let answer = door.good_answer();
    let hello = door.stage.hello(Credential::Ticket(answer.ticket.clone()));
    let other = hello.fingerprint ^ 1;
    let hello = hello.with_fingerprint(other);
    door.assert_hello_refused(Quic, &answer, hello, RefusalCode::ProtocolMismatch)
        .await;
    RawPlayer::join(&door.stage, &answer, Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_draining_instance_lets_nobody_in_and_throws_nobody_out() {
    let door = Door::open().await;
    let inside = door.join().await;
    door.stage.host.directory().drain();
    let answer = door.stage.join(door.match_id, 1);
    door.assert_refused(&answer, RefusalCode::Draining).await;
    inside.receive_next().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_connection_gets_its_seat_back_with_the_resume_token() {
    let door = Door::open().await;
    let mut answer = door.good_answer();
    let cable = Cable::plug_in(&mut answer).await;
    let before = RawPlayer::join(&door.stage, &answer, WebSocket).await;
    before.receive().await;
    cable.pull();
    assert_eq!(before.closed().await.code, CloseCode::Lost);
    let after = door.resume(&before.welcome.resume_token).await;
    let after = after.expect("the seat is held");
    assert_eq!(after.welcome.seat, Some(Seat(0)));
    assert_eq!(after.welcome.player, door.player);
    after.receive().await;
}

/// Browsers close what a page has opened as 1001 when it is left or loaded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_that_is_loaded_again_gets_its_seat_back_with_the_resume_token() {
    let door = Door::open().await;
    let other = RawPlayer::join(&door.stage, &door.stage.join(door.match_id, 1), Quic).await;
    let answer = door.good_answer();
    let hello = Hello::new(Mode::Thin, Credential::Ticket(answer.ticket), "a page");
    let address = format!("ws://{}", door.stage.address());
    let (mut page, _) = Box::pin(within(connect_async(address)))
        .await
        .expect("a WebSocket");
    let hello = hello.encode().expect("a short Hello");
    within(page.send(Message::Binary(hello.into())))
        .await
        .expect("the link is open");
    let first = within(page.next())
        .await
        .expect("an answer")
        .expect("it is whole");
    let Ok(Answer::Welcome(welcome)) = Answer::decode(&first.into_data()) else {
        unreachable!("a good ticket is welcome")
    };
    let going_away = CloseFrame {
        code: PageCloseCode::Away,
        reason: "".into(),
    };
    within(page.close(Some(going_away)))
        .await
        .expect("the link is open");
    while within(page.next())
        .await
        .is_some_and(|message| message.is_ok())
    {}
    // The match has looked at the connection by then.
    for _ in 0..2 {
        other.receive_next().await;
    }
    let back = door.resume(&welcome.resume_token).await;
    assert_eq!(back.expect("the seat is held").welcome.seat, Some(Seat(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_resume_token_is_good_once_and_is_replaced_by_the_next() {
    let door = Door::open().await;
    let first = door.join().await;
    first.connection.close(CloseCode::Internal, "");
    let token = &first.welcome.resume_token;
    let second = door.resume(token).await.expect("the seat is held");
    second.connection.close(CloseCode::Internal, "");
    assert_eq!(
        door.resume(token).await.err(),
        Some(RefusalCode::ResumeUnknown)
    );
    let third = door.resume(&second.welcome.resume_token).await;
    assert_eq!(third.expect("the seat is held").welcome.seat, Some(Seat(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_seat_whose_player_is_away_is_not_given_to_others() {
    let door = Door::open().await;
    door.join().await.connection.close(CloseCode::Internal, "");
    let answer = door.stage.join(door.match_id, 0);
    door.assert_refused_over(Quic, &answer, RefusalCode::SeatTaken)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_seat_is_free_when_its_player_stays_away_too_long() {
    let moment = Duration::from_millis(200);
    let door = Door::of(Stage::alone_holding_seats_for(moment, arena()).await);
    let away = door.join().await;
    away.receive().await;
    away.connection.close(CloseCode::Internal, "");
    door.sees_first_seat_free().await;
    assert_eq!(
        door.resume(&away.welcome.resume_token).await.err(),
        Some(RefusalCode::ResumeUnknown)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_nobody_was_given_is_refused() {
    let door = Door::open().await;
    let counted = Counter::watch_labelled("gs_ticket_rejected_total", "reason", "resume_unknown");
    let player = door.join().await;
    let mut forged = player.welcome.resume_token.clone();
    let last = if forged.ends_with('A') { "E" } else { "A" };
    forged.replace_range(forged.len() - 2..forged.len() - 1, last);
    for token in ["", "x", forged.as_str()] {
        assert_eq!(
            door.resume(token).await.err(),
            Some(RefusalCode::ResumeUnknown)
        );
    }
    assert_eq!(counted.increase(), 3);
    assert_eq!(player.connection.closed(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_player_who_joins_twice_plays_over_the_newer_connection() {
    let door = Door::open().await;
    let older = door.join().await;
    older.receive().await;
    let newer = door.join().await;
    assert_eq!(older.closed().await.code, CloseCode::Replaced);
    newer.receive_next().await;
    assert_eq!(door.holder_of_first_seat(), Some(door.player));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kicked_player_is_told_and_loses_the_seat() {
    let door = Door::open().await;
    let kicked = door.join().await;
    kicked.receive().await;
    let done = door
        .stage
        .host
        .kick(door.match_id, door.player, "afk".to_owned());
    assert_eq!(done, Ok(true));
    let end = kicked.closed().await;
    assert_eq!((end.code, end.text.as_str()), (CloseCode::Kicked, "afk"));
    door.sees_first_seat_free().await;
    assert_eq!(
        door.resume(&kicked.welcome.resume_token).await.err(),
        Some(RefusalCode::ResumeUnknown)
    );
    RawPlayer::join(&door.stage, &door.stage.join(door.match_id, 0), Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_player_who_leaves_frees_the_seat_at_once() {
    let door = Door::open().await;
    for kind in [Quic, WebSocket] {
        let leaving = RawPlayer::join(&door.stage, &door.good_answer(), kind).await;
        leaving.receive().await;
        leaving.connection.close(CloseCode::Consented, "");
        door.sees_first_seat_free().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_player_of_a_stopped_match_is_told_that_it_is_over() {
    let door = Door::open().await;
    let player = door.join().await;
    player.receive().await;
    assert_eq!(door.stage.host.stop_match(door.match_id), Ok(true));
    assert_eq!(player.closed().await.code, CloseCode::MatchOver);
}
