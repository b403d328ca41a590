//! One instance without a lobby: the test signs the tickets itself. Sockets, gateway, workers and
//! clients are the real ones.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::clock::{Clock as _, SharedClock, SystemClock};
use gameserver_contract::entropy::{SeededEntropy, SharedEntropy, random_bytes};
use gameserver_contract::ids::{
    GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use gameserver_contract::session::{JoinResponse, Role, TransportKind, TransportOffer};
use gameserver_contract::spectator::SpectatorClaim;
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION, TicketSigner, TicketVerifier};
use gameserver_server::HostedGames;
use gameserver_server::gateway::{self, AdmissionControl};
use gameserver_server::host::{
    BudgetMax, EMPTY_MATCH_LIFETIME, FinishedMatch, HostConfig, MatchHost, MatchSpec, MatchSummary,
};
use gameserver_server::match_log::LogFolder;
use gameserver_shared::flow::MatchSettings;
use gameserver_transport::certificate::ServerCertificate;
use gameserver_transport::frame::{Credential, Hello, Mode};
use gameserver_transport::listener::{Listener, ListenerConfig};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::patience::eventually;

/// The turn of the specs that measure or count: both belong to the process.
static TURN: Mutex<()> = Mutex::const_new(());
type Turn = MutexGuard<'static, ()>;

/// How long a seat is held on a stage unless a spec says otherwise: longer than any spec takes.
const RESUME_WINDOW: Duration = Duration::from_secs(30);

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
    /// Last, so that the next spec begins when this stage is gone.
    _turn: Option<Turn>,
}

/// What a stage runs on unless a spec says otherwise. Specs run beside each other in one process,
/// so that its load says nothing of one stage.
fn host_config(workers: usize) -> HostConfig {
    HostConfig {
        workers,
        matches_max: 64,
        players_max: 1_000,
        resume_window: RESUME_WINDOW,
        empty_match_lifetime: EMPTY_MATCH_LIFETIME,
        logs: None,
        budget_max: BudgetMax::OFF,
    }
}

impl Stage {
    /// Opens the sockets and starts the workers. Call it inside a runtime.
    ///
    /// # Panics
    ///
    /// When the machine has no free port or no thread.
    #[must_use]
    pub fn open(games: HostedGames, workers: usize) -> Self {
        Self::build(games, None, host_config(workers))
    }

    /// The same, and matches are recorded into this folder.
    ///
    /// # Panics
    ///
    /// When the machine has no free port, no thread or no such folder.
    #[must_use]
    pub fn recording(games: HostedGames, workers: usize, folder: &Path) -> Self {
        let logs = LogFolder {
            path: folder.to_owned(),
            bytes_max: u64::MAX,
        };
        let config = HostConfig {
            logs: Some(logs),
            ..host_config(workers)
        };
        Self::build(games, None, config)
    }

    /// The same with one worker, while no other spec has a stage of this kind. A spec has one.
    pub async fn alone(games: HostedGames) -> Self {
        Self::alone_holding_seats_for(RESUME_WINDOW, games).await
    }

    /// The same, and seats are held for so long.
    pub async fn alone_holding_seats_for(resume_window: Duration, games: HostedGames) -> Self {
        let turn = TURN.lock().await;
        let config = HostConfig {
            resume_window,
            ..host_config(1)
        };
        Self::build(games, Some(turn), config)
    }

    /// The same, and nobody new is admitted above this load.
    pub async fn alone_within(budget_max: BudgetMax, games: HostedGames) -> Self {
        let turn = TURN.lock().await;
        let config = HostConfig {
            budget_max,
            ..host_config(1)
        };
        Self::build(games, Some(turn), config)
    }

    /// The same, and matches that nobody is in are kept for so long.
    pub async fn alone_keeping_empty_matches_for(lifetime: Duration, games: HostedGames) -> Self {
        let turn = TURN.lock().await;
        let config = HostConfig {
            empty_match_lifetime: lifetime,
            ..host_config(1)
        };
        Self::build(games, Some(turn), config)
    }

    fn build(games: HostedGames, turn: Option<Turn>, config: HostConfig) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let entropy: SharedEntropy = SeededEntropy::new(7);
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
        let admission = AdmissionControl::new(host.directory().clone(), clock, entropy.clone());
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
            _turn: turn,
        }
    }

    /// Hosts a match of this game.
    ///
    /// # Panics
    ///
    /// When the instance refuses.
    #[must_use]
    pub fn start_match(&self, game: &str, players_min: u16, players_max: u16) -> MatchId {
        self.start_match_in_mode(game, "ffa", players_min, players_max)
    }

    /// The same in another mode.
    ///
    /// # Panics
    ///
    /// When the instance refuses.
    #[must_use]
    pub fn start_match_in_mode(
        &self,
        game: &str,
        mode: &str,
        players_min: u16,
        players_max: u16,
    ) -> MatchId {
        let settings = MatchSettings {
            mode: mode.to_owned(),
            players_min,
            players_max,
            tick_rate_hz: 60,
            seed: 7,
        };
        self.start_match_shown_after(Duration::ZERO, game, settings)
    }

    /// The same in a session whose spectators are this late.
    ///
    /// # Panics
    ///
    /// When the instance refuses.
    #[must_use]
    pub fn start_match_shown_after(
        &self,
        watch_delay: Duration,
        game: &str,
        settings: MatchSettings,
    ) -> MatchId {
        let id = MatchId::generate(&SystemClock, &*self.entropy);
        let spec = MatchSpec {
            id,
            session: SessionId(Uuid::from_u128(1)),
            game: GameId::new(game).expect("a game's name"),
            settings,
            result_key: [7; 32],
            watch_delay,
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
            watch: None,
            instance: self.instance,
            epoch: self.epoch,
            issued_at_ms: now_ms,
            expires_at_ms: now_ms + 10_000,
        }
    }

    /// What a join would answer for this ticket.
    #[must_use]
    pub fn join_answer(&self, ticket: &JoinTicket) -> JoinResponse {
        self.join_answer_signed_by(&self.signer, ticket)
    }

    /// The same, signed by somebody else.
    #[must_use]
    pub fn join_answer_signed_by(
        &self,
        signer: &TicketSigner,
        ticket: &JoinTicket,
    ) -> JoinResponse {
        let offer = |kind, scheme: &str, certificate_sha256| TransportOffer {
            kind,
            url: format!("{scheme}://{}", self.address),
            certificate_sha256,
        };
        let pin = Some(self.certificate_sha256.clone());
        JoinResponse {
            ticket: signer.sign(ticket),
            seat: ticket.seat,
            role: ticket.role,
            view: ticket.watch.map(|watch| watch.view),
            team: ticket.watch.and_then(|watch| watch.team),
            delay_s: ticket.watch.map(|watch| watch.delay_s),
            transports: vec![
                offer(TransportKind::Quic, "quic", pin.clone()),
                offer(TransportKind::WebTransport, "https", pin),
                offer(TransportKind::WebSocket, "ws", None),
            ],
            expires_at: SystemClock.now() + Duration::from_secs(10),
        }
    }

    /// Seats a new player in this seat.
    #[must_use]
    pub fn join(&self, match_id: MatchId, seat: u16) -> JoinResponse {
        self.join_answer(&self.ticket(match_id, self.new_player(), seat))
    }

    /// Lets a new spectator watch.
    #[must_use]
    pub fn watch(&self, match_id: MatchId, watch: SpectatorClaim) -> JoinResponse {
        let mut ticket = self.ticket(match_id, self.new_player(), 0);
        ticket.seat = None;
        ticket.role = Role::Spectator;
        ticket.watch = Some(watch);
        self.join_answer(&ticket)
    }

    /// The Hello of an up-to-date client of the stage's only game.
    ///
    /// # Panics
    ///
    /// When the stage has no game.
    #[must_use]
    pub fn hello(&self, credential: Credential) -> Hello {
        let games = self.host.games();
        let descriptor = games.descriptors().next().expect("a stage has a game");
        let game = games.get(&descriptor.id).expect("it was just named");
        Hello::new(Mode::Native, credential, "gameserver-tests").with_fingerprint(game.fingerprint)
    }

    /// Where the instance listens, for UDP and for TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Somebody who was never here.
    #[must_use]
    pub fn new_player(&self) -> PlayerId {
        PlayerId::generate(&SystemClock, &*self.entropy)
    }

    /// What the directory shows of a match.
    ///
    /// # Panics
    ///
    /// When the match was never hosted.
    #[must_use]
    pub fn summary(&self, match_id: MatchId) -> MatchSummary {
        let summary = self.host.directory().summary(match_id);
        summary.expect("the directory keeps a match until it is removed")
    }

    /// Waits until the directory shows that a match has come so far.
    pub async fn shows(
        &self,
        match_id: MatchId,
        what: &str,
        is_so: impl Fn(&MatchSummary) -> bool,
    ) {
        eventually(what, || is_so(&self.summary(match_id))).await;
    }
}
