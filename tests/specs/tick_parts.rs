//! Where a tick's time goes: each part is charged with what happens in it, and all of them are the
//! whole tick.

use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use game_arena::Arena;
use gameserver_contract::ids::PlayerId;
use gameserver_server::simulation::{TickPart, TickParts, build_match};
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::player::{PlayerJoined, seat_player};
use gameserver_shared::prelude::*;
use uuid::Uuid;

/// What somebody works at in one place; far more than all other work of so small a match.
const WORK: Duration = Duration::from_millis(20);
/// A snapshot is due in every third tick; the first update may pass without one.
const TICKS: u32 = 6;

/// A match of two fighters.
fn small_match() -> App {
    let mut app = build_match::<Arena>(MatchSettings {
        mode: "ffa".to_owned(),
        players_min: 2,
        players_max: 2,
        tick_rate_hz: 60,
        seed: 7,
    });
    for seat in 0..2 {
        let joined = PlayerJoined {
            seat: Seat(seat),
            player: PlayerId(Uuid::from_u128(seat.into())),
            display_name: format!("player {seat}"),
        };
        seat_player(app.world_mut(), joined);
    }
    app
}

/// Steps as a host does. What each part took, summed over some ticks, and the time of all.
fn step(app: &mut App) -> ([Duration; TickPart::COUNT], Duration) {
    let (mut sums, mut whole) = ([Duration::ZERO; TickPart::COUNT], Duration::ZERO);
    for _ in 0..TICKS {
        let began = Instant::now();
        app.world_mut().resource_mut::<TickParts>().begin();
        app.update();
        let mut parts = app.world_mut().resource_mut::<TickParts>();
        parts.end(TickPart::Replicate);
        parts.end(TickPart::AfterWork);
        for (sum, spent) in sums.iter_mut().zip(parts.spent()) {
            *sum += *spent;
        }
        whole += began.elapsed();
    }
    (sums, whole)
}

fn work() {
    let began = Instant::now();
    while began.elapsed() < WORK {
        std::hint::spin_loop();
    }
}

/// The part that is charged when somebody works in this place.
fn charged(schedule: impl ScheduleLabel, set: impl SystemSet) -> TickPart {
    let mut app = small_match();
    app.add_systems(schedule, work.in_set(set));
    let (sums, _) = step(&mut app);
    let most = TickPart::ALL.into_iter().zip(sums).max_by_key(|row| row.1);
    let (part, spent) = most.expect("there are parts");
    assert!(spent >= WORK, "{spent:?} for {part:?}");
    part
}

#[test]
fn a_tick_is_the_sum_of_its_parts() {
    let mut app = small_match();
    let (sums, whole) = step(&mut app);
    for (part, sum) in TickPart::ALL.into_iter().zip(sums) {
        assert!(sum > Duration::ZERO, "{part:?} was not noted");
    }
    let sum: Duration = sums.iter().sum();
    assert!(sum <= whole, "{sum:?} of {whole:?}");
    assert!(sum >= whole / 2, "{sum:?} of {whole:?}");
}

/// A set of no order, for places that have none.
#[derive(SystemSet, Debug, Clone, PartialEq, Eq, Hash)]
struct Anywhere;

#[test]
fn work_is_charged_to_the_part_in_which_it_is_done() {
    use TickPart as Part;
    assert_eq!(charged(PreUpdate, Anywhere), Part::Receive);
    assert_eq!(charged(FixedPreUpdate, Anywhere), Part::ReadInputs);
    let in_tick = [
        (TickSystems::ReadInputs, Part::ReadInputs),
        (TickSystems::Simulate, Part::Simulate),
        (TickSystems::ResolveHits, Part::ResolveHits),
        (TickSystems::ApplyRules, Part::ApplyRules),
        (TickSystems::HashState, Part::HashState),
        (TickSystems::Publish, Part::Publish),
    ];
    for (set, part) in in_tick {
        assert_eq!(charged(FixedUpdate, set), part);
    }
    let of_snapshot = [
        (SnapshotSystems::Enter, Part::Capture),
        (SnapshotSystems::Capture, Part::Capture),
        (SnapshotSystems::Finish, Part::Capture),
        (SnapshotSystems::UpdateVisibility, Part::Look),
        (SnapshotSystems::Send, Part::SendSnapshots),
    ];
    for (set, part) in of_snapshot {
        assert_eq!(charged(FixedPostUpdate, set), part);
    }
    assert_eq!(charged(PostUpdate, Anywhere), Part::Replicate);
}
