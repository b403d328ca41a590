//! Who sees what. A game with hidden information looks at each snapshot with [`Sight::look`];
//! what it does not find there, nobody is sent. A game without [`Sight`] hides nothing.
//!
//! It knows no connection.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_contract::ids::Seat;
use gameserver_stream::stage::Slot;

use crate::grid::Grid;

/// Share of the radius within which something comes into view. It goes out of view at the radius
/// itself, so that nothing flickers at the edge.
const ENTERS_WITHIN: f32 = 0.94;

/// Something that can be seen.
#[derive(Debug, Clone, Copy)]
pub struct Visible {
    /// Its number.
    pub id: u32,
    /// Its place in the snapshots.
    pub slot: Slot,
    /// Where it is.
    pub place: Vec2,
    /// Who sees it wherever they are: its own player.
    pub owner: Option<Seat>,
}

/// A look from one place to another that lies within the radius.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// The eye.
    pub from: Vec2,
    /// What it looks at.
    pub to: Vec2,
}

/// What each seat sees, ascending by id.
#[derive(Resource, Debug, Default)]
pub struct Sight {
    seen: BTreeMap<Seat, Vec<(u32, Slot)>>,
    next: Vec<(u32, Slot)>,
    places: Vec<Vec2>,
    visible: Vec<Visible>,
    grid: Grid,
}

impl Sight {
    /// What somebody sees, ascending by id. Who has no eyes sees nothing.
    #[must_use]
    pub fn of(&self, seat: Seat) -> &[(u32, Slot)] {
        self.seen.get(&seat).map_or(&[], Vec::as_slice)
    }

    /// Everybody looks once: each eye sees its own, and what lies within `radius` unless
    /// something is in the way.
    pub fn look(
        &mut self,
        radius: f32,
        eyes: impl Iterator<Item = (Seat, Vec2)>,
        visible: impl Iterator<Item = Visible>,
        is_clear: impl Fn(Glance) -> bool,
    ) {
        self.visible.clear();
        self.visible.extend(visible);
        self.places.clear();
        self.places
            .extend(self.visible.iter().map(|seen| seen.place));
        self.grid.fill(radius, &self.places);
        for (seat, from) in eyes {
            let before = self.seen.entry(seat).or_default();
            self.next.clear();
            let near = self.grid.near(from, radius);
            let near = near.map(|index| self.visible[index]);
            let seen = near.filter(|target| {
                target.owner == Some(seat)
                    || (is_within_reach(target, from, before, radius)
                        && is_clear(Glance {
                            from,
                            to: target.place,
                        }))
            });
            self.next
                .extend(seen.map(|target| (target.id, target.slot)));
            self.next.sort_unstable();
            std::mem::swap(before, &mut self.next);
        }
    }

    /// Forgets the eyes of somebody who has left.
    pub fn forget(&mut self, seat: Seat) {
        self.seen.remove(&seat);
    }
}

/// Near enough to come into view, or to stay in it.
fn is_within_reach(target: &Visible, from: Vec2, before: &[(u32, Slot)], radius: f32) -> bool {
    let is_known = before.binary_search(&(target.id, target.slot)).is_ok();
    let reach = if is_known {
        radius
    } else {
        radius * ENTERS_WITHIN
    };
    from.distance_squared(target.place) <= reach * reach
}
