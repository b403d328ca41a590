//! Clients that run the simulation themselves: moves packets between their connections and
//! lightyear's `Link`, through the guard.
//!
//! It does not know what is in lightyear's packets; the guard does.

use std::time::Duration;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_replicon::server::server_tick::ServerTick;
use bytes::Bytes;
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use lightyear::link::{LinkReceiveSystems, LinkSystems, recv_payload_from_bytes};
use lightyear::prelude::server::{ClientOf, LinkOf, Server, Started};
use lightyear::prelude::{
    Connected, Link, LinkMtu, Linked, LocalId, MessageSystems, PeerId, PingConfig, PingManager,
    RemoteId, ReplicationSender,
};
use lightyear::transport::plugin::TransportSystems;
use lightyear_sync::ping::plugin::PingSystems;

use super::client_link::{ClientLink, RECEIVED_PER_TICK_MAX};
use super::guard::{Guard, GuardRules};
use super::seats::peer_of;
use crate::telemetry;

/// How often a connection's round trip is measured.
const PING_INTERVAL: Duration = Duration::from_millis(100);

/// A client that runs the simulation itself, on the entity of its [`ClientLink`].
#[derive(Component, Debug, Default)]
pub(super) struct Native {
    guard: Guard,
}

/// Adds both directions.
#[derive(Debug)]
pub(super) struct NativePlugin;

impl Plugin for NativePlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(
            PreUpdate,
            receive_packets.in_set(LinkReceiveSystems::BufferToLink),
        );
        app.add_systems(PostUpdate, send_packets.in_set(LinkSystems::Send));
        // Between two replicated states there is nothing to send but acknowledged inputs and
        // answered pings: lightyear would send each player a packet in every tick for it. Both
        // wait; an answer says how long its ping did.
        let sending = (
            PingSystems::Send,
            MessageSystems::Send,
            TransportSystems::Send,
            LinkSystems::Send,
        );
        app.configure_sets(PostUpdate, sending.run_if(resource_changed::<ServerTick>));
    }
}

/// The entity that all links of native clients belong to.
#[derive(Resource, Debug, Clone, Copy)]
struct ServerEntity(Entity);

/// Makes a finished App ready for native clients.
pub(super) fn open(world: &mut World) {
    let server = world.spawn((Server::default(), Linked)).id();
    world.entity_mut(server).insert(Started);
    world.insert_resource(ServerEntity(server));
}

/// Adds a welcomed native client.
pub(super) fn spawn(world: &mut World, client: ClientLink) -> Entity {
    let ServerEntity(server) = *world.resource::<ServerEntity>();
    let peer = peer_of(client.seat());
    let mtu = client.connection().datagram_size_max();
    let link = world.spawn((
        LinkOf { server },
        Link::default().with_mtu(LinkMtu::new(mtu.min(PACKET_BYTES_MAX))),
        client,
        Native::default(),
        Linked,
        ReplicationSender,
        PingManager::new(PingConfig {
            ping_interval: PING_INTERVAL,
        }),
    ));
    let link = link.id();
    let identity = (RemoteId(peer), LocalId(PeerId::Server), ClientOf, Connected);
    world.entity_mut(link).insert(identity);
    link
}

fn receive_packets(
    rules: Res<GuardRules>,
    mut clients: Query<(&mut ClientLink, &mut Native, &mut Link)>,
) {
    for (mut client, mut native, mut link) in &mut clients {
        for _ in 0..RECEIVED_PER_TICK_MAX {
            let Some(packet) = client.receive() else {
                break;
            };
            match native.guard.check(&rules, &packet) {
                Ok(()) => link.recv.push_raw(recv_payload_from_bytes(packet)),
                Err(violation) => client.record_violation(violation.reason()),
            }
        }
    }
}

fn send_packets(mut clients: Query<(&ClientLink, &mut Link), With<Native>>) {
    for (client, mut link) in &mut clients {
        while let Some(packet) = link.send.pop() {
            send(client, packet);
        }
    }
}

fn send(client: &ClientLink, packet: Bytes) {
    if let Err(refused) = client.connection().send(packet) {
        // A closed connection is noticed after the tick; only a packet that cannot be carried
        // at all is worth counting.
        if client.end().is_none() {
            tracing::debug!(%refused, "packet not sent");
            telemetry::packet_dropped("too_large");
        }
    }
}
