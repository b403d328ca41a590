//! The sample games, named here and nowhere else.

use std::pin::Pin;

use game_arena::{Arena, Battle};
use game_reference::Reference;
use gameserver_server::{GameError, Games};

use crate::error::CliError;

/// What this binary's instances host.
pub(crate) fn hosted() -> Result<Games, GameError> {
    Games::default()
        .with::<Arena>()?
        .with::<Battle>()?
        .with::<Reference<60>>()?
        .with::<Reference<20>>()
}

/// Their names.
pub(crate) const NAMES: [&str; 4] = ["arena", "battle", "reference-60", "reference-20"];

/// The game that sample sessions and bots play unless told otherwise.
pub(crate) const DEFAULT: &str = "arena";

/// The game that a crowd plays.
pub(crate) const CROWD: &str = "battle";

/// What to say to somebody who wants bots for another game.
pub(crate) fn without_bots(game: &str) -> CliError {
    let names = NAMES.join(", ");
    CliError::Usage(format!(
        "this binary has no bots for {game}; it has them for {names}"
    ))
}

/// What a command does with a game, whichever it is.
pub(crate) type Playing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a generic async function with the game of that name, or says that there is none.
macro_rules! with_game {
    ($name:expr, $function:ident($($argument:expr),*)) => {
        match $name {
            "arena" => with_game!(@ game_arena::Arena, $function($($argument),*)),
            "battle" => with_game!(@ game_arena::Battle, $function($($argument),*)),
            "reference-60" => {
                with_game!(@ game_reference::Reference<60>, $function($($argument),*))
            }
            "reference-20" => {
                with_game!(@ game_reference::Reference<20>, $function($($argument),*))
            }
            other => Err($crate::games::without_bots(other)),
        }
    };
    (@ $game:ty, $function:ident($($argument:expr),*)) => {
        Ok(Box::pin($function::<$game>($($argument),*)) as $crate::games::Playing<_>)
    };
}
pub(crate) use with_game;
