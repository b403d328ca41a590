//! Hidden information, proven on the wire: everything that was sent to each client is searched
//! for what it may not know.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::ids::{MatchId, Seat};
use gameserver_contract::session::TransportKind::{Quic, WebSocket};
use gameserver_server::HostedGames;
use gameserver_shared::flow::MatchSettings;
use gameserver_tests::fragile::Step;
use gameserver_tests::masked::{
    HONEST, LEAKS_FIELD, LEAKS_SIGHT, MASKED, Masked, Slow, Truth, truths,
};
use gameserver_tests::patience::eventually;
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;
use gameserver_tests::workbench::Workbench;

const THIN: u16 = 10;
const NATIVE: u16 = 4;
/// Five seconds of walking, the planted leak among them.
const TICKS: u32 = 360;

/// Everything that one client was sent.
struct Sent {
    seat: Seat,
    packets: Vec<Bytes>,
    /// What its numbers mean, when it is a thin client.
    marks: BTreeSet<u32>,
}

fn settings(mode: &str, seed: u64) -> MatchSettings {
    MatchSettings {
        mode: mode.to_owned(),
        players_min: 1,
        players_max: THIN + NATIVE,
        tick_rate_hz: 60,
        seed,
    }
}

/// Plays a match and returns who was sent what they may not know. No other spec has this seed.
async fn play(mode: &str, seed: u64) -> Vec<(Seat, usize)> {
    let stage = Stage::alone(HostedGames::default().with::<Masked>().expect("a game")).await;
    let settings = settings(mode, seed);
    let match_id = stage.start_match_shown_after(Duration::ZERO, MASKED, settings);
    let mut thin = join_thin(&stage, match_id).await;
    // There must be something to hide already when a native client comes.
    eventually("those who came first walk", || {
        truths()
            .get(&seed)
            .is_some_and(|truth| !truth.all.is_empty())
    })
    .await;
    let mut native = join_native(&stage, match_id).await;
    eventually("everybody has walked for a while", || {
        for (player, marks) in &mut thin {
            player.look();
            player.press(&Step(0));
            marks.extend(known_marks(player));
        }
        for (player, packets) in &mut native {
            packets.extend(std::iter::from_fn(|| player.connection.try_recv()));
        }
        truths().get(&seed).is_some_and(|truth| truth.tick > TICKS)
    })
    .await;
    let thin = (0..).zip(thin).map(|(seat, (player, marks))| Sent {
        seat: Seat(seat),
        packets: player.frames,
        marks,
    });
    let native = (THIN..).zip(native).map(|(seat, (_, packets))| Sent {
        seat: Seat(seat),
        packets,
        marks: BTreeSet::new(),
    });
    let sent: Vec<_> = thin.chain(native).collect();
    leaks(&sent, &truths().remove(&seed).unwrap_or_default())
}

async fn join_thin(stage: &Stage, match_id: MatchId) -> Vec<(ThinPlayer, BTreeSet<u32>)> {
    let mut thin = Vec::new();
    for seat in 0..THIN {
        let kind = if seat % 2 == 0 { Quic } else { WebSocket };
        let player = ThinPlayer::join(&stage.join(match_id, seat), kind).await;
        thin.push((player, BTreeSet::new()));
    }
    thin
}

async fn join_native(stage: &Stage, match_id: MatchId) -> Vec<(RawPlayer, Vec<Bytes>)> {
    let mut native = Vec::new();
    for seat in THIN..THIN + NATIVE {
        let player = RawPlayer::join(stage, &stage.join(match_id, seat), Quic).await;
        native.push((player, Vec::new()));
    }
    native
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "marks are whole numbers of 32 bits"
)]
fn known_marks(player: &ThinPlayer) -> Vec<u32> {
    let fields = ["mark", "secret"];
    let known = player.entities().flat_map(|(_, entity)| {
        fields.map(|field| player.field(entity, field).unwrap_or(0.0) as u32)
    });
    known.filter(|mark| *mark > 0).collect()
}

/// A mark as each of the two protocols would carry it.
fn encodings(mark: u32) -> [[u8; 5]; 2] {
    let [a, b, c, d] = mark.to_be_bytes();
    let varint = std::array::from_fn(|index| {
        let bits = u8::try_from(mark >> (7 * index) & 0x7f).unwrap_or(0);
        bits | if index < 4 { 0x80 } else { 0 }
    });
    [[0xce, a, b, c, d], varint]
}

/// Marks that were sent to this client in any packet, or that its state shows.
fn found(sent: &Sent, wanted: &BTreeSet<u32>) -> BTreeSet<u32> {
    let by_bytes: std::collections::BTreeMap<[u8; 5], u32> = wanted
        .iter()
        .flat_map(|mark| encodings(*mark).map(|bytes| (bytes, *mark)))
        .collect();
    let windows = sent.packets.iter().flat_map(|packet| packet.windows(5));
    let in_bytes = windows.filter_map(|window| {
        let window: &[u8; 5] = window.try_into().ok()?;
        by_bytes.get(window).copied()
    });
    in_bytes
        .chain(sent.marks.intersection(wanted).copied())
        .collect()
}

/// What clients were sent and may not know, by seat.
fn leaks(sent: &[Sent], truth: &Truth) -> Vec<(Seat, usize)> {
    let leaks = sent.iter().map(|sent| {
        let allowed = truth.allowed.get(&sent.seat).cloned().unwrap_or_default();
        let forbidden: BTreeSet<u32> = truth.all.difference(&allowed).copied().collect();
        assert!(forbidden.len() > 50, "there was hardly anything to hide");
        // The tool works: what may be known is found in the same bytes.
        assert!(
            found(sent, &allowed).len() > 3,
            "{}: nothing was sent",
            sent.seat
        );
        (sent.seat, found(sent, &forbidden).len())
    });
    leaks.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_tells_a_client_of_what_it_may_not_see() {
    assert_eq!(play(HONEST, 1).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_leaks_in_one_snapshot_is_found() {
    assert_ne!(play(LEAKS_FIELD, 2).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_seen_in_one_snapshot_too_many_is_found_by_thin_and_native_clients() {
    let leaks = play(LEAKS_SIGHT, 3).await;
    assert!(leaks.iter().any(|(seat, _)| seat.0 < THIN), "{leaks:?}");
    assert!(leaks.iter().any(|(seat, _)| seat.0 >= THIN), "{leaks:?}");
}

/// Snapshots are due in every third tick; whoever comes is let in before, in or after one.
#[tokio::test]
async fn native_clients_who_come_between_any_two_ticks_are_not_sent_what_was_there_before() {
    const SEED: u64 = 4;
    let mut bench = Workbench::new::<Masked>(settings(HONEST, SEED));
    for seat in 0..4 {
        bench.enter(Seat(seat)).await;
    }
    // The first four are walking by now; the next ones come one by one, in all phases.
    bench.step(12);
    for seat in 4..10 {
        bench.enter(Seat(seat)).await;
        bench.step(4);
    }
    // Three at once, one of them in the place of an older connection.
    for seat in [10, 11, 0] {
        bench.enter(Seat(seat)).await;
    }
    bench.step(TICKS);
    assert_eq!(leaks_on_the_bench(&bench, 12, SEED), []);
}

/// In this game three ticks are a nanosecond less than a tenth of a second.
#[tokio::test]
async fn native_clients_are_sent_state_only_in_ticks_in_which_it_was_looked_at() {
    const SEED: u64 = 5;
    let mut bench = Workbench::new::<Slow>(MatchSettings {
        tick_rate_hz: 30,
        ..settings(HONEST, SEED)
    });
    for seat in 0..8 {
        bench.enter(Seat(seat)).await;
    }
    bench.step(2 * TICKS);
    assert_eq!(leaks_on_the_bench(&bench, 8, SEED), []);
}

/// The same of the first seats of a match that was stepped by hand.
fn leaks_on_the_bench(bench: &Workbench, seats: u16, seed: u64) -> Vec<(Seat, usize)> {
    let sent = (0..seats).map(|seat| Sent {
        seat: Seat(seat),
        packets: bench.sent(Seat(seat)),
        marks: BTreeSet::new(),
    });
    let sent: Vec<_> = sent.collect();
    leaks(&sent, &truths().remove(&seed).unwrap_or_default())
}
