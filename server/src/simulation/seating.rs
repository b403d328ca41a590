//! Seats players whom the host sends, and updates a seat when its connection comes or goes.
//!
//! It does not decide who holds a seat: the host's directory does, and learns from the events
//! returned here which seats were given up.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::player::{Avatar, PlayerJoined, Roster, seat_player, unseat_player};
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;
use lightyear::prelude::client::Disconnected;

use super::avatars::{ResetInput, controlled_by};
use super::client_link::{ClientLink, LinkEnd};
use super::fog::hide_all_from_new_link;
use super::seats::{ConnectionId, HeldSeat, Presence, Seats};
use super::{events, native, thin};

/// A player who was admitted and welcomed.
#[derive(Debug)]
pub struct Entrant {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
    /// The seat.
    pub seat: Seat,
    /// The number of the connection that claimed the seat.
    pub connection_id: ConnectionId,
    /// The link to them.
    pub connection: Connection,
}

/// What became of a seat during an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatEvent {
    /// The connection is gone, the seat is held for its player.
    Away(Seat),
    /// The match has given up the seat that this connection claimed.
    Freed(Seat, ConnectionId),
}

/// Seats somebody who was welcomed: in a free seat, or in their own again. A player whose claim to
/// the seat the host has released meanwhile yields it.
pub fn enter(world: &mut World, entrant: Entrant) {
    let Entrant {
        player,
        display_name,
        seat,
        connection_id,
        connection,
    } = entrant;
    if let Some(older) = world.resource::<Seats>().link_of(seat) {
        let text = "connected again elsewhere";
        close_link(world, older, CloseCode::Replaced, text);
    }
    let seated = world.resource::<Roster>().seats.get(&seat);
    let holder = seated.map(|seated| seated.player);
    if holder.is_some_and(|holder| holder != player) {
        unseat_player(world, seat);
    }
    let link = spawn_link(world, seat, connection);
    let held = HeldSeat {
        claim: connection_id,
        presence: Presence::Connected(link),
    };
    world.resource_mut::<Seats>().held.insert(seat, held);
    if holder != Some(player) {
        let joined = PlayerJoined {
            seat,
            player,
            display_name,
        };
        seat_player(world, joined);
    } else if let Some(avatar) = avatar_of(world, seat) {
        world.entity_mut(avatar).insert(controlled_by(link));
        // It may be the other kind of client, which leaves no inputs behind.
        world.trigger(ResetInput { entity: avatar });
    }
}

/// Once a tick: looks for connections that have ended and seats that were held long enough.
pub fn update(world: &mut World, away_ticks_max: u32) -> Vec<SeatEvent> {
    let is_due = |held: &HeldSeat| match held.presence {
        Presence::Connected(link) => end_of(world, link).is_some(),
        Presence::Away { .. } => true,
    };
    let held = world.resource::<Seats>().held.iter();
    let due: Vec<_> = held
        .filter(|(_, held)| is_due(held))
        .map(|(seat, held)| (*seat, *held))
        .collect();
    due.into_iter()
        .filter_map(|(seat, held)| update_seat(world, seat, held, away_ticks_max))
        .collect()
}

fn update_seat(
    world: &mut World,
    seat: Seat,
    held: HeldSeat,
    away_ticks_max: u32,
) -> Option<SeatEvent> {
    match held.presence {
        Presence::Connected(link) => {
            let end = end_of(world, link)?;
            remove_link(world, link);
            if end == LinkEnd::Left {
                return Some(free(world, seat, held));
            }
            hold(world, seat, held, away_ticks_max);
            // An absent player does nothing, rather than what they did last.
            if let Some(avatar) = avatar_of(world, seat) {
                world.trigger(ResetInput { entity: avatar });
            }
            Some(SeatEvent::Away(seat))
        }
        Presence::Away { ticks_left: 0 } => Some(free(world, seat, held)),
        Presence::Away { ticks_left } => {
            hold(world, seat, held, ticks_left - 1);
            None
        }
    }
}

/// Removes a player at once: the seat is free, the client is sent the reason.
pub fn kick(world: &mut World, player: PlayerId, reason: &str) -> Option<SeatEvent> {
    let mut roster = world.resource::<Roster>().seats.iter();
    let seat = *roster.find(|(_, seated)| seated.player == player)?.0;
    let seats = world.resource::<Seats>();
    let held = *seats.held.get(&seat)?;
    if let Some(link) = seats.link_of(seat) {
        close_link(world, link, CloseCode::Kicked, reason);
    }
    Some(free(world, seat, held))
}

/// Closes every connection.
pub fn close_all(world: &mut World, code: CloseCode, text: &str) {
    let mut links = world.query::<&ClientLink>();
    links.iter(world).for_each(|link| link.close(code, text));
}

fn hold(world: &mut World, seat: Seat, held: HeldSeat, ticks_left: u32) {
    let held = HeldSeat {
        presence: Presence::Away { ticks_left },
        ..held
    };
    world.resource_mut::<Seats>().held.insert(seat, held);
}

fn free(world: &mut World, seat: Seat, held: HeldSeat) -> SeatEvent {
    world.resource_mut::<Seats>().held.remove(&seat);
    unseat_player(world, seat);
    SeatEvent::Freed(seat, held.claim)
}

fn spawn_link(world: &mut World, seat: Seat, connection: Connection) -> Entity {
    let mode = connection.mode();
    let ticks_per_s = world.resource::<MatchSettings>().tick_rate_hz.into();
    let client = ClientLink::new(connection, seat, ticks_per_s);
    match mode {
        Mode::Native => {
            let link = native::spawn(world, client);
            hide_all_from_new_link(world, link, seat);
            link
        }
        Mode::Thin => {
            let standing = events::standing(world);
            thin::spawn(world, client, standing)
        }
    }
}

fn avatar_of(world: &mut World, seat: Seat) -> Option<Entity> {
    let mut avatars = world.query::<(Entity, &Avatar)>();
    avatars
        .iter(world)
        .find(|(_, avatar)| avatar.seat == seat)
        .map(|row| row.0)
}

/// How a link ended; none while it lives.
fn end_of(world: &World, link: Entity) -> Option<LinkEnd> {
    let client = world.get::<ClientLink>(link);
    client.map_or(Some(LinkEnd::Broken), ClientLink::end)
}

fn close_link(world: &mut World, link: Entity, code: CloseCode, text: &str) {
    if let Some(client) = world.get::<ClientLink>(link) {
        client.close(code, text);
    }
    remove_link(world, link);
}

/// lightyear cleans up on `Disconnected`, so that comes before the despawn. A thin link has no
/// use for it and takes no harm.
fn remove_link(world: &mut World, link: Entity) {
    if let Ok(mut entity) = world.get_entity_mut(link) {
        entity.insert(Disconnected::default());
        entity.despawn();
    }
}
