//! A player's view over a network that loses, delays and doubles.

use gameserver_contract::ids::Seat;
use proptest::prelude::*;

use super::crowd::Crowd;
use crate::frame::Acks;
use crate::reader::{SnapshotReader, Taken};
use crate::snapshot_buffer::Slot;
use crate::viewer::{Budget, Seen, Viewer, relation};

const SEAT: Seat = Seat(1);
const TEAM: Option<u16> = Some(1);
const PLENTY: Budget = Budget {
    bytes_per_snapshot: 60_000,
    frame_bytes_max: 60_000,
};

fn assert_knows_exactly(crowd: &Crowd, reader: &SnapshotReader, seen: &[(u32, Slot)]) {
    let known = reader.entities().ids();
    let visible: Vec<u32> = seen.iter().map(|row| row.0).collect();
    assert_eq!(known, visible);
    for (id, slot) in seen {
        let relation = relation(SEAT, TEAM, crowd.buffer.actor(*slot));
        let told = reader.entities().get(*id).unwrap().values();
        assert_eq!(told, crowd.truth(*slot, relation), "entity {id}");
    }
}

/// The way of one snapshot after the other, with what is still on its way back.
struct Path {
    viewer: Viewer,
    reader: SnapshotReader,
    acks_under_way: Vec<Acks>,
    held_back: Option<Vec<u8>>,
}

impl Path {
    fn new(crowd: &Crowd, budget: Budget) -> Self {
        Self {
            viewer: Viewer::new(SEAT, TEAM, budget),
            reader: crowd.reader(),
            acks_under_way: Vec::new(),
            held_back: None,
        }
    }

    fn send(&mut self, crowd: &mut Crowd, seen: &[(u32, Slot)]) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        let buffer = &crowd.buffer;
        let records = &mut crowd.records;
        let written = self
            .viewer
            .write(buffer, records, Seen::Only(seen), Some(2), &mut frame);
        written.then_some(frame)
    }

    /// Delivers, and brings acknowledgements back some snapshots later, or never.
    fn deliver(&mut self, crowd: &mut Crowd, frame: &[u8]) -> Taken {
        let taken = self.reader.read(frame).unwrap();
        self.acks_under_way.push(self.reader.acks());
        if crowd.below(3) > 0 {
            let late = crowd.below(u32::try_from(self.acks_under_way.len()).unwrap()) as usize;
            let acks = self.acks_under_way.remove(late);
            self.viewer.acknowledge(acks.newest, acks.before);
        }
        taken
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_snapshot_that_arrives_makes_the_client_know_exactly_what_it_may_see(
        seed: u64, loss_percent in 0u32..60
    ) {
        let mut crowd = Crowd::new(seed);
        for _ in 0..12 {
            crowd.enter();
        }
        let mut path = Path::new(&crowd, PLENTY);
        for _ in 0..150 {
            crowd.step();
            let seen = crowd.some(80);
            let frame = path.send(&mut crowd, &seen).unwrap();
            if crowd.below(100) < loss_percent {
                continue;
            }
            // Now and then a snapshot is overtaken by the next one.
            if path.held_back.is_none() && crowd.below(8) == 0 {
                path.held_back = Some(frame);
                continue;
            }
            prop_assert_eq!(path.deliver(&mut crowd, &frame), Taken::In);
            assert_knows_exactly(&crowd, &path.reader, &seen);
            if let Some(late) = path.held_back.take() {
                prop_assert_eq!(path.deliver(&mut crowd, &late), Taken::Ignored);
                assert_knows_exactly(&crowd, &path.reader, &seen);
            }
        }
    }

    #[test]
    fn with_a_small_budget_everything_arrives_within_a_second_of_standing_still(seed: u64) {
        let mut crowd = Crowd::new(seed);
        for _ in 0..100 {
            crowd.enter();
        }
        let budget = Budget { bytes_per_snapshot: 300, frame_bytes_max: 400 };
        let mut path = Path::new(&crowd, budget);
        for _ in 0..40 {
            crowd.step();
            let seen = crowd.some(95);
            if let Some(frame) = path.send(&mut crowd, &seen) {
                prop_assert!(frame.len() <= 400, "{} bytes", frame.len());
                path.deliver(&mut crowd, &frame);
            }
        }
        let seen = crowd.buffer.present().to_vec();
        for _ in 0..20 {
            crowd.capture_stillness();
            if let Some(frame) = path.send(&mut crowd, &seen) {
                path.deliver(&mut crowd, &frame);
                let acks = path.reader.acks();
                path.viewer.acknowledge(acks.newest, acks.before);
            }
        }
        assert_knows_exactly(&crowd, &path.reader, &seen);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut reader = Crowd::new(1).reader();
        let _ = reader.read(&bytes);
    }

    #[test]
    fn no_flipped_byte_makes_the_reader_panic(seed: u64, at: prop::sample::Index, to: u8) {
        let mut crowd = Crowd::new(seed);
        for _ in 0..6 {
            crowd.enter();
        }
        let mut path = Path::new(&crowd, PLENTY);
        for _ in 0..4 {
            crowd.step();
            let seen = crowd.buffer.present().to_vec();
            let mut frame = path.send(&mut crowd, &seen).unwrap();
            path.deliver(&mut crowd, &frame);
            let at = at.index(frame.len());
            frame[at] = to;
            let _ = path.reader.read(&frame);
        }
    }
}

#[test]
fn nothing_that_changes_waits_longer_than_a_second() {
    let mut crowd = Crowd::new(7);
    for _ in 0..1_000 {
        crowd.enter();
    }
    // An ordinary datagram and budget: 24 KiB/s at 20 snapshots a second.
    let budget = Budget {
        bytes_per_snapshot: 24 * 1024 / 20,
        frame_bytes_max: 1_100,
    };
    let mut path = Path::new(&crowd, budget);
    let mut stalest = 0;
    for snapshot in 0..120 {
        crowd.capture();
        let seen = crowd.buffer.present().to_vec();
        let frame = path.send(&mut crowd, &seen).unwrap();
        path.reader.read(&frame).unwrap();
        let acks = path.reader.acks();
        path.viewer.acknowledge(acks.newest, acks.before);
        // The first second streams the first full state.
        if snapshot > 20 {
            assert_eq!(path.reader.entities().len(), seen.len());
            let ages = seen
                .iter()
                .map(|(id, slot)| waiting(&crowd, &path.reader, *id, *slot));
            stalest = stalest.max(ages.max().unwrap());
        }
    }
    assert!(stalest <= 60, "an entity was {stalest} ticks old");
}

/// Ticks that the client's state of an entity lags behind, 0 when it is as it should be.
fn waiting(crowd: &Crowd, reader: &SnapshotReader, id: u32, slot: Slot) -> u32 {
    let told = reader.entities().get(id).unwrap();
    let relation = relation(SEAT, TEAM, crowd.buffer.actor(slot));
    if told.values() == crowd.truth(slot, relation) {
        return 0;
    }
    reader.tick() - told.tick()
}

#[test]
fn a_client_that_acknowledges_nothing_is_told_everything_again() {
    let mut crowd = Crowd::new(3);
    for _ in 0..5 {
        crowd.enter();
    }
    let mut path = Path::new(&crowd, PLENTY);
    for _ in 0..100 {
        crowd.step();
        let seen = crowd.buffer.present().to_vec();
        let frame = path.send(&mut crowd, &seen).unwrap();
        // A client that has just come understands each of them.
        path.reader = crowd.reader();
        assert_eq!(path.reader.read(&frame), Ok(Taken::In));
        assert_knows_exactly(&crowd, &path.reader, &seen);
    }
}

#[test]
fn acknowledgements_of_snapshots_that_were_never_sent_mean_nothing() {
    let mut crowd = Crowd::new(9);
    crowd.enter();
    let mut path = Path::new(&crowd, PLENTY);
    path.viewer.acknowledge(u32::MAX, u32::MAX);
    path.viewer.acknowledge(0, u32::MAX);
    crowd.step();
    path.viewer.acknowledge(1, u32::MAX);
    let seen = crowd.buffer.present().to_vec();
    let frame = path.send(&mut crowd, &seen).unwrap();
    assert_eq!(path.reader.read(&frame), Ok(Taken::In));
    assert_knows_exactly(&crowd, &path.reader, &seen);
}
