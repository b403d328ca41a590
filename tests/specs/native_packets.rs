//! What a native player is sent, and sends, packet by packet, through a real socket.

use std::time::{Duration, Instant};

use game_arena::Arena;
use gameserver_client::connection::{ConnectionState, GameConnection};
use gameserver_client::headless::headless_client;
use gameserver_contract::session::{JoinResponse, TransportKind};
use gameserver_packets::{Header, Reader};
use gameserver_server::HostedGames;
use gameserver_shared::game::Game as _;
use gameserver_tests::dialect::{Dialect, data, unreliable};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use lightyear::prelude::{Controlled, LocalTimeline};
use tokio::runtime::Handle;

/// Packets after which a spec has seen enough: a second's worth, if there is one for each state.
const PACKETS: u16 = 20;

/// The tick that a packet was sent in.
fn tick_of(packet: &[u8]) -> u32 {
    let header = Header::read(&mut Reader(packet));
    header.expect("a whole header").tick
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_and_acknowledgements_wait_for_the_next_state() {
    let games = HostedGames::default().with::<Arena>();
    let stage = Stage::alone(games.expect("arena is consistent")).await;
    let match_id = stage.start_match("arena", 1, 4);
    let dialect = Dialect::of::<Arena>();
    let player = RawPlayer::join(&stage, &stage.join(match_id, 0), TransportKind::Quic).await;
    let first = tick_of(&player.receive().await);
    let interval = u32::from(Arena::descriptor().snapshot_interval_ticks());
    let mut answered = false;
    for number in 0..PACKETS {
        // To be acknowledged and answered; it comes within a tick after a state.
        let [high, low] = number.to_be_bytes();
        let ping = [dialect.ping_message, high, low];
        player
            .connection
            .send(data(&[unreliable(dialect.ping_channel, &ping)]).into())
            .expect("the connection lives");
        let packet = player.receive().await;
        assert_eq!(
            (tick_of(&packet) - first) % interval,
            0,
            "a packet between two states"
        );
        answered |= packet
            .windows(3)
            .any(|part| part == [dialect.pong_message, high, low]);
    }
    assert!(answered, "pings are answered");
}

/// Frames of a display that is faster than the game.
const FRAME: Duration = Duration::from_millis(4);
/// Ticks that are counted.
const TICKS: u32 = 120;

/// A client that draws four frames in a tick: how many ticks went by, and how many packets it sent.
fn play_at_a_high_frame_rate(answer: &JoinResponse, runtime: Handle) -> (u32, u64) {
    let mut app = headless_client::<Arena>(runtime);
    app.world_mut()
        .resource_mut::<GameConnection>()
        .join(answer);
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut begun = None;
    loop {
        assert!(Instant::now() < deadline, "it never played: {begun:?}");
        std::thread::park_timeout(FRAME);
        app.update();
        let world = app.world_mut();
        let tick = world.resource::<LocalTimeline>().tick().0;
        let ConnectionState::Open { connection, .. } = world.resource::<GameConnection>().state()
        else {
            continue;
        };
        let sent = connection.stats().datagrams_out;
        let plays = world.query::<&Controlled>().iter(world).next().is_some();
        match begun {
            None if plays => begun = Some((tick, sent)),
            Some((from, before)) if tick >= from + TICKS => return (tick - from, sent - before),
            None | Some(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_sends_one_packet_for_two_ticks_however_many_frames_it_draws() {
    let games = HostedGames::default().with::<Arena>();
    let stage = Stage::alone(games.expect("arena is consistent")).await;
    let match_id = stage.start_match("arena", 1, 4);
    let (answer, runtime) = (stage.join(match_id, 0), Handle::current());
    let playing = tokio::task::spawn_blocking(move || play_at_a_high_frame_rate(&answer, runtime));
    let (ticks, packets) = playing.await.expect("it plays");
    let due = u64::from(ticks) / u64::from(Arena::TICKS_PER_INPUT_PACKET);
    // The first and the last may lie on either side; a frame that comes late takes two ticks.
    assert!(
        (due * 9 / 10..=due + 2).contains(&packets),
        "{packets} packets in {ticks} ticks"
    );
}
