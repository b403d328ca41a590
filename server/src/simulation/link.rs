//! Moves packets between a player's connection and lightyear's `Link`, through the guard.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_replicon::server::server_tick::ServerTick;
use bytes::Bytes;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use lightyear::link::{LinkReceiveSystems, LinkSystems, recv_payload_from_bytes};
use lightyear::prelude::{Link, MessageSystems};
use lightyear::transport::plugin::TransportSystems;
use lightyear_sync::ping::plugin::PingSystems;

use super::guard::{Guard, GuardRules};
use crate::telemetry;

/// Packets taken from one connection in one tick: a client sends one or two. What is more waits
/// in the connection's bounded queue.
const PACKETS_PER_TICK_MAX: usize = 16;
/// Refused packets after which a connection is closed: an honest client sends none.
const VIOLATIONS_MAX: u32 = 16;

/// A player's connection, on the entity that stands for it.
#[derive(Component, Debug)]
pub(super) struct PlayerLink {
    connection: Connection,
    guard: Guard,
    violations: u32,
}

impl PlayerLink {
    /// Wraps a welcomed connection.
    #[must_use]
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            guard: Guard::default(),
            violations: 0,
        }
    }

    /// The connection.
    #[must_use]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn admit(&mut self, rules: &GuardRules, packet: &[u8]) -> bool {
        let Err(violation) = self.guard.check(rules, packet) else {
            return true;
        };
        telemetry::packet_dropped(violation.reason());
        self.violations += 1;
        if self.violations == VIOLATIONS_MAX {
            self.connection
                .close(CloseCode::ProtocolError, "too many unacceptable packets");
        }
        false
    }
}

/// Adds both directions.
#[derive(Debug)]
pub(super) struct LinkPlugin;

impl Plugin for LinkPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(
            PreUpdate,
            receive_packets.in_set(LinkReceiveSystems::BufferToLink),
        );
        app.add_systems(PostUpdate, send_packets.in_set(LinkSystems::Send));
        // Between two replicated states there is nothing to say but that inputs came, and to answer
        // pings: lightyear would send each player a packet in every tick for it. Both wait; an
        // answer says how long its ping did.
        let sending = (
            PingSystems::Send,
            MessageSystems::Send,
            TransportSystems::Send,
            LinkSystems::Send,
        );
        app.configure_sets(PostUpdate, sending.run_if(resource_changed::<ServerTick>));
    }
}

fn receive_packets(rules: Res<GuardRules>, mut links: Query<(&mut PlayerLink, &mut Link)>) {
    for (mut player, mut link) in &mut links {
        for _ in 0..PACKETS_PER_TICK_MAX {
            let Some(packet) = player.connection.try_recv() else {
                break;
            };
            if player.admit(&rules, &packet) {
                link.recv.push_raw(recv_payload_from_bytes(packet));
            }
        }
    }
}

fn send_packets(mut links: Query<(&PlayerLink, &mut Link)>) {
    for (player, mut link) in &mut links {
        while let Some(packet) = link.send.pop() {
            send(player, packet);
        }
    }
}

fn send(player: &PlayerLink, packet: Bytes) {
    if let Err(refused) = player.connection.send(packet) {
        // A closed connection is noticed after the tick; only a packet that cannot be carried
        // at all is worth counting.
        if player.connection.closed().is_none() {
            tracing::debug!(%refused, "packet not sent");
            telemetry::packet_dropped("too_large");
        }
    }
}
