//! What the engine itself sends to clients, and the plugin that both sides build their App from.
//!
//! Wire ids follow the order of registration, so both sides must add the same plugins in the same
//! order: lightyear's plugin group, then [`ProtocolPlugin`], which registers a game's components by
//! name. A difference is found when a client connects.

use std::marker::PhantomData;
use std::time::Duration;

use bevy_app::prelude::*;
use bevy_ecs::world::World;
use lightyear::prelude::input::InputConfig;
use lightyear::prelude::input::native::InputPlugin;
use lightyear::prelude::*;

use crate::declaration::{StateSchema, StateSchemaHash};
use crate::flow::MatchStatus;
use crate::game::Game;
use crate::input::{INPUT_REPEATS, INPUT_TICKS_PER_MESSAGE_MAX};
use crate::player::{Avatar, InputLateness};
use crate::tick::TickPlugin;

/// Largest packet that lightyear may make: fits a QUIC datagram before path MTU discovery has
/// raised it (1,200 bytes less QUIC's own overhead).
pub const PACKET_BYTES_MAX: usize = 1_100;

/// The part of an App that is the same on server and clients.
#[derive(Debug)]
pub struct ProtocolPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for ProtocolPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for ProtocolPlugin<G> {
    fn build(&self, app: &mut App) {
        app.add_plugins(TickPlugin);
        app.add_plugins(InputPlugin::<G::Input> {
            config: InputConfig {
                packet_redundancy: ticks_per_message::<G>(),
                ..InputConfig::default()
            },
        });
        app.component::<Avatar>().replicate_once();
        app.component::<InputLateness>().replicate();
        app.component::<MatchStatus>().replicate();
        let state = StateSchema::checked::<G>();
        state.replicate(app);
        app.insert_resource(StateSchemaHash(state.hash()));
        G::add_simulation(app);
    }
}

/// How many ticks of inputs one message of this game carries. lightyear repeats ticks, not
/// messages.
#[must_use]
pub const fn ticks_per_message<G: Game>() -> u16 {
    const {
        let ticks = INPUT_REPEATS * G::TICKS_PER_INPUT_PACKET;
        assert!(ticks > 0, "a packet has the input of one tick at least");
        assert!(
            ticks as usize <= INPUT_TICKS_PER_MESSAGE_MAX,
            "too many ticks in a packet"
        );
        ticks
    }
}

/// How long one tick of this game lasts.
#[must_use]
pub fn tick_duration<G: Game>() -> Duration {
    Duration::from_secs_f64(1.0 / f64::from(G::descriptor().tick_rate_hz))
}

/// What this App sends, replicates and declares as its state, as one number: two builds of a game
/// that give their messages, channels, components or fields another meaning have different ones.
/// Ask a finished App.
///
/// # Panics
///
/// When the App was not built with lightyear's plugins and [`ProtocolPlugin`].
#[must_use]
pub fn fingerprint(world: &mut World) -> u64 {
    let StateSchemaHash(state) = *world.resource();
    let parts = [
        world.resource_mut::<MessageRegistry>().finish(),
        world.resource_mut::<ComponentRegistry>().finish(),
        world.resource_mut::<ChannelRegistry>().finish(),
    ];
    let mut bytes = parts.map(u64::to_be_bytes).concat();
    bytes.extend(state.to_be_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
