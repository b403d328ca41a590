//! A game with something to hide: walkers who meet and part, each with marked values. What
//! anybody may know is written down tick by tick, by arithmetic of its own; the modes leak on
//! purpose, so that a spec can show that it would notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;
use gameserver_shared::snapshot::SnapshotState;
use serde::{Deserialize, Serialize};

use crate::fragile::{Spot, Step, descriptor};

/// The game's name.
pub const MASKED: &str = "masked";
/// A mode that hides what it should.
pub const HONEST: &str = "honest";
/// A mode in which an owner's value is shown to all, in one snapshot.
pub const LEAKS_FIELD: &str = "leaks-field";
/// A mode in which everybody sees everybody, in one snapshot.
pub const LEAKS_SIGHT: &str = "leaks-sight";

/// How far a walker sees.
pub const RADIUS_M: f32 = 14.0;
const FIELD_M: f32 = 60.0;
const STEP_M: f32 = 0.6;
/// The tick of the planted leak: when everybody has walked for two seconds.
const LEAK_TICK: u32 = 240;
/// Ticks for which a mark lasts; a multiple of the snapshot interval, here and in [`Slow`].
const MARK_TICKS: u32 = 45;
/// Marks are large, so that they have five bytes in every encoding.
const MARK_MIN: u32 = 1 << 29;

/// The game.
#[derive(Debug, Clone, Copy, Default)]
pub struct Masked;

/// The same with longer ticks, whose length in nanoseconds is rounded down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slow;

/// What may be known of a walker by those who see it, and by its owner.
#[derive(Component, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Walker {
    place: Vec2,
    heading: Vec2,
    /// Everybody who sees the walker may know it.
    mark: u32,
}

/// What only its owner may know of a walker.
#[derive(Component, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    seat: Seat,
    secret: u32,
}

impl MatchState for Walker {
    fn declare(walker: Declaration<Self>) -> Declaration<Self> {
        let place = |name| Field::line(name, 0.0, 64.0, 1.0 / 64.0);
        walker
            .replicated()
            .field(place("x"), |walker| walker.place.x)
            .field(place("y"), |walker| walker.place.y)
            .field(Field::integer("mark", u32::MAX), |walker| walker.mark)
    }
}

impl MatchState for Secret {
    fn declare(own: Declaration<Self>) -> Declaration<Self> {
        let secret = Field::integer("secret", u32::MAX).shown_to(Audience::Owner);
        own.field(secret, |own| own.secret)
    }
}

/// What each seat may ever have known, and every mark and secret that there ever was.
#[derive(Debug, Default)]
pub struct Truth {
    /// By seat.
    pub allowed: BTreeMap<Seat, BTreeSet<u32>>,
    /// Everything.
    pub all: BTreeSet<u32>,
    /// The newest tick that is in here.
    pub tick: u32,
}

/// By the match's seed: matches go on while those of other specs begin.
static TRUTHS: Mutex<BTreeMap<u64, Truth>> = Mutex::new(BTreeMap::new());

/// What is true so far of each match, by its seed. Each spec plays with a seed of its own.
pub fn truths() -> MutexGuard<'static, BTreeMap<u64, Truth>> {
    TRUTHS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Game for Masked {
    type Input = Step;
    type Motion = Spot;

    fn descriptor() -> GameDescriptor {
        descriptor(MASKED, &[HONEST, LEAKS_FIELD, LEAKS_SIGHT])
    }

    fn state(state: &mut StateBuilder) {
        state.component::<Spot>();
        state.avatar("walker").with::<Walker>().with::<Secret>();
    }

    fn add_simulation(_: &mut App) {}

    fn add_rules(app: &mut App) {
        app.add_systems(
            FixedUpdate,
            (seat_players, walk, change_marks)
                .chain()
                .in_set(TickSystems::ApplyRules),
        );
    }

    fn add_visibility(app: &mut App) {
        app.init_resource::<Visibility>();
        app.add_systems(
            FixedPostUpdate,
            (
                plant_field_leak
                    .after(SnapshotSystems::Capture)
                    .before(SnapshotSystems::Finish),
                (write_truth, look)
                    .chain()
                    .in_set(SnapshotSystems::UpdateVisibility),
            ),
        );
    }
}

impl Game for Slow {
    type Input = Step;
    type Motion = Spot;

    fn descriptor() -> GameDescriptor {
        GameDescriptor {
            tick_rate_hz: 30,
            snapshot_rate_hz: 10,
            ..Masked::descriptor()
        }
    }

    fn state(state: &mut StateBuilder) {
        Masked::state(state);
    }

    fn add_simulation(app: &mut App) {
        Masked::add_simulation(app);
    }

    fn add_rules(app: &mut App) {
        Masked::add_rules(app);
    }

    fn add_visibility(app: &mut App) {
        Masked::add_visibility(app);
    }
}

fn seat_players(mut commands: Commands, mut rng: ResMut<MatchRng>, mut players: NewPlayers) {
    for new in players.read() {
        let place = Vec2::new(rng.unit(), rng.unit()) * FIELD_M;
        let heading = Vec2::from_angle(rng.unit() * std::f32::consts::TAU);
        let (mark, secret) = (mark(&mut rng), mark(&mut rng));
        let seat = new.seat;
        commands.spawn((
            Avatar { seat },
            Spot::default(),
            Walker {
                place,
                heading,
                mark,
            },
            Secret { seat, secret },
        ));
    }
}

fn mark(rng: &mut MatchRng) -> u32 {
    MARK_MIN + rng.below(u32::MAX - MARK_MIN)
}

/// Straight on, and another way now and then and at the edge.
fn walk(mut rng: ResMut<MatchRng>, mut walkers: Query<&mut Walker>) {
    for mut walker in &mut walkers {
        let next = walker.place + walker.heading * STEP_M;
        let inside = next.clamp(Vec2::ZERO, Vec2::splat(FIELD_M));
        if inside != next || rng.below(60) == 0 {
            walker.heading = Vec2::from_angle(rng.unit() * std::f32::consts::TAU);
        }
        walker.place = inside;
    }
}

/// New marks, in the tick after one that is shown: nobody may know them before the next look.
fn change_marks(
    tick: CurrentTick,
    mut rng: ResMut<MatchRng>,
    mut walkers: Query<(&mut Walker, &mut Secret)>,
) {
    if tick.number() % MARK_TICKS == 1 {
        for (mut walker, mut own) in &mut walkers {
            walker.mark = mark(&mut rng);
            own.secret = mark(&mut rng);
        }
    }
}

/// Pair by pair, without the engine's grid, and without its hysteresis, which only hides more.
fn write_truth(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    walkers: Query<(&Walker, &Secret)>,
) {
    let mut truths = truths();
    let truth = truths.entry(settings.seed).or_default();
    truth.tick = tick.number();
    for (eye, own) in &walkers {
        let seen = walkers
            .iter()
            .filter(|(other, _)| other.place.distance(eye.place) <= RADIUS_M);
        let marks: Vec<u32> = seen.map(|(other, _)| other.mark).collect();
        truth.all.extend([eye.mark, own.secret]);
        let allowed = truth.allowed.entry(own.seat).or_default();
        allowed.extend(marks);
        allowed.insert(own.secret);
    }
}

fn look(
    tick: CurrentTick,
    (schedule, settings): (Res<SendSchedule>, Res<MatchSettings>),
    mut visibility: ResMut<Visibility>,
    walkers: Query<(&NetId, &SnapshotSlot, &Secret, &Walker)>,
) {
    let leaks = settings.mode == LEAKS_SIGHT && tick.number() == LEAK_TICK;
    let radius = if leaks { 2.0 * FIELD_M } else { RADIUS_M };
    let eyes = walkers
        .iter()
        .map(|(_, _, own, walker)| (own.seat, walker.place));
    let visible = walkers.iter().map(|(id, place, own, walker)| Visible {
        id: id.0,
        slot: place.0,
        place: walker.place,
        owner: Some(own.seat),
    });
    visibility.update(&schedule, radius, eyes, visible, |_| true);
}

/// For one snapshot, the mark that all may see is the secret that none but the owner may.
fn plant_field_leak(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    mut shown: ResMut<SnapshotState>,
    walkers: Query<(&SnapshotSlot, &Secret)>,
) {
    if settings.mode == LEAKS_FIELD && tick.number() == LEAK_TICK {
        for (place, own) in &walkers {
            shown.snapshots.row_mut(place.0)[2] = own.secret;
        }
    }
}
