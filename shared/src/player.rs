//! Players as a match sees them: seats, avatars, coming and going. Connections are not known here.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use gameserver_contract::ids::{PlayerId, Seat};
use serde::{Deserialize, Serialize};

use crate::flow::{Departed, ScoreOf};

/// Marks the entity that a player controls. The game's rules spawn it for each of [`NewPlayers`];
/// the engine then sends it to everybody, lets its own player predict it, feeds it that player's
/// inputs, and despawns it when the player gives up the seat.
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
#[derive(Resource, Debug, Clone, Default, Serialize, Deserialize)]
pub struct Roster {
    /// By seat, so that iteration has one order.
    pub seats: BTreeMap<Seat, SeatedPlayer>,
}

/// A player on a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatedPlayer {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
}

/// The players who took a seat since the last tick and are still there. Server only: a game's
/// rules spawn an avatar for each.
#[derive(SystemParam)]
pub struct NewPlayers<'w, 's> {
    joined: MessageReader<'w, 's, PlayerJoined>,
    roster: Res<'w, Roster>,
}

impl Debug for NewPlayers<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPlayers").finish_non_exhaustive()
    }
}

impl NewPlayers<'_, '_> {
    /// Each of them once.
    pub fn read(&mut self) -> impl Iterator<Item = &PlayerJoined> {
        let seats = &self.roster.seats;
        self.joined.read().filter(move |new| {
            let holder = seats.get(&new.seat);
            holder.is_some_and(|holder| holder.player == new.player)
        })
    }
}

/// Who came and went since the last tick, in this order. It is there when somebody records the
/// match, who empties it every tick.
#[derive(Resource, Debug, Default)]
pub struct SeatChanges {
    /// Oldest first.
    pub list: Vec<SeatChange>,
}

/// Somebody came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatChange {
    /// Took a seat.
    Joined(PlayerJoined),
    /// Gave it up.
    Left(PlayerLeft),
}

/// Gives a player a seat, between two ticks: the rules see it in the next one.
pub fn seat_player(world: &mut World, joined: PlayerJoined) {
    let seated = SeatedPlayer {
        player: joined.player,
        display_name: joined.display_name.clone(),
    };
    let mut roster = world.resource_mut::<Roster>();
    roster.seats.insert(joined.seat, seated);
    world.resource_mut::<Departed>().scores.remove(&joined.seat);
    note(world, || SeatChange::Joined(joined.clone()));
    world.write_message(joined);
}

/// Takes a player's seat and avatar, between two ticks; their score is kept for the result.
/// Nothing happens when nobody sits there.
pub fn unseat_player(world: &mut World, seat: Seat) {
    let seated = world.resource_mut::<Roster>().seats.remove(&seat);
    let Some(SeatedPlayer { player, .. }) = seated else {
        return;
    };
    let mut avatars = world.query::<(Entity, &Avatar)>();
    let own = avatars.iter(world).find(|(_, avatar)| avatar.seat == seat);
    if let Some(avatar) = own.map(|row| row.0) {
        let ScoreOf(score_of) = *world.resource::<ScoreOf>();
        let score = score_of(world.entity(avatar));
        let mut departed = world.resource_mut::<Departed>();
        departed.scores.insert(seat, score);
        world.despawn(avatar);
    }
    let left = PlayerLeft { seat, player };
    note(world, || SeatChange::Left(left));
    world.write_message(left);
}

fn note(world: &mut World, change: impl FnOnce() -> SeatChange) {
    if let Some(mut changes) = world.get_resource_mut::<SeatChanges>() {
        changes.list.push(change());
    }
}
