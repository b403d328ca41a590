//! Decides who sees what. A game with hidden information calls [`limit_visibility`], or
//! [`Visibility::update`] for each snapshot; nobody receives what is not found there. A game
//! without [`Visibility`] hides nothing.
//!
//! It knows no connection.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_contract::ids::Seat;
use gameserver_stream::snapshot_buffer::Slot;

use crate::grid::Grid;
use crate::net_id::NetId;
use crate::player::Avatar;
use crate::send_schedule::SendSchedule;
use crate::snapshot::{SnapshotSlot, SnapshotSystems};

/// Share of the radius within which something comes into view. It goes out of view at the radius
/// itself, so that nothing flickers at the edge.
const ENTERS_WITHIN: f32 = 0.94;
/// Side of a cell as a share of the radius: a third of what lies in the cells is out of reach then,
/// with larger cells it is two thirds.
const CELL: f32 = 0.5;

/// Something that can be seen.
#[derive(Debug, Clone, Copy)]
pub struct Visible {
    /// Its number.
    pub id: u32,
    /// Its place in the snapshots.
    pub slot: Slot,
    /// Where it is.
    pub place: Vec2,
    /// Who sees it whatever is in the way: its own player.
    pub owner: Option<Seat>,
}

/// A look from one place to another that lies within the radius.
#[derive(Debug, Clone, Copy)]
pub struct LineOfSight {
    /// The eye.
    pub from: Vec2,
    /// What it looks at.
    pub to: Vec2,
}

/// What each seat sees, ascending by id.
#[derive(Resource, Debug, Default)]
pub struct Visibility {
    /// By the number of the seat.
    seen: Vec<View>,
    /// Counts looks.
    looks: u32,
    next: Vec<(u32, Slot)>,
    places: Vec<Vec2>,
    visible: Vec<Visible>,
    grid: Grid,
}

/// What one seat sees.
#[derive(Debug, Default)]
struct View {
    list: Vec<(u32, Slot)>,
    /// The look that it comes from.
    look: u32,
}

impl Visibility {
    /// What somebody sees, ascending by id. Who has no eyes sees nothing.
    #[must_use]
    pub fn of(&self, seat: Seat) -> &[(u32, Slot)] {
        let view = self.seen.get(usize::from(seat.0));
        view.map_or(&[], |view| &view.list)
    }

    /// Everybody whose turn it is looks once: each eye sees what lies within `radius`, unless it is
    /// somebody else's and something is in the way. Who has no eyes in their turn sees nothing any
    /// more.
    pub fn update(
        &mut self,
        schedule: &SendSchedule,
        radius: f32,
        eyes: impl Iterator<Item = (Seat, Vec2)>,
        visible: impl Iterator<Item = Visible>,
        is_clear: impl Fn(LineOfSight) -> bool,
    ) {
        self.visible.clear();
        self.visible.extend(visible);
        self.places.clear();
        self.places
            .extend(self.visible.iter().map(|seen| seen.place));
        self.grid.fill(radius * CELL, &self.places);
        self.looks = self.looks.wrapping_add(1);
        for (seat, from) in eyes.filter(|eye| schedule.is_due(eye.0)) {
            let index = usize::from(seat.0);
            if self.seen.len() <= index {
                self.seen.resize_with(index + 1, View::default);
            }
            let View { list: before, look } = &mut self.seen[index];
            *look = self.looks;
            self.next.clear();
            // Places are looked at first: they are small, and a third of what is near is too far.
            let near = self.grid.near(from, radius).filter_map(|index| {
                let reach = Reach::to(self.places[index], from, radius)?;
                Some((self.visible[index], reach))
            });
            let seen = near.filter_map(|(target, reach)| {
                let to = target.place;
                let is_seen = target.owner == Some(seat)
                    || (reach.is_enough(&target, before) && is_clear(LineOfSight { from, to }));
                is_seen.then_some(target)
            });
            self.next
                .extend(seen.map(|target| (target.id, target.slot)));
            self.next.sort_unstable_by_key(|seen| seen.0);
            std::mem::swap(before, &mut self.next);
        }
        for (view, seat) in self.seen.iter_mut().zip((0..).map(Seat)) {
            if view.look != self.looks && schedule.is_due(seat) {
                view.list.clear();
            }
        }
    }
}

/// Lets each avatar see what lies within `radius_m` of it, unless `is_clear` finds something in
/// the way; its own player sees it always. `R` holds what is in the way. Games call it in
/// [`Game::add_visibility`](crate::game::Game::add_visibility).
pub fn limit_visibility<C: Component, R: Resource>(
    app: &mut App,
    radius_m: f32,
    position: impl Fn(&C) -> Vec2 + Send + Sync + 'static,
    is_clear: impl Fn(&R, LineOfSight) -> bool + Send + Sync + 'static,
) {
    let update = move |obstacles: Res<R>,
                       schedule: Res<SendSchedule>,
                       mut visibility: ResMut<Visibility>,
                       avatars: Query<(&NetId, &SnapshotSlot, &Avatar, &C)>| {
        let eyes = avatars
            .iter()
            .map(|(_, _, avatar, body)| (avatar.seat, position(body)));
        let visible = avatars.iter().map(|(id, slot, avatar, body)| Visible {
            id: id.0,
            slot: slot.0,
            place: position(body),
            owner: Some(avatar.seat),
        });
        visibility.update(&schedule, radius_m, eyes, visible, |line| {
            is_clear(&obstacles, line)
        });
    };
    app.init_resource::<Visibility>().add_systems(
        FixedPostUpdate,
        update.in_set(SnapshotSystems::UpdateVisibility),
    );
}

/// How far something is that lies within the radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Near enough to come into view.
    Near,
    /// Near enough to stay in it.
    Edge,
}

impl Reach {
    /// None when it lies farther away than the radius.
    fn to(place: Vec2, from: Vec2, radius: f32) -> Option<Self> {
        let distance_squared = from.distance_squared(place);
        let within = |reach: f32| distance_squared <= reach * reach;
        if within(radius * ENTERS_WITHIN) {
            return Some(Self::Near);
        }
        within(radius).then_some(Self::Edge)
    }

    /// Whether that is near enough for what was seen before.
    fn is_enough(self, target: &Visible, before: &[(u32, Slot)]) -> bool {
        self == Self::Near || before.binary_search(&(target.id, target.slot)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use gameserver_stream::schema::Schema;
    use gameserver_stream::snapshot_buffer::{Actor, SnapshotBuffer};

    use super::*;

    const RADIUS: f32 = 10.0;

    /// Eyes at these places along a line, each on an entity of its own; nobody sees past 100.
    fn update(visibility: &mut Visibility, places: &[f32]) {
        update_in_turn(visibility, &SendSchedule::every(1), places);
    }

    fn update_in_turn(visibility: &mut Visibility, schedule: &SendSchedule, places: &[f32]) {
        let mut snapshots = SnapshotBuffer::new(Schema::default(), 3);
        let visible: Vec<Visible> = (1..)
            .zip(places)
            .map(|(id, x)| {
                let owner = u16::try_from(id).ok().map(Seat);
                let actor = Actor {
                    id,
                    kind: 0,
                    owner,
                    team: None,
                };
                let (slot, place) = (snapshots.enter(actor), Vec2::new(*x, 0.0));
                Visible {
                    id,
                    slot,
                    place,
                    owner,
                }
            })
            .collect();
        let eyes = visible
            .iter()
            .filter_map(|own| Some((own.owner?, own.place)));
        visibility.update(schedule, RADIUS, eyes, visible.iter().copied(), |line| {
            line.to.x < 100.0
        });
    }

    fn seen(visibility: &Visibility, seat: u16) -> Vec<u32> {
        visibility.of(Seat(seat)).iter().map(|row| row.0).collect()
    }

    #[test]
    fn an_eye_sees_its_own_and_what_is_near_and_not_hidden() {
        let mut visibility = Visibility::default();
        update(&mut visibility, &[0.0, 9.0, 99.0, 101.0]);
        assert_eq!(seen(&visibility, 1), [1, 2]);
        assert_eq!(seen(&visibility, 3), [3], "the other one is hidden");
        assert_eq!(
            seen(&visibility, 4),
            [3, 4],
            "its own is hidden from others only"
        );
    }

    #[test]
    fn what_comes_into_view_at_the_edge_goes_out_of_it_farther_away() {
        let mut visibility = Visibility::default();
        update(&mut visibility, &[0.0, 9.7]);
        assert_eq!(seen(&visibility, 1), [1]);
        update(&mut visibility, &[0.0, 9.0]);
        assert_eq!(seen(&visibility, 1), [1, 2]);
        update(&mut visibility, &[0.0, 9.7]);
        assert_eq!(seen(&visibility, 1), [1, 2]);
        update(&mut visibility, &[0.0, 10.1]);
        assert_eq!(seen(&visibility, 1), [1]);
    }

    #[test]
    fn who_does_not_look_any_more_sees_nothing() {
        let mut visibility = Visibility::default();
        update(&mut visibility, &[0.0, 1.0]);
        update(&mut visibility, &[0.0]);
        assert_eq!(seen(&visibility, 1), [1]);
        assert!(seen(&visibility, 2).is_empty());
    }

    #[test]
    fn who_looks_in_another_turn_sees_what_they_saw() {
        let (mut visibility, mut schedule) = (Visibility::default(), SendSchedule::every(2));
        schedule.assign_own(Seat(1));
        schedule.begin(1);
        update_in_turn(&mut visibility, &schedule, &[0.0, 9.0]);
        schedule.begin(2);
        update_in_turn(&mut visibility, &schedule, &[0.0, 99.0]);
        assert_eq!(seen(&visibility, 1), [1, 2], "it was not its turn");
        assert_eq!(seen(&visibility, 2), [2]);
        schedule.begin(3);
        update_in_turn(&mut visibility, &schedule, &[]);
        assert!(seen(&visibility, 1).is_empty(), "no eyes in its turn");
        assert_eq!(seen(&visibility, 2), [2]);
    }
}
