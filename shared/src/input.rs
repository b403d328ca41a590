//! What a player sends for one tick, and what makes it unacceptable.

use std::fmt::Debug;

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
    /// Refuses values that no honest client can send. The server drops the whole message then.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    fn check(&self) -> Result<(), InputRefusal>;
}

/// Why an input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRefusal {
    /// Short name of the rule, the label of `gs_inputs_rejected_total`.
    pub rule: &'static str,
}
