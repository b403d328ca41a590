//! What happens in a match and is told: who came, who went, who defeated whom.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use serde::Serialize;

/// Longest payload of an event in bytes.
pub const EVENT_BYTES_MAX: usize = 32 * 1024;

/// Something that players are told, in the tick in which it is written. Server only. It reaches
/// thin clients, spectators and replays; native clients see the state itself.
#[derive(Message, Debug, Clone, PartialEq, Eq)]
pub struct MatchEvent {
    /// What happened; one word that the game's documentation explains.
    pub name: &'static str,
    /// The rest, as one MessagePack array.
    pub payload: Vec<u8>,
    /// The players who are told; everybody when absent. Watchers and the match log are told of
    /// everything.
    pub only: Option<Vec<Seat>>,
}

impl MatchEvent {
    /// An event with this payload: a tuple, an array or a list of plain data.
    ///
    /// # Panics
    ///
    /// When the payload is no plain data, or has more than [`EVENT_BYTES_MAX`] bytes.
    #[must_use]
    pub fn new(name: &'static str, payload: &impl Serialize) -> Self {
        let payload = rmp_serde::to_vec(payload).expect("events are plain data");
        assert!(
            payload.len() <= EVENT_BYTES_MAX,
            "event {name} is too large"
        );
        Self {
            name,
            payload,
            only: None,
        }
    }

    /// The same, told to nobody but these players.
    #[must_use]
    pub fn told_to(self, seats: Vec<Seat>) -> Self {
        Self {
            only: Some(seats),
            ..self
        }
    }

    /// Whether this player is told.
    #[must_use]
    pub fn is_for(&self, seat: Seat) -> bool {
        self.only.as_ref().is_none_or(|seats| seats.contains(&seat))
    }
}
