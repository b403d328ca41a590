//! The client's connection: opened on the network runtime, polled by the frame loop. When its path
//! goes silent or breaks, the seat is resumed over whichever transport comes up, and later over
//! QUIC again: see [`ReconnectPolicy`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_replicon::prelude::ClientState;
use bevy_state::prelude::State;
use bevy_time::{Real, Time};
use gameserver_contract::session::{JoinResponse, TransportKind, TransportOffer};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_transport::close::{CloseCode, CloseReason};
use gameserver_transport::connect::{ConnectError, ConnectOptions, Connected, connect, dial};
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

use crate::reconnect::{LinkState, LinkWatch, Purpose, ReconnectPolicy, is_final, is_resumable};

/// Name and version that the Hello tells the server, for its logs.
const BUILD: &str = concat!("gameserver-client ", env!("CARGO_PKG_VERSION"));

/// The way to a match. Ask it to [`join`](Self::join), then look at [`state`](Self::state).
#[derive(Resource, Debug)]
pub struct GameConnection {
    runtime: Handle,
    /// How to connect; change it before joining.
    pub options: ConnectOptions,
    /// How to get back to the match when the path to it breaks; never when absent.
    pub reconnect: Option<ReconnectPolicy>,
    /// What this build of the game sends and understands; known once the App is finished.
    pub(crate) fingerprint: u64,
    offers: Vec<TransportOffer>,
    attempt: Option<Attempt>,
    /// A welcomed connection that waits until the App has forgotten the one before.
    next: Option<Connected>,
    /// Of the last Welcome. None when it cannot help any more.
    resume_token: Option<String>,
    state: ConnectionState,
    watch: LinkWatch,
    moves: u32,
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
    /// It was open and broke; the seat is being resumed.
    Resuming(CloseReason),
    /// The server did not let us in, or could not be reached.
    Refused(ConnectError),
    /// It was open and has ended.
    Closed(CloseReason),
}

/// A connection on its way.
#[derive(Debug)]
struct Attempt {
    purpose: Purpose,
    /// Whether the link that is to be replaced is still silent. Read before the Hello, which uses
    /// the resume token up.
    is_needed: Arc<AtomicBool>,
    outcome: oneshot::Receiver<Outcome>,
}

/// What came of an attempt.
#[derive(Debug)]
enum Outcome {
    Connected(Box<Connected>),
    /// The link that was to be replaced is heard again.
    NotNeeded,
    Failed(ConnectError),
}

impl GameConnection {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            options: ConnectOptions::default(),
            reconnect: Some(ReconnectPolicy::default()),
            fingerprint: 0,
            offers: Vec::new(),
            attempt: None,
            next: None,
            resume_token: None,
            state: ConnectionState::Idle,
            watch: LinkWatch::default(),
            moves: 0,
        }
    }

    /// Connects with a join answer: QUIC first, WebSocket where UDP does not come through.
    pub fn join(&mut self, answer: &JoinResponse) {
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

    /// How often the connection was replaced by another one since the game asked for it: because
    /// its path broke, or for a better transport.
    #[must_use]
    pub fn moves(&self) -> u32 {
        self.moves
    }

    /// Says goodbye and gives the seat up.
    pub fn leave(&mut self) {
        self.resume_token = None;
        // A connection that is welcomed from now on is dropped, which says goodbye as well.
        self.attempt = None;
        self.next = None;
        match &self.state {
            ConnectionState::Open { connection, .. } => connection.close(CloseCode::Consented, ""),
            ConnectionState::Resuming(reason) => {
                self.state = ConnectionState::Closed(reason.clone());
            }
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Refused(_)
            | ConnectionState::Closed(_) => {}
        }
    }

    fn hello(&self, credential: Credential) -> Hello {
        Hello::new(Mode::Native, credential, BUILD).with_fingerprint(self.fingerprint)
    }

    fn open(&mut self, credential: Credential) {
        let (tell, outcome) = oneshot::channel();
        let (offers, options) = (self.offers.clone(), self.options.clone());
        let hello = self.hello(credential);
        self.runtime.spawn(async move {
            let outcome = match connect(&offers, hello, options).await {
                Ok(connected) => Outcome::Connected(Box::new(connected)),
                Err(error) => Outcome::Failed(error),
            };
            // Nobody listens any more when the player changed their mind; dropping the
            // connection then says goodbye.
            drop(tell.send(outcome));
        });
        self.attempt = Some(Attempt {
            purpose: Purpose::Join,
            is_needed: Arc::new(AtomicBool::new(true)),
            outcome,
        });
        self.next = None;
        self.resume_token = None;
        self.watch = LinkWatch::default();
        self.moves = 0;
        self.state = ConnectionState::Connecting;
    }

    /// Resumes the seat in the background. The Hello is said only if it is still needed when a
    /// transport has come up.
    fn replace(&mut self, policy: &ReconnectPolicy, purpose: Purpose) {
        let Some(token) = self.resume_token.clone() else {
            return;
        };
        let (tell, outcome) = oneshot::channel();
        let is_needed = Arc::new(AtomicBool::new(true));
        let (offers, hello) = (self.offers.clone(), self.hello(Credential::Resume(token)));
        let still_needed = is_needed.clone();
        let answer_within = self.options.timeout;
        let options = ConnectOptions {
            only: match purpose {
                Purpose::Return => Some(TransportKind::Quic),
                Purpose::Join | Purpose::Fallback => self.options.only,
            },
            timeout: policy.dial_timeout,
            ..self.options.clone()
        };
        self.runtime.spawn(async move {
            let outcome = match dial(&offers, &options).await {
                Ok(_) if !still_needed.load(Ordering::Relaxed) => Outcome::NotNeeded,
                Ok(dialed) => match dialed.send_hello(&hello, answer_within).await {
                    Ok(connected) => Outcome::Connected(Box::new(connected)),
                    Err(error) => Outcome::Failed(error),
                },
                Err(error) => Outcome::Failed(error),
            };
            drop(tell.send(outcome));
        });
        self.attempt = Some(Attempt {
            purpose,
            is_needed,
            outcome,
        });
    }

    /// Takes what came of the attempt.
    fn take_outcome(&mut self) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        let Ok(outcome) = attempt.outcome.try_recv() else {
            return;
        };
        let purpose = attempt.purpose;
        self.attempt = None;
        match outcome {
            Outcome::Connected(connected) => self.take_over(purpose, *connected),
            Outcome::NotNeeded => {}
            Outcome::Failed(error) if purpose == Purpose::Join => {
                self.state = ConnectionState::Refused(error);
            }
            Outcome::Failed(error) => self.note_failure(purpose, &error),
        }
    }

    fn take_over(&mut self, purpose: Purpose, connected: Connected) {
        if purpose != Purpose::Join {
            self.moves += 1;
            tracing::info!(
                transport = connected.connection.kind().as_str(),
                "connection to the match replaced"
            );
        }
        if let (Purpose::Fallback, Some(policy)) = (purpose, &self.reconnect) {
            self.watch.fell_back(policy);
        }
        if let ConnectionState::Open { connection, .. } = &self.state {
            // Not a goodbye, which would free the seat if it came before the new connection.
            connection.close(CloseCode::Replaced, "moved to another connection");
        }
        self.next = Some(connected);
    }

    fn note_failure(&mut self, purpose: Purpose, error: &ConnectError) {
        tracing::debug!(
            error = error as &dyn std::error::Error,
            "connection to the match not replaced"
        );
        if let Some(policy) = &self.reconnect {
            self.watch.set_back(policy, purpose);
        }
        if is_final(error) && purpose == Purpose::Fallback {
            self.resume_token = None;
        }
    }

    /// Notices the end of the link; true when it is time to take it down.
    fn take_end(&mut self) -> bool {
        let ConnectionState::Open { connection, .. } = &self.state else {
            return false;
        };
        let Some(reason) = connection.closed() else {
            return false;
        };
        // The server ends the old connection as soon as the new one is in the match.
        let is_moving = self.next.is_some() || self.attempt.is_some();
        let may_resume = self.reconnect.is_some() && self.resume_token.is_some();
        let resumes = may_resume && is_resumable(&reason);
        let moves = is_moving && (resumes || reason.code == CloseCode::Replaced);
        if let Some(attempt) = &self.attempt {
            attempt.is_needed.store(true, Ordering::Relaxed);
        }
        self.state = if resumes || moves {
            ConnectionState::Resuming(reason)
        } else {
            self.attempt = None;
            self.next = None;
            ConnectionState::Closed(reason)
        };
        true
    }

    /// Begins an attempt when one is due, and gives up when it is too late for any.
    fn keep_seat(&mut self) {
        let Some(policy) = self.reconnect else {
            return;
        };
        let is_silent = self.watch.is_silent(&policy);
        match &self.attempt {
            Some(attempt) if attempt.purpose == Purpose::Fallback => {
                let is_broken = matches!(self.state, ConnectionState::Resuming(_));
                attempt
                    .is_needed
                    .store(is_silent || is_broken, Ordering::Relaxed);
            }
            Some(_) | None => {}
        }
        let is_busy = self.attempt.is_some() || self.next.is_some();
        match &self.state {
            _ if is_busy => {}
            ConnectionState::Resuming(reason)
                if self.resume_token.is_none() || self.watch.is_given_up(&policy) =>
            {
                self.state = ConnectionState::Closed(reason.clone());
            }
            ConnectionState::Resuming(_) if self.watch.may_try() => {
                self.replace(&policy, Purpose::Fallback);
            }
            ConnectionState::Open { .. } if is_silent && self.watch.may_try() => {
                self.replace(&policy, Purpose::Fallback);
            }
            ConnectionState::Open { connection, .. }
                if connection.kind() == TransportKind::WebSocket
                    && self.may_use_quic()
                    && !is_silent
                    && self.watch.may_return(&policy) =>
            {
                self.replace(&policy, Purpose::Return);
            }
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Open { .. }
            | ConnectionState::Resuming(_)
            | ConnectionState::Refused(_)
            | ConnectionState::Closed(_) => {}
        }
    }

    fn may_use_quic(&self) -> bool {
        let offered = |offer: &TransportOffer| offer.kind == TransportKind::Quic;
        self.options.only.is_none() && self.offers.iter().any(offered)
    }

    fn link_state(&self) -> LinkState {
        match self.state {
            ConnectionState::Open { .. } => LinkState::Open,
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Resuming(_)
            | ConnectionState::Refused(_)
            | ConnectionState::Closed(_) => LinkState::Broken,
        }
    }
}

/// Adds the polling and both directions of packets.
#[derive(Debug)]
pub(crate) struct ConnectionPlugin;

impl Plugin for ConnectionPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(First, (follow_connection, open_next_link).chain());
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

fn follow_connection(
    mut network: ResMut<GameConnection>,
    time: Res<Time<Real>>,
    links: Query<Entity, With<ServerLink>>,
    mut commands: Commands,
) {
    let link = network.link_state();
    network.watch.pass(time.delta(), link);
    network.take_outcome();
    if network.take_end() {
        for link in &links {
            commands
                .entity(link)
                .insert(Disconnected::default())
                .despawn();
        }
    }
    network.keep_seat();
}

/// A link is opened when nothing of the one before is left: the state of replication is reset on
/// the way from one to the other.
fn open_next_link(
    mut network: ResMut<GameConnection>,
    replication: Res<State<ClientState>>,
    links: Query<(), With<ServerLink>>,
    mut commands: Commands,
) {
    if !links.is_empty() || *replication.get() != ClientState::Disconnected {
        return;
    }
    let Some(Connected {
        connection,
        welcome,
    }) = network.next.take()
    else {
        return;
    };
    open_link(&mut commands, &connection, &welcome);
    network.watch.opened();
    let has_token = !welcome.resume_token.is_empty();
    network.resume_token = has_token.then(|| welcome.resume_token.clone());
    network.state = ConnectionState::Open {
        connection,
        welcome,
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

fn receive_packets(
    mut network: ResMut<GameConnection>,
    mut links: Query<(&ServerLink, &mut Link)>,
) {
    for (server, mut link) in &mut links {
        while let Some(packet) = server.0.try_recv() {
            network.watch.heard();
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
