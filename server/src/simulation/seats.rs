//! Who sits where in a match, and what becomes of a seat when its connection comes or goes.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_shared::player::{Avatar, PlayerJoined, Roster, seat_player, unseat_player};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;
use lightyear::prelude::client::Disconnected;
use lightyear::prelude::server::{ClientOf, LinkOf};
use lightyear::prelude::{
    Connected, Link, LinkMtu, Linked, LocalId, PeerId, PingConfig, PingManager, RemoteId,
    ReplicationSender,
};

use super::avatars::{ResetInput, controlled_by};
use super::fog::hide_all_from_new_link;
use super::link::PlayerLink;
use super::thin::talk::say_bye;
use super::thin::{ThinLink, spawn_thin_link};

/// How often a connection's round trip is measured.
const PING_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

/// A player who was let in and welcomed.
#[derive(Debug)]
pub struct Entrant {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
    /// The seat.
    pub seat: Seat,
    /// The link to them.
    pub connection: Connection,
}

/// What became of a seat during the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatEvent {
    /// The connection is gone, the seat is held for its player.
    Away(Seat),
    /// The seat is free again.
    Freed(Seat),
}

/// A seat's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// Connected, through the entity of that link.
    Present(Entity),
    /// The connection broke; the seat is held for so many more ticks.
    Away {
        /// Ticks until the seat is given up.
        ticks_left: u32,
    },
}

/// Everybody in the match.
#[derive(Resource, Debug)]
pub struct Seats {
    server: Entity,
    held: BTreeMap<Seat, SeatState>,
}

/// lightyear's name for whoever sits there: the same after a resume.
pub(super) fn peer_of(seat: Seat) -> PeerId {
    PeerId::Netcode(u64::from(seat.0))
}

impl Seats {
    pub(super) fn new(server: Entity) -> Self {
        Self {
            server,
            held: BTreeMap::new(),
        }
    }

    /// The link entity of a connected player.
    #[must_use]
    pub fn link_of(&self, seat: Seat) -> Option<Entity> {
        match self.held.get(&seat) {
            Some(SeatState::Present(link)) => Some(*link),
            Some(SeatState::Away { .. }) | None => None,
        }
    }

    /// Everybody who is connected, with the entity of their link.
    pub(super) fn present(&self) -> impl Iterator<Item = (Seat, Entity)> + '_ {
        self.held.iter().filter_map(|(seat, state)| match state {
            SeatState::Present(link) => Some((*seat, *link)),
            SeatState::Away { .. } => None,
        })
    }

    /// Lets somebody in who was welcomed: into a free seat, or back into their own.
    pub fn enter(world: &mut World, entrant: Entrant) {
        let seat = entrant.seat;
        let before = world.resource::<Self>().held.get(&seat).copied();
        if let Some(SeatState::Present(older)) = before {
            close_link(
                world,
                older,
                CloseCode::Replaced,
                "connected again elsewhere",
            );
        }
        let link = spawn_link(world, seat, entrant.connection);
        world
            .resource_mut::<Self>()
            .held
            .insert(seat, SeatState::Present(link));
        if before.is_some() {
            if let Some(avatar) = avatar_of(world, seat) {
                world.entity_mut(avatar).insert(controlled_by(link));
                // It may be the other kind of client, which leaves no inputs behind.
                world.trigger(ResetInput { entity: avatar });
            }
            return;
        }
        let Entrant {
            player,
            display_name,
            ..
        } = entrant;
        let joined = PlayerJoined {
            seat,
            player,
            display_name,
        };
        seat_player(world, joined);
    }

    /// Looks after connections that have ended and seats that were held long enough; once a tick.
    pub fn look_after(world: &mut World, away_ticks_max: u32) -> Vec<SeatEvent> {
        let needs_care = |state: &SeatState| match state {
            SeatState::Present(link) => is_closed(world, *link),
            SeatState::Away { .. } => true,
        };
        let held = world.resource::<Self>().held.iter();
        let due: Vec<_> = held
            .filter(|(_, state)| needs_care(state))
            .map(|(seat, state)| (*seat, *state))
            .collect();
        due.into_iter()
            .filter_map(|(seat, state)| Self::look_after_seat(world, seat, state, away_ticks_max))
            .collect()
    }

    fn look_after_seat(
        world: &mut World,
        seat: Seat,
        state: SeatState,
        away_ticks_max: u32,
    ) -> Option<SeatEvent> {
        match state {
            SeatState::Present(link) if is_closed(world, link) => {
                let on_purpose = left_on_purpose(world, link);
                remove_link(world, link);
                if on_purpose {
                    Self::free(world, seat);
                    return Some(SeatEvent::Freed(seat));
                }
                Self::hold(world, seat, away_ticks_max);
                Some(SeatEvent::Away(seat))
            }
            SeatState::Present(_) => None,
            SeatState::Away { ticks_left: 0 } => {
                Self::free(world, seat);
                Some(SeatEvent::Freed(seat))
            }
            SeatState::Away { ticks_left } => {
                let next = SeatState::Away {
                    ticks_left: ticks_left - 1,
                };
                world.resource_mut::<Self>().held.insert(seat, next);
                None
            }
        }
    }

    /// Removes a player at once: the seat is free, the connection is told why.
    pub fn remove(
        world: &mut World,
        player: PlayerId,
        code: CloseCode,
        text: &str,
    ) -> Option<Seat> {
        let roster = &world.resource::<Roster>().seats;
        let seat = roster
            .iter()
            .find(|(_, seated)| seated.player == player)
            .map(|row| *row.0)?;
        if let Some(link) = world.resource::<Self>().link_of(seat) {
            close_link(world, link, code, text);
        }
        Self::free(world, seat);
        Some(seat)
    }

    /// Tells every connection that the match is over for them.
    pub fn close_all(world: &mut World, code: CloseCode, text: &str) {
        let mut links = world.query::<&PlayerLink>();
        for link in links.iter(world) {
            link.connection().close(code, text);
        }
        let mut links = world.query::<&ThinLink>();
        for link in links.iter(world) {
            say_bye(link.connection(), code, text);
        }
    }

    fn hold(world: &mut World, seat: Seat, ticks_left: u32) {
        world
            .resource_mut::<Self>()
            .held
            .insert(seat, SeatState::Away { ticks_left });
        // An absent player does nothing, rather than what they did last.
        if let Some(avatar) = avatar_of(world, seat) {
            world.trigger(ResetInput { entity: avatar });
        }
    }

    fn free(world: &mut World, seat: Seat) {
        world.resource_mut::<Self>().held.remove(&seat);
        unseat_player(world, seat);
    }
}

fn spawn_link(world: &mut World, seat: Seat, connection: Connection) -> Entity {
    match connection.mode() {
        Mode::Native => spawn_native_link(world, peer_of(seat), connection),
        Mode::Thin => spawn_thin_link(world, seat, connection),
    }
}

fn spawn_native_link(world: &mut World, peer: PeerId, connection: Connection) -> Entity {
    let server = world.resource::<Seats>().server;
    let mtu = connection.datagram_size_max().min(PACKET_BYTES_MAX);
    let link = world.spawn((
        LinkOf { server },
        Link::default().with_mtu(LinkMtu::new(mtu)),
        PlayerLink::new(connection),
        Linked,
        ReplicationSender,
        PingManager::new(PingConfig {
            ping_interval: PING_INTERVAL,
        }),
    ));
    let link = link.id();
    let identity = (RemoteId(peer), LocalId(PeerId::Server), ClientOf, Connected);
    world.entity_mut(link).insert(identity);
    hide_all_from_new_link(world, link, peer);
    link
}

fn avatar_of(world: &mut World, seat: Seat) -> Option<Entity> {
    let mut avatars = world.query::<(Entity, &Avatar)>();
    avatars
        .iter(world)
        .find(|(_, avatar)| avatar.seat == seat)
        .map(|row| row.0)
}

fn is_closed(world: &World, link: Entity) -> bool {
    connection_of(world, link).is_none_or(|connection| connection.closed().is_some())
}

/// The connection behind a link of either kind.
fn connection_of(world: &World, link: Entity) -> Option<&Connection> {
    let native = world.get::<PlayerLink>(link).map(PlayerLink::connection);
    native.or_else(|| world.get::<ThinLink>(link).map(ThinLink::connection))
}

/// A player who says goodbye gives the seat up; one whose connection breaks keeps it for a while.
fn left_on_purpose(world: &World, link: Entity) -> bool {
    let reason = connection_of(world, link).and_then(Connection::closed);
    reason.is_some_and(|reason| match reason.code {
        CloseCode::Consented | CloseCode::Kicked | CloseCode::Banned | CloseCode::ProtocolError => {
            true
        }
        CloseCode::Replaced
        | CloseCode::Draining
        | CloseCode::ProtocolMismatch
        | CloseCode::SlowConsumer
        | CloseCode::RateLimited
        | CloseCode::TicketInvalid
        | CloseCode::MatchOver
        | CloseCode::Timeout
        | CloseCode::Internal
        | CloseCode::Refused
        | CloseCode::Lost => false,
    })
}

fn close_link(world: &mut World, link: Entity, code: CloseCode, text: &str) {
    if let Some(native) = world.get::<PlayerLink>(link) {
        native.connection().close(code, text);
    }
    if let Some(thin) = world.get::<ThinLink>(link) {
        say_bye(thin.connection(), code, text);
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
