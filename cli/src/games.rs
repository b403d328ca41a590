//! The sample games, named here and nowhere else.

use game_arena::Arena;
use gameserver_contract::game::DescriptorError;
use gameserver_server::Games;

/// What this binary's instances host.
pub(crate) fn hosted() -> Result<Games, DescriptorError> {
    Games::default().with::<Arena>()
}

/// The game that sample sessions and bots play unless told otherwise.
pub(crate) const DEFAULT: &str = "arena";

/// Runs a generic function with the game of that name; `None` for a name that is no sample.
macro_rules! with_game {
    ($name:expr, $function:ident($($argument:expr),*)) => {
        match $name {
            "arena" => Some($function::<game_arena::Arena>($($argument),*)),
            _ => None,
        }
    };
}
pub(crate) use with_game;
