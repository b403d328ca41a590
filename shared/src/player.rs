//! Players as a match sees them: seats, avatars, coming and going. Connections are not known here.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::{PlayerId, Seat};
use serde::{Deserialize, Serialize};

/// Marks the entity that a player controls. The game's rules spawn it when they see
/// [`PlayerJoined`]; the engine then sends it to everybody, lets its own player predict it and
/// feeds it that player's inputs.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avatar {
    /// Whose it is.
    pub seat: Seat,
}

/// Marks what is simulated here: every avatar on the server, the own one on a client. The engine
/// inserts it; the game's simulation asks for it.
#[derive(Component, Debug, Clone, Copy, Default)]
pub struct Simulated;

/// How often an avatar's input for a tick had not come when the tick was simulated, so that the
/// previous one was repeated. Everybody may see it; a client shows it to its own player.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputLateness {
    /// Ticks since the avatar was spawned.
    pub ticks: u32,
}

/// A player took a seat. Server only.
#[derive(Message, Debug, Clone, PartialEq, Eq)]
pub struct PlayerJoined {
    /// The seat.
    pub seat: Seat,
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
}

/// A player gave up their seat. Server only. A player whose connection broke keeps the seat for
/// a while and is not reported here.
#[derive(Message, Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerLeft {
    /// The seat.
    pub seat: Seat,
    /// The account.
    pub player: PlayerId,
}

/// Who sits where. Server only; changed by the engine before the tick.
#[derive(Resource, Debug, Default)]
pub struct Roster {
    /// By seat, so that iteration has one order.
    pub seats: BTreeMap<Seat, SeatedPlayer>,
}

/// A player on a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatedPlayer {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
}
