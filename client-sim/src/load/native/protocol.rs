//! The numbers that a game's registrations give to channels, messages and components, read from a
//! client App that is built once and then dropped.

use bevy_ecs::prelude::World;
use bevy_replicon::shared::replication::registry::FnsId;
use bevy_replicon::shared::replication::rules::ReplicationRules;
use gameserver_client::headless::headless_client;
use gameserver_shared::game::Game;
use gameserver_shared::input::{INPUT_REPEATS, INPUT_TICKS_PER_MESSAGE_MAX};
use gameserver_shared::protocol::{fingerprint, ticks_per_message};
use gameserver_shared::wire_ids::WireIds;
use lightyear::prelude::PredictedSend;
use tokio::runtime::Handle;

/// Ticks whose inputs fit into one packet together with those that are repeated.
pub const PACKET_TICKS_MAX: u16 = 6;
const _: () = assert!((PACKET_TICKS_MAX * INPUT_REPEATS) as usize <= INPUT_TICKS_PER_MESSAGE_MAX);

/// What every light bot of a game has to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    /// What the Hello says.
    pub(crate) fingerprint: u64,
    /// Ids of channels and messages.
    pub(crate) ids: WireIds,
    /// The component that is sent to an avatar's own player only.
    pub(crate) predicted: FnsId,
    /// Ticks from one of the server's states to the next.
    pub(crate) ticks_per_state: u32,
    /// Ticks from one packet of the player to the next.
    pub(crate) ticks_per_packet: u16,
    /// Ticks whose inputs are in one message.
    pub(crate) ticks_per_message: u16,
}

impl Protocol {
    /// Reads the numbers from a client of this game.
    pub(crate) fn of<G: Game>(runtime: Handle) -> Self {
        let mut client = headless_client::<G>(runtime);
        Self::read::<G>(client.world_mut())
    }

    /// The same for players who send the inputs of so many ticks in a packet, 1 to
    /// [`PACKET_TICKS_MAX`], and repeat them as often.
    pub(crate) fn sending_every(self, ticks: u16) -> Self {
        let ticks = ticks.clamp(1, PACKET_TICKS_MAX);
        Self {
            ticks_per_packet: ticks,
            ticks_per_message: INPUT_REPEATS * ticks,
            ..self
        }
    }

    fn read<G: Game>(world: &mut World) -> Self {
        let fingerprint = fingerprint(world);
        let replicated = world.register_component::<PredictedSend>();
        let mut rules = world.resource::<ReplicationRules>().iter();
        let predicted = rules
            .find_map(|rule| rule.components.iter().find(|part| part.id == replicated))
            .expect("lightyear's plugins register it")
            .fns_id;
        Self {
            fingerprint,
            ids: WireIds::of::<G>(world),
            predicted,
            ticks_per_state: G::descriptor().snapshot_interval_ticks().into(),
            ticks_per_packet: G::TICKS_PER_INPUT_PACKET,
            ticks_per_message: ticks_per_message::<G>(),
        }
    }
}
