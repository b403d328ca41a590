//! An App for a client without a window: for bots and tests.

use bevy_app::{App, TaskPoolPlugin};
use bevy_state::app::StatesPlugin;
use bevy_time::TimePlugin;
use gameserver_shared::game::Game;
use tokio::runtime::Handle;

use crate::plugin::ClientPlugin;

/// Builds a headless client of this game. Call `update` once a frame.
pub fn headless_client<G: Game>(runtime: Handle) -> App {
    let mut app = App::new();
    app.set_error_handler(bevy_ecs::error::warn);
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, StatesPlugin));
    app.add_plugins(ClientPlugin::<G>::new(runtime));
    app.finish();
    app.cleanup();
    app
}
