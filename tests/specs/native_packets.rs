//! What a native player is sent, packet by packet, through a real socket.

use game_arena::Arena;
use gameserver_contract::session::TransportKind;
use gameserver_server::Games;
use gameserver_shared::game::Game as _;
use gameserver_tests::dialect::{Dialect, data, unreliable};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;

/// Packets after which a spec has seen enough: a second's worth, if there is one for each state.
const PACKETS: u16 = 20;

/// The tick that a packet was sent in: the last four bytes of lightyear's header.
fn tick_of(packet: &[u8]) -> u32 {
    let tick = packet[9..13].try_into().expect("four bytes");
    u32::from_be_bytes(tick)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_and_acknowledgements_wait_for_the_next_state() {
    let games = Games::default().with::<Arena>();
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
