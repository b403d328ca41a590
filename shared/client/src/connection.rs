//! The client's connection: opened on the network runtime, polled by the frame loop.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_contract::session::{JoinAnswer, TransportOffer};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_transport::close::{CloseCode, CloseReason};
use gameserver_transport::connect::{ConnectError, ConnectOptions, Connected, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode, Welcome};
use lightyear::link::{LinkReceiveSystems, LinkSystems, recv_payload_from_bytes};
use lightyear::prelude::client::{Client, Disconnected};
use lightyear::prelude::{
    Connected as LinkConnected, Link, LinkMtu, Linked, LocalId, PeerId, RemoteId,
    ReplicationReceiver,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Name and version that the Hello tells the server, for its logs.
const BUILD: &str = concat!("gameserver-client ", env!("CARGO_PKG_VERSION"));

/// The way to a match. Ask it to [`join`](Self::join), then look at [`state`](Self::state).
#[derive(Resource, Debug)]
pub struct GameConnection {
    runtime: Handle,
    /// How to connect; change it before joining.
    pub options: ConnectOptions,
    /// What this build of the game sends and understands; known once the App is finished.
    pub(crate) fingerprint: u64,
    offers: Vec<TransportOffer>,
    pending: Option<oneshot::Receiver<Result<Connected, ConnectError>>>,
    state: ConnectionState,
}

/// Where the connection is in its life.
#[derive(Debug)]
pub enum ConnectionState {
    /// Nothing was asked for yet.
    Idle,
    /// The transports race.
    Connecting,
    /// The server welcomed us.
    Open {
        /// The link, for its round trip and counters.
        connection: Connection,
        /// Who we are there.
        welcome: Welcome,
    },
    /// The server did not let us in, or could not be reached.
    Refused(ConnectError),
    /// It was open and has ended.
    Closed(CloseReason),
}

impl GameConnection {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            options: ConnectOptions::default(),
            fingerprint: 0,
            offers: Vec::new(),
            pending: None,
            state: ConnectionState::Idle,
        }
    }

    /// Connects with a join answer: QUIC first, WebSocket where UDP does not come through.
    pub fn join(&mut self, answer: &JoinAnswer) {
        self.offers.clone_from(&answer.transports);
        self.open(Credential::Ticket(answer.ticket.clone()));
    }

    /// Takes the same seat again after the connection broke, with the token of the last Welcome.
    pub fn resume(&mut self, resume_token: String) {
        self.open(Credential::Resume(resume_token));
    }

    /// Where the connection is in its life.
    #[must_use]
    pub fn state(&self) -> &ConnectionState {
        &self.state
    }

    /// Says goodbye and gives the seat up.
    pub fn leave(&mut self) {
        if let ConnectionState::Open { connection, .. } = &self.state {
            connection.close(CloseCode::Consented, "");
        }
        self.pending = None;
    }

    fn open(&mut self, credential: Credential) {
        let (tell, pending) = oneshot::channel();
        let (offers, options) = (self.offers.clone(), self.options.clone());
        let hello = Hello::new(Mode::Native, credential, BUILD).with_fingerprint(self.fingerprint);
        self.runtime.spawn(async move {
            let connected = connect(&offers, hello, options).await;
            // Nobody listens any more when the player changed their mind; dropping the
            // connection then says goodbye.
            drop(tell.send(connected));
        });
        self.pending = Some(pending);
        self.state = ConnectionState::Connecting;
    }
}

/// Adds the polling and both directions of packets.
#[derive(Debug)]
pub(crate) struct ConnectionPlugin;

impl Plugin for ConnectionPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(First, (notice_opening, notice_end));
        app.add_systems(
            PreUpdate,
            receive_packets.in_set(LinkReceiveSystems::BufferToLink),
        );
        app.add_systems(PostUpdate, send_packets.in_set(LinkSystems::Send));
    }
}

/// Marks the entity that stands for the server.
#[derive(Component, Debug)]
struct ServerLink(Connection);

fn notice_opening(mut network: ResMut<GameConnection>, mut commands: Commands) {
    let Some(pending) = &mut network.pending else {
        return;
    };
    let Ok(answer) = pending.try_recv() else {
        return;
    };
    network.pending = None;
    network.state = match answer {
        Ok(Connected {
            connection,
            welcome,
        }) => {
            open_link(&mut commands, &connection, &welcome);
            ConnectionState::Open {
                connection,
                welcome,
            }
        }
        Err(error) => ConnectionState::Refused(error),
    };
}

fn open_link(commands: &mut Commands, connection: &Connection, welcome: &Welcome) {
    let mtu = connection.datagram_size_max().min(PACKET_BYTES_MAX);
    let own_number = welcome.seat.map_or(u64::MAX, |seat| u64::from(seat.0));
    commands
        .spawn((
            Client,
            Link::default().with_mtu(LinkMtu::new(mtu)),
            ServerLink(connection.clone()),
            ReplicationReceiver,
            Linked,
        ))
        .insert((
            RemoteId(PeerId::Server),
            LocalId(PeerId::Netcode(own_number)),
            LinkConnected,
        ));
}

fn notice_end(
    mut network: ResMut<GameConnection>,
    links: Query<Entity, With<ServerLink>>,
    mut commands: Commands,
) {
    let ConnectionState::Open { connection, .. } = &network.state else {
        return;
    };
    let Some(reason) = connection.closed() else {
        return;
    };
    for link in &links {
        commands
            .entity(link)
            .insert(Disconnected::default())
            .despawn();
    }
    network.state = ConnectionState::Closed(reason);
}

fn receive_packets(mut links: Query<(&ServerLink, &mut Link)>) {
    for (server, mut link) in &mut links {
        while let Some(packet) = server.0.try_recv() {
            link.recv.push_raw(recv_payload_from_bytes(packet));
        }
    }
}

fn send_packets(mut links: Query<(&ServerLink, &mut Link)>) {
    for (server, mut link) in &mut links {
        while let Some(packet) = link.send.pop() {
            if let Err(refused) = server.0.send(packet) {
                tracing::trace!(%refused, "packet not sent");
            }
        }
    }
}
