//! A match without a worker: a spec steps it tick by tick, lets players in between any two ticks,
//! and keeps what their links are sent. What is sent goes nowhere else.

use std::collections::BTreeMap;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_contract::clock::{Clock as _, SystemClock};
use gameserver_contract::ids::{GameId, PlayerId, Seat};
use gameserver_contract::session::TransportKind::WebSocket;
use gameserver_contract::session::{Role, TransportOffer};
use gameserver_server::simulation::{ConnectionId, Entrant, build_match, seating};
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::prelude::Game;
use gameserver_transport::certificate::ServerCertificate;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode, Welcome};
use gameserver_transport::listener::{Listener, ListenerConfig};
use lightyear::link::LinkSystems;
use lightyear::prelude::{Link, PeerId, RemoteId};
use lightyear::transport::plugin::TransportSystems;
use uuid::Uuid;

use crate::fragile::FRAGILE;
use crate::patience::within;
use crate::raw_player::RawPlayer;

/// A match and the far ends of its connections.
#[derive(Debug)]
pub struct Workbench {
    app: App,
    outside: Vec<Connection>,
}

/// Everything that was sent to native clients, by the bits of their peer, oldest first.
#[derive(Resource, Debug, Default)]
struct Taken {
    by_peer: BTreeMap<u64, Vec<Bytes>>,
}

impl Workbench {
    /// A match before its first tick.
    #[must_use]
    pub fn new<G: Game>(settings: MatchSettings) -> Self {
        let mut app = build_match::<G>(settings);
        app.init_resource::<Taken>().add_systems(
            PostUpdate,
            take_packets
                .after(TransportSystems::Send)
                .before(LinkSystems::Send),
        );
        Self {
            app,
            outside: Vec::new(),
        }
    }

    /// Lets a native client in, or in again, before the next tick.
    pub async fn enter(&mut self, seat: Seat) {
        let (outside, inside) = connect_past_the_gateway().await;
        self.outside.push(outside);
        let entrant = Entrant {
            player: PlayerId(Uuid::from_u128(seat.0.into())),
            display_name: format!("player {seat}"),
            seat,
            connection_id: ConnectionId(0),
            connection: inside,
        };
        seating::enter(self.app.world_mut(), entrant);
    }

    /// Goes on by so many ticks.
    pub fn step(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.app.update();
        }
    }

    /// What the links of this seat were sent so far.
    #[must_use]
    pub fn sent(&self, seat: Seat) -> Vec<Bytes> {
        let taken = &self.app.world().resource::<Taken>().by_peer;
        let peer = PeerId::Netcode(seat.0.into());
        taken.get(&peer.to_bits()).cloned().unwrap_or_default()
    }
}

fn take_packets(mut taken: ResMut<Taken>, mut links: Query<(&RemoteId, &mut Link)>) {
    for (remote, mut link) in &mut links {
        let packets = taken.by_peer.entry(remote.to_bits()).or_default();
        packets.extend(std::iter::from_fn(|| link.send.pop()));
    }
}

/// Both ends of a native connection that no gateway has seen: the client's and the instance's.
///
/// # Panics
///
/// When the machine has no free port.
pub async fn connect_past_the_gateway() -> (Connection, Connection) {
    let names = ["127.0.0.1".to_owned()];
    let certificate = ServerCertificate::self_signed(&names, SystemClock.now().into());
    let local = ([127, 0, 0, 1], 0).into();
    let config = ListenerConfig::new(local, certificate.expect("a certificate"));
    let mut listener = Listener::bind(config).expect("a free port");
    let offer = TransportOffer {
        kind: WebSocket,
        url: format!("ws://{}", listener.local_address()),
        certificate_sha256: None,
    };
    let hello = Hello::new(Mode::Native, Credential::Ticket(String::new()), "specs");
    let welcome = Welcome {
        connection: 0,
        player: PlayerId(Uuid::nil()),
        seat: Some(Seat(0)),
        role: Role::Player,
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        resume_token: String::new(),
        datagram_size_max: 1_100,
        game: GameId::new(FRAGILE).expect("a game's name"),
    };
    let offers = [offer];
    let (outside, inside) = tokio::join!(RawPlayer::say_hello(&offers, hello, WebSocket), async {
        within(listener.accept()).await?.welcome(welcome).ok()
    });
    // The door stays open for the rest of the process, or its connections would be closed.
    std::mem::forget(listener);
    let outside = outside.expect("the listener welcomes").connection;
    (outside, inside.expect("a welcome of short texts"))
}
