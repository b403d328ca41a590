//! One instance without a lobby: the test signs the tickets itself. Sockets, gateway, workers and
//! clients are the real ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::clock::{Clock as _, SharedClock, SystemClock};
use gameserver_contract::entropy::{SeededEntropy, SharedEntropy, random_bytes};
use gameserver_contract::ids::{
    GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use gameserver_contract::session::{JoinAnswer, Role, TransportKind, TransportOffer};
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION, TicketSigner, TicketVerifier};
use gameserver_server::Games;
use gameserver_server::gateway::{self, Admission};
use gameserver_server::host::{FinishedMatch, HostConfig, MatchHost, MatchSpec};
use gameserver_shared::flow::MatchSettings;
use gameserver_transport::certificate::ServerCertificate;
use gameserver_transport::listener::{Listener, ListenerConfig};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A running instance and the key that its tickets are signed with.
#[derive(Debug)]
pub struct Stage {
    /// The matches.
    pub host: Arc<MatchHost>,
    /// Finished ones.
    pub finished: mpsc::Receiver<FinishedMatch>,
    address: SocketAddr,
    certificate_sha256: String,
    signer: TicketSigner,
    entropy: SharedEntropy,
    instance: InstanceId,
    epoch: InstanceEpoch,
    /// Stops the gateway when the stage is dropped.
    _gateway: DropGuard,
}

impl Stage {
    /// Opens the sockets and starts the workers. Call it inside a runtime.
    ///
    /// # Panics
    ///
    /// When the machine has no free port or no thread.
    #[must_use]
    pub fn open(games: Games, workers: usize) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let entropy: SharedEntropy = SeededEntropy::new(7);
        let resume_window = Duration::from_secs(30);
        let config = HostConfig {
            workers,
            matches_max: 64,
            resume_window,
        };
        let (host, finished) =
            MatchHost::start(config, games, clock.clone()).expect("threads for the workers");
        let host = Arc::new(host);
        let names = ["127.0.0.1".to_owned()];
        let certificate =
            ServerCertificate::self_signed(&names, clock.now().into()).expect("a certificate");
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener =
            Listener::bind(ListenerConfig::new(local, certificate)).expect("a free port");
        let (address, certificate_sha256) = (
            listener.local_address(),
            listener.certificate_sha256().to_owned(),
        );
        let signer = TicketSigner::generate(&*entropy);
        let instance = InstanceId::generate(&*clock, &*entropy);
        let epoch = InstanceEpoch(1);
        let admission = Admission::new(host.board().clone(), clock, entropy.clone(), 1_000);
        let verifier = TicketVerifier::new(&[signer.public_key()], instance, epoch);
        admission.set_verifier(verifier.expect("a public key"));
        let stop = CancellationToken::new();
        tokio::spawn(gateway::run(
            listener,
            Arc::new(admission),
            host.clone(),
            stop.clone(),
        ));
        Self {
            host,
            finished,
            address,
            certificate_sha256,
            signer,
            entropy,
            instance,
            epoch,
            _gateway: stop.drop_guard(),
        }
    }

    /// Hosts a match of this game.
    ///
    /// # Panics
    ///
    /// When the instance refuses.
    #[must_use]
    pub fn start_match(&self, game: &str, players_min: u16, players_max: u16) -> MatchId {
        let id = MatchId::generate(&SystemClock, &*self.entropy);
        let spec = MatchSpec {
            id,
            session: SessionId(Uuid::from_u128(1)),
            game: GameId::new(game).expect("a game's name"),
            settings: MatchSettings {
                mode: "ffa".to_owned(),
                players_min,
                players_max,
                tick_rate_hz: 60,
                seed: 7,
            },
            result_key: [7; 32],
        };
        self.host.start_match(spec).expect("room for a match");
        id
    }

    /// A ticket as web-api would sign it now.
    #[must_use]
    pub fn ticket(&self, match_id: MatchId, player: PlayerId, seat: u16) -> JoinTicket {
        let now_ms = SystemClock.now_ms();
        JoinTicket {
            version: TICKET_VERSION,
            id: random_bytes(&*self.entropy),
            player,
            display_name: format!("player {seat}"),
            session: SessionId(Uuid::from_u128(1)),
            match_id,
            seat: Some(Seat(seat)),
            role: Role::Player,
            instance: self.instance,
            epoch: self.epoch,
            issued_at_ms: now_ms,
            expires_at_ms: now_ms + 10_000,
        }
    }

    /// What a join would answer for this ticket.
    #[must_use]
    pub fn join_answer(&self, ticket: &JoinTicket) -> JoinAnswer {
        let offer = |kind, scheme: &str, certificate_sha256| TransportOffer {
            kind,
            url: format!("{scheme}://{}", self.address),
            certificate_sha256,
        };
        let pin = Some(self.certificate_sha256.clone());
        JoinAnswer {
            ticket: self.signer.sign(ticket),
            seat: ticket.seat,
            role: ticket.role,
            transports: vec![
                offer(TransportKind::Quic, "quic", pin),
                offer(TransportKind::WebSocket, "ws", None),
            ],
            expires_at: SystemClock.now() + Duration::from_secs(10),
        }
    }

    /// Seats a new player in this seat.
    #[must_use]
    pub fn join(&self, match_id: MatchId, seat: u16) -> JoinAnswer {
        let player = PlayerId::generate(&SystemClock, &*self.entropy);
        self.join_answer(&self.ticket(match_id, player, seat))
    }
}
