//! What an instance keeps for a thin client, beside its link.

use bevy_ecs::prelude::*;
use gameserver_shared::stream::viewer::{Budget, Viewer};

use super::chat::chat_allowance;
use crate::simulation::allowance::Allowance;
use crate::simulation::client_link::ClientLink;

/// What a client is sent on average: the budget of a shooter.
const BYTES_PER_S: usize = 24 * 1024;

/// A client that receives the snapshot stream, on the entity of its [`ClientLink`].
#[derive(Component, Debug)]
#[require(Lead)]
pub(in crate::simulation) struct Thin {
    pub(super) viewer: Viewer,
    pub(super) chat: Allowance,
}

impl Thin {
    /// Of a client that was sent no snapshot yet.
    pub(super) fn new(client: &ClientLink, ticks_per_s: u32, snapshot_interval: u32) -> Self {
        let snapshots_per_s = (ticks_per_s / snapshot_interval.max(1)).max(1);
        let budget = Budget {
            bytes_per_snapshot: BYTES_PER_S / snapshots_per_s as usize,
            frame_bytes_max: client.connection().datagram_size_max(),
        };
        let seat = client.seat();
        Self {
            viewer: Viewer::new(seat, Some(seat.0), budget),
            chat: chat_allowance(),
        }
    }
}

/// How early a thin player's inputs come, on the entity of the link.
#[derive(Component, Debug, Clone, Copy, Default)]
pub(super) struct Lead {
    /// The newest tick that an input came for, late or not.
    pub(super) newest: Option<u32>,
}

impl Lead {
    /// Ticks that the newest input is ahead of this one; none before the first.
    pub(super) fn at(self, tick: u32) -> Option<i32> {
        let ahead = i64::from(self.newest?) - i64::from(tick);
        i32::try_from(ahead).ok()
    }
}
