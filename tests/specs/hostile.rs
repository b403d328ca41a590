//! Packets that no honest client sends, from a welcomed player, through a real socket: they are
//! dropped and counted, their sender is closed, and nobody else in the match notices.

use game_arena::Arena;
use gameserver_contract::ids::{MatchId, Seat};
use gameserver_contract::session::TransportKind::{self, Quic, WebSocket};
use gameserver_packets::PacketType;
use gameserver_server::HostedGames;
use gameserver_server::host::MatchSummary;
use gameserver_tests::counters::Counter;
use gameserver_tests::dialect::{Dialect, data, packet, reliable, unreliable};
use gameserver_tests::patience::eventually;
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::stranger::{BareWebSocket, send_datagrams};
use gameserver_tests::witness::Witnesses;
use gameserver_transport::close::{CloseCode, RefusalCode};
use gameserver_transport::frame::Answer;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use tokio_tungstenite::tungstenite::Message;

/// Refused packets after which the instance closes a connection.
const VIOLATIONS_MAX: u64 = 16;
/// 2³⁰ − 1, the largest varint of four bytes.
const HUGE: [u8; 4] = [0xBF, 0xFF, 0xFF, 0xFF];

/// A match with an honest bot in it and a seat for somebody else.
struct Scene {
    stage: Stage,
    match_id: MatchId,
    witnesses: Witnesses,
    panics: Counter,
    dialect: Dialect,
}

impl Scene {
    async fn open() -> Self {
        let games = HostedGames::default().with::<Arena>();
        let stage = Stage::alone(games.expect("arena is consistent")).await;
        let match_id = stage.start_match("arena", 1, 4);
        let witnesses = Witnesses::play_arena(&stage, match_id, 0).await;
        Self {
            stage,
            match_id,
            witnesses,
            panics: Counter::watch("gs_match_panics_total"),
            dialect: Dialect::of::<Arena>(),
        }
    }

    async fn enter_evil_player(&self, kind: TransportKind) -> RawPlayer {
        RawPlayer::join(&self.stage, &self.stage.join(self.match_id, 1), kind).await
    }

    async fn see_the_match_go_on(self) {
        self.witnesses.see_the_match_go_on().await;
        let state = self.stage.summary(self.match_id).state;
        assert!(state.is_joinable(), "{state:?}");
        assert_eq!(self.panics.increase(), 0);
        self.witnesses.leave().await;
    }
}

fn dropped_as(reason: &str) -> Counter {
    Counter::watch_labelled("gs_net_dropped_total", "reason", reason)
}

/// Sends these packets, again and again, from a welcomed player.
async fn assert_repelled(
    kind: TransportKind,
    reason: &str,
    packets: impl Fn(&Dialect) -> Vec<Vec<u8>>,
) {
    let scene = Scene::open().await;
    let dropped = dropped_as(reason);
    let evil = scene.enter_evil_player(kind).await;
    let end = evil.send_until_closed(&packets(&scene.dialect)).await;
    assert_eq!(end.code, CloseCode::ProtocolError);
    assert!(dropped.increase() >= VIOLATIONS_MAX);
    scene.see_the_match_go_on().await;
}

/// A fragment of a message that would have 2³⁰ − 1 fragments: lightyear makes room for all of
/// them when it sees the first (lightyear.md D3).
fn fragment_bombs(dialect: &Dialect) -> Vec<Vec<u8>> {
    let channels = [
        dialect.input_channel,
        dialect.acknowledgement_channel,
        dialect.ping_channel,
    ];
    let bomb = |channel| {
        let (message_id, first_fragment, no_compression) = ([0, 7], [0], [0]);
        let payload = [
            &[channel][..],
            &message_id,
            &first_fragment,
            &HUGE,
            &no_compression,
            &[1; 64],
        ];
        packet(PacketType::Fragment, &payload.concat())
    };
    channels.map(bomb).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fragment_bomb_is_repelled() {
    assert_repelled(Quic, "guard_packet_type", fragment_bombs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fragment_bomb_over_websocket_is_repelled() {
    assert_repelled(WebSocket, "guard_packet_type", fragment_bombs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn compressed_packets_are_repelled() {
    assert_repelled(Quic, "guard_packet_type", |_| {
        let types = [
            PacketType::CompressedData,
            PacketType::CompressedFragment,
            PacketType::Unknown(5),
            PacketType::Unknown(255),
        ];
        types.map(|kind| packet(kind, &[0xFF; 200])).into()
    })
    .await;
}

/// A byte on a channel that replicon has no receiver for makes it panic (lightyear.md D4).
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replication_by_a_client_is_repelled() {
    assert_repelled(WebSocket, "guard_channel", |dialect| {
        vec![
            data(&[reliable(dialect.updates_channel, 0, &[0])]),
            data(&[unreliable(dialect.mutations_channel, &[0])]),
        ]
    })
    .await;
}

/// Hidden behind honest messages of the same packet.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replication_hidden_in_an_honest_packet_is_repelled() {
    assert_repelled(Quic, "guard_channel", |dialect| {
        let ping = unreliable(dialect.ping_channel, &[dialect.ping_message, 0, 1]);
        let hidden = unreliable(dialect.mutations_channel, &[0]);
        vec![data(&[ping.clone(), ping.clone(), hidden, ping])]
    })
    .await;
}

/// lightyear multiplies the time that a pong claims, which panics when it is read as negative
/// (lightyear.md D5). Pings are numbered from 0, so that these answer real ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pongs_with_an_impossible_time_are_repelled() {
    assert_repelled(Quic, "guard_time", |dialect| {
        let pong = |ping: u8| {
            let (negative_ticks, fraction) = ([0x80, 0, 0, 0], [0]);
            let body = [
                &[dialect.pong_message, 0, ping][..],
                &negative_ticks,
                &fraction,
            ];
            data(&[unreliable(dialect.ping_channel, &body.concat())])
        };
        (0..32).map(pong).collect()
    })
    .await;
}

/// The protocol check is one of these messages: its observer returns an error, which Bevy would
/// make a panic of (lightyear.md D6).
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_and_events_of_a_server_are_repelled() {
    assert_repelled(Quic, "guard_message", |dialect| {
        let wrong_hashes = [1, 5, 1, 6, 1, 7];
        let others = (0..32).filter(|number| *number != dialect.greeting_message);
        others
            .map(|number| {
                let body = [&[number][..], &wrong_hashes].concat();
                data(&[reliable(dialect.greeting_channel, 0, &body)])
            })
            .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn packets_that_are_cut_off_are_repelled() {
    assert_repelled(Quic, "guard_malformed", |dialect| {
        let ping = unreliable(dialect.ping_channel, &[dialect.ping_message, 0, 1]);
        let whole = data(&[ping]);
        // After 13 bytes it is a whole packet without messages.
        let cuts = (1..whole.len()).filter(|length| *length != 13);
        cuts.map(|length| whole[..length].to_vec()).collect()
    })
    .await;
}

/// What comes after a gap waits in memory for the message that is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hoarding_behind_a_gap_is_repelled() {
    assert_repelled(Quic, "guard_reliable_gap", |dialect| {
        let hoard = |id| data(&[reliable(dialect.acknowledgement_channel, id, &[0; 1_000])]);
        [256, 20_000, 32_766].map(hoard).into()
    })
    .await;
}

/// Half of the number space ahead is the last that lightyear counts as new.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hoarding_at_the_far_end_of_the_number_space_is_repelled() {
    assert_repelled(Quic, "guard_reliable_gap", |dialect| {
        vec![data(&[reliable(
            dialect.acknowledgement_channel,
            32_767,
            &[0; 1_000],
        )])]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_random_datagrams_disturb_nobody() {
    let scene = Scene::open().await;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0xBAD);
    let packets: Vec<_> = (0..1_000)
        .map(|_| random_bytes(&mut rng, 0..1_000))
        .collect();
    let evil = scene.enter_evil_player(Quic).await;
    let end = evil.send_until_closed(&packets).await;
    assert_eq!(end.code, CloseCode::ProtocolError);
    scene.see_the_match_go_on().await;
}

/// Whatever passes the guard, lightyear must take: right frames with random headers and bodies.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_random_messages_in_right_frames_disturb_nobody() {
    let scene = Scene::open().await;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0xBAD);
    let mut next_acknowledgement = 0;
    let packets: Vec<_> = (0..1_000)
        .map(|_| random_message(&mut rng, &scene.dialect, &mut next_acknowledgement))
        .collect();
    let evil = scene.enter_evil_player(Quic).await;
    let received = dropped_as("guard_malformed");
    evil.trickle(&packets).await;
    // One that is refused, to see when it is its turn.
    evil.trickle(&[vec![0]]).await;
    eventually("everything before the last packet is read", || {
        received.increase() > 0
    })
    .await;
    assert_eq!(evil.connection.closed(), None);
    scene.see_the_match_go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_of_full_packets_disturbs_nobody() {
    let scene = Scene::open().await;
    let ping = [scene.dialect.ping_message, 0, 1];
    // As many pings as fit.
    let stuffed = data(&vec![unreliable(scene.dialect.ping_channel, &ping); 148]);
    let evil = scene.enter_evil_player(Quic).await;
    let dropped = dropped_as("incoming");
    evil.send(&vec![stuffed; 5_000]).await;
    eventually("what the match does not take is dropped", || {
        dropped.increase() > 0
    })
    .await;
    scene.see_the_match_go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_datagrams_of_a_stranger_disturb_nobody() {
    let scene = Scene::open().await;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0xBAD);
    let garbage: Vec<_> = (0..1_000)
        .map(|_| random_bytes(&mut rng, 0..1_400))
        .collect();
    send_datagrams(scene.stage.address(), &garbage).await;
    scene.see_the_match_go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stranger_without_a_hello_is_refused_and_counted() {
    let scene = Scene::open().await;
    let counted = Counter::watch_labelled("gs_arrivals_ended_total", "reason", "malformed_hello");
    let garbage = [
        Message::text("hello"),
        Message::binary(vec![0xFF; 100]),
        Message::binary(Vec::new()),
    ];
    for message in garbage.clone() {
        let mut stranger = BareWebSocket::connect(scene.stage.address()).await;
        stranger.send(message).await;
        let answer = stranger.answer().await;
        let Answer::Refused(refused) = answer else {
            unreachable!("{answer:?}")
        };
        assert_eq!(refused.code, RefusalCode::MalformedHello);
        assert_eq!(stranger.closed().await, Some(CloseCode::ProtocolError));
    }
    eventually("all of them are counted", || {
        counted.increase() == garbage.len() as u64
    })
    .await;
    scene.see_the_match_go_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_websocket_player_who_sends_other_frames_is_closed() {
    let scene = Scene::open().await;
    let oversized = Message::binary(vec![0; 17 * 1024]);
    for message in [Message::text("no packet"), oversized] {
        let answer = scene.stage.join(scene.match_id, 1);
        let mut stranger = BareWebSocket::join(&scene.stage, &answer).await;
        stranger.send(message).await;
        let end = stranger.closed().await;
        assert!(
            matches!(end, None | Some(CloseCode::ProtocolError)),
            "{end:?}"
        );
        // A seat is held for those who are lost: this one is free because of the end's code.
        let is_free = |hosted: &MatchSummary| !hosted.seats.contains_key(&Seat(1));
        scene
            .stage
            .shows(scene.match_id, "the seat is free", is_free)
            .await;
    }
    scene.see_the_match_go_on().await;
}

fn random_bytes(rng: &mut Xoshiro256PlusPlus, length: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(length)];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn random_message(
    rng: &mut Xoshiro256PlusPlus,
    dialect: &Dialect,
    next_acknowledgement: &mut u16,
) -> Vec<u8> {
    let body = random_bytes(rng, 0..200);
    let message = match rng.random_range(0..4) {
        0 => {
            let id = *next_acknowledgement;
            *next_acknowledgement += 1;
            reliable(dialect.acknowledgement_channel, id, &body)
        }
        1 => {
            let believable_time = [0, 0, 0, 1, 0];
            let id = [rng.random(), rng.random()];
            let pong = [&[dialect.pong_message][..], &id, &believable_time].concat();
            unreliable(dialect.ping_channel, &pong)
        }
        2 => unreliable(
            dialect.ping_channel,
            &[&[dialect.ping_message][..], &body].concat(),
        ),
        _ => unreliable(
            dialect.input_channel,
            &[&[dialect.input_message][..], &body].concat(),
        ),
    };
    let mut packet = data(&[message]);
    // The header after the type: packet id, acknowledgements, tick.
    rng.fill_bytes(&mut packet[1..13]);
    packet
}
