//! What a player of arena sends for one tick.

use bevy_ecs::entity::MapEntities;
use bevy_math::Vec2;
use bevy_reflect::Reflect;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

/// Stick, aim and buttons: five bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Reflect, MapEntities,
)]
pub struct ArenaInput {
    /// Stick to the right, −100 to 100 percent.
    pub stick_x: i8,
    /// Stick upwards, −100 to 100 percent.
    pub stick_y: i8,
    /// Direction of aim: 65,536 steps counter-clockwise from the right.
    pub aim: u16,
    /// Any of [`ArenaInput::FIRE`] and [`ArenaInput::RELOAD`].
    pub buttons: u8,
}

impl ArenaInput {
    /// Shoots while held.
    pub const FIRE: u8 = 1;
    /// Starts a reload.
    pub const RELOAD: u8 = 2;
    const STICK_MAX: i8 = 100;

    /// The wanted direction and share of the top speed; never longer than 1, so that no corner
    /// of the stick is faster than another.
    #[must_use]
    pub fn stick(self) -> Vec2 {
        let percent = Vec2::new(f32::from(self.stick_x), f32::from(self.stick_y));
        (percent / f32::from(Self::STICK_MAX)).clamp_length_max(1.0)
    }

    /// True when the button is held.
    #[must_use]
    pub fn holds(self, button: u8) -> bool {
        self.buttons & button != 0
    }
}

impl PlayerInput for ArenaInput {
    fn declare(&self, fields: &mut impl InputFields) {
        fields.stick("move", [self.stick_x, self.stick_y], Self::STICK_MAX);
        fields.pointer("aim", self.aim);
        fields.buttons(&["fire", "reload"], self.buttons.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stick_beyond_its_range_is_refused() {
        let refused = |input: ArenaInput| input.check().map_err(|refusal| refusal.rule);
        assert_eq!(
            refused(ArenaInput {
                stick_x: 100,
                ..Default::default()
            }),
            Ok(())
        );
        let beyond = ArenaInput {
            stick_y: -101,
            ..Default::default()
        };
        assert_eq!(refused(beyond), Err("stick_range"));
        let unknown = ArenaInput {
            buttons: 4,
            ..Default::default()
        };
        assert_eq!(refused(unknown), Err("unknown_button"));
    }

    #[test]
    fn a_diagonal_stick_is_no_faster_than_a_straight_one() {
        let diagonal = ArenaInput {
            stick_x: 100,
            stick_y: 100,
            ..Default::default()
        };
        assert!(diagonal.stick().length() <= 1.0 + 1e-6);
    }
}
