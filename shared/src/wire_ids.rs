//! The ids that registration gave to channels and messages, for code that reads or writes
//! lightyear's packets by hand. Does not know the packets.

use std::any::TypeId;

use bevy_ecs::world::World;
use lightyear::input::input_message::InputMessage;
use lightyear::prelude::input::InputChannel;
use lightyear::prelude::input::native::NativeStateSequence;
use lightyear::prelude::{
    ChannelRegistry, MessageRegistry, Ping, PingChannel, Pong, SenderMetadata,
};
use lightyear_replication::channels::RepliconChannelMap;
use lightyear_replication::metadata::MetadataChannel;

use crate::game::Game;

/// Ids of channels and messages of one game. Server and clients have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireIds {
    /// Channel of spawns, insertions, removals and despawns; servers send on it.
    pub updates_channel: u16,
    /// Channel of changed components; servers send on it.
    pub mutations_channel: u16,
    /// Channel of acknowledgements of mutations; clients send on it.
    pub acknowledgements_channel: u16,
    /// Channel of the greeting that opens a connection.
    pub greeting_channel: u16,
    /// Channel of pings and pongs.
    pub ping_channel: u16,
    /// Channel of inputs.
    pub input_channel: u16,
    /// The greeting.
    pub greeting_message: u16,
    /// A ping.
    pub ping_message: u16,
    /// A pong.
    pub pong_message: u16,
    /// Inputs of several ticks.
    pub input_message: u16,
}

impl WireIds {
    /// Reads the ids from a finished App of this game.
    ///
    /// # Panics
    ///
    /// When the App was not built with lightyear's plugins and the game's input plugin.
    #[must_use]
    pub fn of<G: Game>(world: &World) -> Self {
        let channels = world.resource::<ChannelRegistry>();
        let channel = |kind: TypeId| {
            *channels
                .get_net_from_kind(&kind.into())
                .expect("the channel is registered")
        };
        let messages = &world.resource::<MessageRegistry>().kind_map;
        let message = |kind: TypeId| {
            *messages
                .net_id(&kind.into())
                .expect("the message is registered")
        };
        let replication = world.resource::<RepliconChannelMap>();
        let input_message = TypeId::of::<InputMessage<NativeStateSequence<G::Input>>>();
        Self {
            updates_channel: replication.server_channels[0].1,
            mutations_channel: replication.server_channels[1].1,
            acknowledgements_channel: replication.client_channels[0].1,
            greeting_channel: channel(TypeId::of::<MetadataChannel>()),
            ping_channel: channel(TypeId::of::<PingChannel>()),
            input_channel: channel(TypeId::of::<InputChannel>()),
            greeting_message: message(TypeId::of::<SenderMetadata>()),
            ping_message: message(TypeId::of::<Ping>()),
            pong_message: message(TypeId::of::<Pong>()),
            input_message: message(input_message),
        }
    }
}
