//! The sample games, named here and nowhere else.

use std::pin::Pin;

use game_arena::{Arena, Battle};
use gameserver_contract::game::DescriptorError;
use gameserver_server::Games;

/// What this binary's instances host.
pub(crate) fn hosted() -> Result<Games, DescriptorError> {
    Games::default().with::<Arena>()?.with::<Battle>()
}

/// The game that sample sessions and bots play unless told otherwise.
pub(crate) const DEFAULT: &str = "arena";

/// What a bot command does with a game, whichever it is.
pub(crate) type Playing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a generic async function with the game of that name; `None` for a name that is no sample.
macro_rules! with_game {
    ($name:expr, $function:ident($($argument:expr),*)) => {
        match $name {
            "arena" => Some(Box::pin($function::<game_arena::Arena>($($argument),*)) as $crate::games::Playing<_>),
            "battle" => Some(Box::pin($function::<game_arena::Battle>($($argument),*)) as $crate::games::Playing<_>),
            _ => None,
        }
    };
}
pub(crate) use with_game;
