//! Who sits where in a match, and what becomes of a seat when its connection comes or goes.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_contract::watch::Watch;
use gameserver_shared::player::{Avatar, PlayerJoined, PlayerLeft, Roster, SeatedPlayer};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use lightyear::prelude::client::Disconnected;
use lightyear::prelude::server::{ClientOf, LinkOf};
use lightyear::prelude::{
    Connected, Link, LinkMtu, Linked, LocalId, PeerId, PingConfig, PingManager, RemoteId,
    ReplicationSender,
};

use super::avatars::{ResetInput, controlled_by};
use super::link::PlayerLink;

/// How often a connection's round trip is measured.
const PING_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);
/// First peer number of spectators; seats have the numbers below.
const SPECTATOR_PEER_BASE: u64 = 1 << 32;

/// Somebody who was let in and welcomed.
#[derive(Debug)]
pub struct Entrant {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
    /// The seat; none for spectators.
    pub seat: Option<Seat>,
    /// What a spectator sees; none for players.
    pub watch: Option<Watch>,
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
    /// A spectator is gone.
    SpectatorGone,
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
    spectators: Vec<Entity>,
    spectators_so_far: u64,
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
            spectators: Vec::new(),
            spectators_so_far: 0,
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

    /// Lets somebody in who was welcomed: into a free seat, or back into their own.
    pub fn enter(world: &mut World, entrant: Entrant) {
        match entrant.seat {
            Some(seat) => Self::take_seat(world, seat, entrant),
            None => Self::start_watching(world, entrant.connection),
        }
    }

    fn take_seat(world: &mut World, seat: Seat, entrant: Entrant) {
        let before = world.resource::<Self>().held.get(&seat).copied();
        if let Some(SeatState::Present(older)) = before {
            close_link(
                world,
                older,
                CloseCode::Replaced,
                "connected again elsewhere",
            );
        }
        let link = spawn_link(world, peer_of(seat), entrant.connection);
        world
            .resource_mut::<Self>()
            .held
            .insert(seat, SeatState::Present(link));
        if before.is_some() {
            if let Some(avatar) = avatar_of(world, seat) {
                world.entity_mut(avatar).insert(controlled_by(link));
            }
            return;
        }
        let Entrant {
            player,
            display_name,
            ..
        } = entrant;
        let seated = SeatedPlayer {
            player,
            display_name: display_name.clone(),
        };
        world.resource_mut::<Roster>().seats.insert(seat, seated);
        world.write_message(PlayerJoined {
            seat,
            player,
            display_name,
        });
    }

    fn start_watching(world: &mut World, connection: Connection) {
        let mut seats = world.resource_mut::<Self>();
        seats.spectators_so_far += 1;
        let peer = PeerId::Netcode(SPECTATOR_PEER_BASE + seats.spectators_so_far);
        let link = spawn_link(world, peer, connection);
        world.resource_mut::<Self>().spectators.push(link);
    }

    /// Looks after connections that have ended and seats that were held long enough; once a tick.
    pub fn look_after(world: &mut World, away_ticks_max: u32) -> Vec<SeatEvent> {
        let held: Vec<_> = world
            .resource::<Self>()
            .held
            .iter()
            .map(|(seat, state)| (*seat, *state))
            .collect();
        let mut events: Vec<_> = held
            .into_iter()
            .filter_map(|(seat, state)| Self::look_after_seat(world, seat, state, away_ticks_max))
            .collect();
        events.extend(Self::drop_closed_spectators(world));
        events
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

    fn drop_closed_spectators(world: &mut World) -> Vec<SeatEvent> {
        let watching = std::mem::take(&mut world.resource_mut::<Self>().spectators);
        let (gone, staying): (Vec<_>, Vec<_>) = watching
            .into_iter()
            .partition(|link| is_closed(world, *link));
        world.resource_mut::<Self>().spectators = staying;
        gone.into_iter()
            .map(|link| {
                remove_link(world, link);
                SeatEvent::SpectatorGone
            })
            .collect()
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
        let seated = world.resource_mut::<Roster>().seats.remove(&seat);
        if let Some(SeatedPlayer { player, .. }) = seated {
            world.write_message(PlayerLeft { seat, player });
        }
    }
}

fn spawn_link(world: &mut World, peer: PeerId, connection: Connection) -> Entity {
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
    world
        .get::<PlayerLink>(link)
        .is_none_or(|link| link.connection().closed().is_some())
}

/// A player who says goodbye gives the seat up; one whose connection breaks keeps it for a while.
fn left_on_purpose(world: &World, link: Entity) -> bool {
    let reason = world
        .get::<PlayerLink>(link)
        .and_then(|link| link.connection().closed());
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
    if let Some(link) = world.get::<PlayerLink>(link) {
        link.connection().close(code, text);
    }
    remove_link(world, link);
}

/// lightyear cleans up on `Disconnected`, so that comes before the despawn.
fn remove_link(world: &mut World, link: Entity) {
    if let Ok(mut entity) = world.get_entity_mut(link) {
        entity.insert(Disconnected::default());
        entity.despawn();
    }
}
