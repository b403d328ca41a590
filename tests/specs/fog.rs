//! Hidden information, proven on the wire: everything that was sent to each client is searched
//! for what it may not know.

use std::collections::BTreeSet;

use bytes::Bytes;
use gameserver_contract::ids::Seat;
use gameserver_contract::session::TransportKind::{Quic, WebSocket};
use gameserver_server::Games;
use gameserver_tests::fragile::Step;
use gameserver_tests::masked::{HONEST, LEAKS_FIELD, LEAKS_SIGHT, MASKED, Masked, truth};
use gameserver_tests::patience::eventually;
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;

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

/// Plays a match and returns what each client was sent.
async fn play(mode: &str) -> Vec<Sent> {
    let stage = Stage::alone(Games::default().with::<Masked>().expect("a game")).await;
    let match_id = stage.start_match_in_mode(MASKED, mode, 1, THIN + NATIVE);
    let mut thin = Vec::new();
    for seat in 0..THIN {
        let kind = if seat % 2 == 0 { Quic } else { WebSocket };
        let player = ThinPlayer::join(&stage.join(match_id, seat), kind).await;
        thin.push((player, BTreeSet::new()));
    }
    let mut native = Vec::new();
    for seat in THIN..THIN + NATIVE {
        let player = RawPlayer::join(&stage, &stage.join(match_id, seat), Quic).await;
        native.push((player, Vec::new()));
    }
    eventually("everybody has walked for a while", || {
        for (player, marks) in &mut thin {
            player.look();
            player.press(&Step(0));
            marks.extend(known_marks(player));
        }
        for (player, packets) in &mut native {
            packets.extend(std::iter::from_fn(|| player.connection.try_recv()));
        }
        truth().tick > TICKS
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
    thin.chain(native).collect()
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
fn leaks(sent: &[Sent]) -> Vec<(Seat, usize)> {
    let truth = truth();
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
    assert_eq!(leaks(&play(HONEST).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_leaks_in_one_snapshot_is_found() {
    assert_ne!(leaks(&play(LEAKS_FIELD).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_seen_in_one_snapshot_too_many_is_found_by_thin_and_native_clients() {
    let leaks = leaks(&play(LEAKS_SIGHT).await);
    assert!(leaks.iter().any(|(seat, _)| seat.0 < THIN), "{leaks:?}");
    assert!(leaks.iter().any(|(seat, _)| seat.0 >= THIN), "{leaks:?}");
}
