//! What a player sends for one tick, and what makes it unacceptable.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bevy_ecs::entity::MapEntities;
use bevy_reflect::{FromReflect, Reflectable};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The input that an avatar follows in this tick; `Default` when the player sent none.
pub use lightyear::prelude::input::native::ActionState as PlayerAction;

/// Furthest tick ahead of the server's that an input may be for: 64 ticks, about a second. A
/// client that is in step is 2 to 15 ticks ahead.
pub const INPUT_AHEAD_TICKS_MAX: u32 = 64;
/// Oldest tick that an input message may end at: later messages carry nothing that still counts.
pub const INPUT_BEHIND_TICKS_MAX: u32 = 64;
/// Input messages that carry each input, in case that some are lost.
pub const INPUT_REPEATS: u16 = 5;
/// Most ticks that one input message may carry.
pub const INPUT_TICKS_PER_MESSAGE_MAX: usize = 32;

/// What one player sends for one tick.
///
/// It is compared, repeated and stored for many ticks, so it should be a few bytes. A user derives
/// everything: `#[derive(Serialize, Deserialize, Clone, PartialEq, Debug, Default, Reflect,
/// MapEntities)]`.
pub trait PlayerInput:
    Serialize
    + DeserializeOwned
    + Clone
    + PartialEq
    + Send
    + Sync
    + Debug
    + Default
    + MapEntities
    + Reflectable
    + FromReflect
    + 'static
{
    /// Declares what may be in each field. What is not declared may be anything.
    fn declare(&self, fields: &mut impl InputFields) {
        let _ = fields;
    }

    /// Refuses values that no honest client can send. The server drops the whole message then.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    fn check(&self) -> Result<(), InputRefusal> {
        let mut check = InputCheck(Ok(()));
        self.declare(&mut check);
        check.0
    }
}

/// Takes the declaration of an input's fields, one by one.
pub trait InputFields {
    /// A number within a range.
    fn range(&mut self, name: &'static str, value: i64, range: RangeInclusive<i64>);

    /// Buttons of these names: bit 0 of `held` is the first.
    fn buttons(&mut self, names: &'static [&'static str], held: u32);

    /// A stick whose two axes go from −`extent` to `extent`.
    fn stick(&mut self, name: &'static str, axes: [i8; 2], extent: i8);

    /// A direction in 65,536 steps around a circle; there is none that is not allowed.
    fn pointer(&mut self, name: &'static str, direction: u16);
}

/// Finds the first field that is not as it was declared.
struct InputCheck(Result<(), InputRefusal>);

impl InputCheck {
    fn require(&mut self, rule: &'static str, kept: impl FnOnce() -> bool) {
        if self.0.is_ok() && !kept() {
            self.0 = Err(InputRefusal { rule });
        }
    }
}

impl InputFields for InputCheck {
    fn range(&mut self, _: &'static str, value: i64, range: RangeInclusive<i64>) {
        self.require("value_range", || range.contains(&value));
    }

    fn buttons(&mut self, names: &'static [&'static str], held: u32) {
        self.require("unknown_button", || {
            u64::from(held) >> names.len().min(32) == 0
        });
    }

    fn stick(&mut self, _: &'static str, axes: [i8; 2], extent: i8) {
        let range = -extent..=extent;
        self.require("stick_range", || {
            axes.iter().all(|axis| range.contains(axis))
        });
    }

    fn pointer(&mut self, _: &'static str, _: u16) {}
}

/// Why an input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRefusal {
    /// Short name of the rule, the label of `gs_inputs_rejected_total`.
    pub rule: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declare: impl FnOnce(&mut InputCheck)) -> Result<(), &'static str> {
        let mut check = InputCheck(Ok(()));
        declare(&mut check);
        check.0.map_err(|refusal| refusal.rule)
    }

    #[test]
    fn what_is_beyond_a_field_is_refused_by_its_rule() {
        let buttons = &["fire", "reload"];
        assert_eq!(check(|fields| fields.buttons(buttons, 3)), Ok(()));
        assert_eq!(
            check(|fields| fields.buttons(buttons, 4)),
            Err("unknown_button")
        );
        assert_eq!(
            check(|fields| fields.buttons(&[], 1)),
            Err("unknown_button")
        );
        assert_eq!(
            check(|fields| fields.stick("move", [100, -100], 100)),
            Ok(())
        );
        let beyond = |fields: &mut InputCheck| {
            fields.stick("move", [0, -101], 100);
            fields.range("card", 9, 0..=8);
        };
        assert_eq!(check(beyond), Err("stick_range"), "the first one counts");
        assert_eq!(
            check(|fields| fields.range("card", 9, 0..=8)),
            Err("value_range")
        );
    }
}
