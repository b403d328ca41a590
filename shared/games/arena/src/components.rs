//! What an avatar consists of.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

/// Where a fighter is and moves: what the own player predicts.
#[derive(Component, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// Centre, metres.
    pub position: Vec2,
    /// Metres a second.
    pub velocity: Vec2,
    /// Direction of aim, as in the input.
    pub aim: u16,
    /// Counts deaths and returns, so that a jump by the rules is told from a wrong prediction.
    pub life: u16,
    /// False between death and coming back: nothing moves and nothing shoots then.
    pub alive: bool,
}

impl PredictedState for Body {
    fn moved_by_server(confirmed: &Self, predicted: &Self) -> bool {
        confirmed.life != predicted.life
    }
}

/// The weapon's state: predicted too, so that the own shots show at once.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weapon {
    /// Shots left in the magazine.
    pub ammunition: u16,
    /// The next shot or the end of a reload, as a tick.
    pub ready_at_tick: u32,
    /// The tick of the last shot; 0 for none yet.
    pub fired_at_tick: u32,
    /// Counts shots, and begins again after 255.
    pub shots: u8,
    /// True while a reload is under way.
    pub reloading: bool,
}

/// What only the rules change and everybody may see.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fighter {
    /// 0 is dead.
    pub health: u16,
    /// Opponents defeated: the score that a match is won by.
    pub kills: u16,
    /// Times defeated.
    pub deaths: u16,
    /// The tick of the next return after death, and of the end of protection after a return.
    pub changes_at_tick: u32,
}
