//! Thin mode over real sockets: whoever speaks it plays like everybody else.

use game_arena::{Arena, ArenaInput};
use gameserver_contract::session::TransportKind::{self, Quic, WebSocket};
use gameserver_server::HostedGames;
use gameserver_shared::stream::frame;
use gameserver_tests::counters::Counter;
use gameserver_tests::patience::eventually;
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;
use gameserver_transport::close::CloseCode;

fn arena() -> HostedGames {
    let games = HostedGames::default().with::<Arena>();
    games.expect("arena is consistent")
}

const RIGHT: ArenaInput = ArenaInput {
    stick_x: 100,
    stick_y: 0,
    aim: 0,
    buttons: 0,
};

async fn walks(kind: TransportKind) {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 4);
    let mut player = ThinPlayer::join(&stage.join(match_id, 2), kind).await;
    let place = |player: &ThinPlayer| player.field_of_seat(2, "x");
    player
        .press_until(
            "the player sees their fighter",
            &ArenaInput::default(),
            |player| place(player).is_some(),
        )
        .await;
    let before = place(&player).expect("it was just there");
    // A spawn may be at a wall: left or right, one of them is free for two metres.
    let left = ArenaInput {
        stick_x: -100,
        ..RIGHT
    };
    let way = if before > 20.0 { left } else { RIGHT };
    player
        .press_until("the fighter walks", &way, |player| {
            place(player).is_some_and(|x| (x - before).abs() > 2.0)
        })
        .await;
    assert!(player.lead().is_some());
    let told = player.events.iter().map(|event| event.name.as_str());
    let told: Vec<_> = told.collect();
    assert_eq!(told[..2], ["phase", "joined"]);
    assert_eq!(player.field_of_seat(2, "ammunition"), Some(12.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_player_walks_over_quic() {
    walks(Quic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_player_walks_over_websocket() {
    walks(WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshots_of_a_match_are_spread_over_its_ticks() {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 4);
    for seat in 0..3 {
        let mut player = ThinPlayer::join(&stage.join(match_id, seat), WebSocket).await;
        eventually("twenty snapshots came", || {
            player.look();
            player.snapshots >= 20
        })
        .await;
        let interval = player.start.as_ref().expect("a start frame").interval;
        let ticks = player.snapshot_ticks();
        let own = u32::from(seat) % interval;
        assert!(ticks.iter().all(|tick| tick % interval == own), "{ticks:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_player_chats_leaves_and_the_others_are_told() {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 4);
    let mut stays = ThinPlayer::join(&stage.join(match_id, 0), Quic).await;
    let mut leaves = ThinPlayer::join(&stage.join(match_id, 1), WebSocket).await;
    let mut line = Vec::new();
    frame::put_chat(&mut line, "good game");
    leaves.say(line);
    let mut goodbye = Vec::new();
    frame::put_leave(&mut goodbye);
    eventually("the chat is heard by both", || {
        stays.look();
        leaves.look();
        stays.heard("chat").is_some() && leaves.heard("chat").is_some()
    })
    .await;
    let chat: (u16, String) = rmp_serde::from_slice(&stays.heard("chat").unwrap().payload).unwrap();
    assert_eq!(chat, (1, "good game".to_owned()));
    leaves.say(goodbye);
    assert_eq!(leaves.raw.closed().await.code, CloseCode::Consented);
    eventually("the other is told", || {
        stays.look();
        stays.heard("left").is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_chat_is_shown_without_what_hides_or_moves_others() {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 4);
    let mut talker = ThinPlayer::join(&stage.join(match_id, 0), WebSocket).await;
    // More lines that show nothing than unacceptable frames would be borne, and then one that does.
    let shown = "\u{202e}moved \u{200b}hidden";
    for text in ["\u{200b}\u{200d}"; 20].into_iter().chain([shown]) {
        let mut line = Vec::new();
        frame::put_chat(&mut line, text);
        talker.say(line);
    }
    eventually("the line is heard", || {
        talker.look();
        talker.heard("chat").is_some()
    })
    .await;
    assert_eq!(talker.count("chat"), 1);
    let chat = &talker.heard("chat").unwrap().payload;
    let chat: (u16, String) = rmp_serde::from_slice(chat).unwrap();
    assert_eq!(chat, (0, "moved hidden".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_later_is_told_the_score_of_those_who_are_not_seen() {
    let stage = Stage::open(arena(), 1);
    let match_id = stage.start_match("arena", 1, 4);
    let mut early = ThinPlayer::join(&stage.join(match_id, 3), Quic).await;
    eventually("the first one plays", || {
        early.look();
        early.snapshots > 0
    })
    .await;
    let mut late = ThinPlayer::join(&stage.join(match_id, 0), WebSocket).await;
    eventually("the second one is told the score", || {
        late.look();
        late.heard("scores").is_some()
    })
    .await;
    let scores = &late.heard("scores").expect("it was just there").payload;
    let scores: Vec<(u16, u16, u16)> = rmp_serde::from_slice(scores).expect("rows of scores");
    assert_eq!(scores, [(3, 0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn players_who_chat_all_at_once_are_not_all_heard() {
    const TALKERS: u16 = 10;
    const LINES_EACH: usize = 5;
    let stage = Stage::alone(arena()).await;
    let match_id = stage.start_match("arena", 1, TALKERS + 1);
    let mut hears = ThinPlayer::join(&stage.join(match_id, TALKERS), Quic).await;
    let dropped = Counter::watch_labelled("gs_net_dropped_total", "reason", "chat_rate_match");
    let mut line = Vec::new();
    frame::put_chat(&mut line, "everybody at once");
    let mut talkers = Vec::new();
    for seat in 0..TALKERS {
        talkers.push(ThinPlayer::join(&stage.join(match_id, seat), Quic).await);
    }
    for talker in &talkers {
        (0..LINES_EACH).for_each(|_| talker.say(line.clone()));
    }
    let said = u64::from(TALKERS) * LINES_EACH as u64;
    eventually("each line is heard or dropped", || {
        hears.look();
        hears.count("chat") + dropped.increase() == said
    })
    .await;
    assert!(dropped.increase() > 0);
    assert!(hears.count("chat") >= 40, "a burst is heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_the_protocol_does_not_have_close_the_connection() {
    let stage = Stage::alone(arena()).await;
    let match_id = stage.start_match("arena", 1, 4);
    let player = ThinPlayer::join(&stage.join(match_id, 0), Quic).await;
    let counter = Counter::watch_labelled("gs_net_dropped_total", "reason", "frame_malformed");
    let reason = player
        .raw
        .send_until_closed(&[vec![0x91, 99], vec![0xc1]])
        .await;
    assert_eq!(reason.code, CloseCode::ProtocolError);
    assert!(counter.increase() >= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_out_of_range_is_dropped_and_counted() {
    let stage = Stage::alone(arena()).await;
    let match_id = stage.start_match("arena", 1, 4);
    let mut player = ThinPlayer::join(&stage.join(match_id, 0), Quic).await;
    let counter = Counter::watch_labelled("gs_inputs_rejected_total", "rule", "stick_range");
    let beyond = ArenaInput {
        stick_x: 127,
        ..RIGHT
    };
    let looks = |_: &ThinPlayer| counter.increase() > 3;
    player
        .press_until("the inputs are refused", &beyond, looks)
        .await;
    assert_eq!(player.raw.connection.closed(), None);
}
