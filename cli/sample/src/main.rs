//! The program `gameserver`: everything that the library can do, with the sample games.

use std::process::ExitCode;

use game_arena::{Arena, Battle};
use game_reference::Reference;
use gameserver::Games;

fn main() -> ExitCode {
    gameserver::run(
        Games::new()
            .add_with_bots::<Arena>()
            .add_with_bots::<Battle>()
            .add_with_bots::<Reference<60>>()
            .add_with_bots::<Reference<20>>(),
    )
}
