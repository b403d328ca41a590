//! Frames that our server would not send: a client understands what the protocol allows, refuses
//! the rest, and stays within its bounds.

use super::crowd::Crowd;
use crate::frame::SNAPSHOT;
use crate::reader::{ENTITIES_MAX, SNAPSHOTS_MAX, SnapshotReader, Taken};
use crate::wire::{WireError, put_array, put_nil, put_uint};

const FIGHTER: u32 = 0;
const CRATE: u32 = 1;

/// A snapshot that forgets some and has these groups: age and integers.
fn snapshot(number: u32, tick: u32, gone: &[u32], groups: &[(u32, &[u32])]) -> Vec<u8> {
    let mut out = Vec::new();
    put_array(&mut out, 6);
    put_uint(&mut out, SNAPSHOT);
    put_uint(&mut out, number);
    put_uint(&mut out, tick);
    put_nil(&mut out);
    put_array(&mut out, gone.len());
    for id in gone {
        put_uint(&mut out, *id);
    }
    put_array(&mut out, 2 * groups.len());
    for (age, integers) in groups {
        put_uint(&mut out, *age);
        put_array(&mut out, integers.len());
        for integer in *integers {
            put_uint(&mut out, *integer);
        }
    }
    out
}

fn reader() -> SnapshotReader {
    Crowd::new(1).reader()
}

#[test]
fn an_entity_does_not_become_another_kind() {
    let mut reader = reader();
    let whole = snapshot(1, 3, &[], &[(0, &[4, CRATE, 0])]);
    assert_eq!(reader.read(&whole), Ok(Taken::In));
    let other = snapshot(2, 6, &[], &[(0, &[4, FIGHTER, 0])]);
    assert_eq!(reader.read(&other), Err(WireError::Malformed("kind")));
    let forgotten_first = snapshot(3, 6, &[4], &[(0, &[4, FIGHTER, 0])]);
    assert_eq!(reader.read(&forgotten_first), Ok(Taken::In));
    // The state of the crate has no fifth field.
    let to_the_crate = snapshot(4, 9, &[], &[(6, &[4, 0x10, 2])]);
    assert_eq!(reader.read(&to_the_crate), Ok(Taken::Ignored));
}

#[test]
fn the_last_of_two_kinds_in_one_snapshot_counts() {
    let mut reader = reader();
    let both = snapshot(1, 3, &[], &[(0, &[4, CRATE, 0]), (0, &[4, FIGHTER, 0])]);
    assert_eq!(reader.read(&both), Ok(Taken::In));
    let difference = snapshot(2, 6, &[], &[(3, &[4, 0x10, 2])]);
    assert_eq!(reader.read(&difference), Ok(Taken::In));
    assert_eq!(reader.entities().get(4).unwrap().values(), [0, 0, 0, 0, 1]);
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    let mut reader = reader();
    let frame = |value| snapshot(1, 3, &[], &[(0, &[4, CRATE, 1, value])]);
    assert_eq!(reader.read(&frame(10)), Err(WireError::Malformed("value")));
    assert_eq!(reader.read(&frame(9)), Ok(Taken::In));
}

#[test]
fn a_difference_to_what_the_same_snapshot_makes_forgotten_is_ignored() {
    let mut reader = reader();
    let whole = snapshot(1, 3, &[], &[(0, &[4, CRATE, 0])]);
    assert_eq!(reader.read(&whole), Ok(Taken::In));
    let frame = snapshot(2, 6, &[4], &[(3, &[4, 1, 2])]);
    assert_eq!(reader.read(&frame), Ok(Taken::Ignored));
    assert_eq!(reader.entities().len(), 1);
}

#[test]
fn ticks_that_stand_still_or_go_back_keep_a_bounded_past() {
    for tick_of in [|_| 3_000, |number| 3_000 - 3 * number] {
        let mut reader = reader();
        for number in 1..200 {
            let frame = snapshot(number, tick_of(number), &[], &[(0, &[4, CRATE, 0])]);
            assert_eq!(reader.read(&frame), Ok(Taken::In));
        }
        assert!(reader.snapshots() <= SNAPSHOTS_MAX);
    }
}

#[test]
fn more_entities_than_a_match_has_are_refused() {
    let mut reader = reader();
    let per_frame = ENTITIES_MAX / 4;
    let frame = |number: u32, first: u32| {
        let mut integers = vec![first, CRATE, 0];
        integers.extend([1, CRATE, 0].repeat(per_frame - 1));
        snapshot(number, 3 * number, &[], &[(0, &integers)])
    };
    let step = u32::try_from(per_frame).unwrap();
    for part in 0..4 {
        let told = reader.read(&frame(part + 1, 1 + part * step));
        assert_eq!(told, Ok(Taken::In));
    }
    assert_eq!(reader.entities().len(), ENTITIES_MAX);
    let one_more = snapshot(5, 15, &[], &[(0, &[100_000, CRATE, 0])]);
    assert_eq!(reader.read(&one_more), Err(WireError::TooLong("entities")));
    assert_eq!(reader.read(&frame(5, 1)), Ok(Taken::In));
    let in_place = snapshot(6, 18, &[1], &[(0, &[100_000, CRATE, 0])]);
    assert_eq!(reader.read(&in_place), Ok(Taken::In));
}

#[test]
fn a_difference_is_to_what_was_known_then_whether_or_not_it_was_told_then() {
    let mut reader = reader();
    // Entity 4: how much more health than so many ticks ago, as zigzag.
    let health = |age, zigzag| (age, vec![4, 0x10, zigzag]);
    for (number, tick, groups) in [
        (
            1,
            3,
            vec![(0, vec![4, FIGHTER, 0]), (0, vec![5, FIGHTER, 0])],
        ),
        // The first one's health becomes 1, the other is not told of.
        (2, 6, vec![health(3, 2)]),
        (3, 9, vec![(3, vec![5, 0x10, 2])]),
        (4, 12, vec![health(6, 4)]),
        // At tick 9 it was 1, by the snapshot before; at tick 3 it was 0.
        (5, 15, vec![health(6, 6)]),
        (6, 18, vec![health(15, 10)]),
    ] {
        let groups: Vec<_> = groups
            .iter()
            .map(|(age, all)| (*age, all.as_slice()))
            .collect();
        let frame = snapshot(number, tick, &[], &groups);
        assert_eq!(reader.read(&frame), Ok(Taken::In), "snapshot {number}");
        let expected = [0, 1, 1, 3, 4, 5][number as usize - 1];
        assert_eq!(
            reader.entities().get(4).unwrap().values()[4],
            expected,
            "snapshot {number}"
        );
    }
}

#[test]
fn a_difference_to_what_was_before_an_entity_was_forgotten_is_ignored() {
    let mut reader = reader();
    let whole = |number, tick, gone: &[u32]| snapshot(number, tick, gone, &[(0, &[4, CRATE, 0])]);
    assert_eq!(reader.read(&whole(1, 3, &[])), Ok(Taken::In));
    assert_eq!(reader.read(&whole(2, 6, &[4])), Ok(Taken::In));
    let to_before = snapshot(3, 9, &[], &[(6, &[4, 1, 2])]);
    assert_eq!(reader.read(&to_before), Ok(Taken::Ignored));
    let to_after = snapshot(4, 9, &[], &[(3, &[4, 1, 2])]);
    assert_eq!(reader.read(&to_after), Ok(Taken::In));
}
