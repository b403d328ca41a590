//! Tracks which seats of a match are held, and over which links. The instance's directory decides
//! who holds a seat; this follows it. It does not know connections.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use lightyear::prelude::PeerId;

/// The number of a client's connection to this instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// The held seats.
#[derive(Resource, Debug, Default)]
pub(super) struct Seats {
    pub(super) held: BTreeMap<Seat, HeldSeat>,
}

/// A seat that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldSeat {
    /// The connection that claimed it last.
    pub(super) claim: ConnectionId,
    pub(super) presence: Presence,
}

/// Where a seat's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Connected, through the entity of that link.
    Connected(Entity),
    /// The connection broke; the seat is held for so many more ticks.
    Away { ticks_left: u32 },
}

/// lightyear's name for whoever sits there: the same after a resume.
pub(super) fn peer_of(seat: Seat) -> PeerId {
    PeerId::Netcode(u64::from(seat.0))
}

impl Seats {
    /// The link entity of a connected player.
    pub(super) fn link_of(&self, seat: Seat) -> Option<Entity> {
        self.held.get(&seat).and_then(HeldSeat::link)
    }

    /// Everybody who is connected, with the entity of their link.
    pub(super) fn connected(&self) -> impl Iterator<Item = (Seat, Entity)> + '_ {
        let held = self.held.iter();
        held.filter_map(|(seat, held)| Some((*seat, held.link()?)))
    }
}

impl HeldSeat {
    fn link(&self) -> Option<Entity> {
        match self.presence {
            Presence::Connected(link) => Some(link),
            Presence::Away { .. } => None,
        }
    }
}
