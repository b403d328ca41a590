//! Composes an instance and ends it in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::SharedEntropy;
use gameserver_contract::ids::{InstanceEpoch, InstanceId};
use gameserver_control::instance_control_server::InstanceControlServer;
use gameserver_control::secret::ControlSecret;
use gameserver_control::{RegisterRequest, Transport};
use gameserver_transport::certificate::IdentityError;
use gameserver_transport::limits::PENDING_PER_ADDRESS_MAX;
use gameserver_transport::listener::{BindError, Listener, ListenerConfig, TcpPeers};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::certificate::CertificateKeeper;
pub use crate::certificate::Reload;
use crate::config::{InstanceConfig, WebSocketTls};
use crate::control::{self, Announcement, ControlService};
use crate::games::HostedGames;
use crate::gateway::{self, AdmissionControl};
use crate::host::{EMPTY_MATCH_LIFETIME, HostConfig, MatchHost};
use crate::match_log::{ClaimError, FolderClaim, LogFolder};
use crate::offers::{Identity, Offers};
use crate::telemetry;

/// Calls at the same time on one connection of web-api.
const CONTROL_CALLS_PER_CONNECTION_MAX: u32 = 64;
/// Largest header of a call.
const CONTROL_HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Silence after which a connection to the control port is asked whether it lives.
const CONTROL_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Time for the answer to that; then the connection is closed, with all that waits for it.
const CONTROL_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A running instance.
#[derive(Debug)]
pub struct Instance {
    host: Arc<MatchHost>,
    game_address: SocketAddr,
    control_address: SocketAddr,
    registered: watch::Receiver<bool>,
    certificate: Option<Arc<CertificateKeeper>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    results: JoinHandle<()>,
    /// Last: until everything is written the log folder is this instance's.
    claim: Option<FolderClaim>,
}

/// What an instance runs on besides its configuration.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The wall-clock time, for tickets and results.
    pub clock: SharedClock,
    /// Makes secrets and epochs.
    pub entropy: SharedEntropy,
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The game port.
    #[error("failed to open the game port")]
    GamePort(#[from] BindError),
    /// The control port.
    #[error("failed to open the control port {address}")]
    ControlPort {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate.
    #[error("failed to use the certificate")]
    Certificate(#[from] IdentityError),
    /// The URL of web-api.
    #[error("failed to use the registry's URL")]
    RegistryUrl(#[source] tonic::transport::Error),
    /// The folder of the match logs.
    #[error("failed to take the folder of the match logs")]
    LogFolder(#[from] ClaimError),
    /// The threads.
    #[error("failed to start the match workers")]
    Workers(#[source] std::io::Error),
    /// A game's descriptor cannot be sent to web-api.
    #[error("failed to encode a game's descriptor")]
    Descriptor(#[source] serde_json::Error),
}

impl Instance {
    /// Opens the ports, starts the workers and begins to register. Resolves before web-api has
    /// answered: see [`Self::wait_registered`].
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub async fn start(
        config: InstanceConfig,
        games: HostedGames,
        deps: Deps,
    ) -> Result<Self, StartError> {
        telemetry::describe();
        let (id, claim) = identify(&config, &deps)?;
        let (listener, offers) = open_game_port(&config, &deps)?;
        let (control_listener, control_address) = open_control_port(config.control_address).await?;
        let game_address = listener.local_address();
        let started = MatchHost::start(host_config(&config), games, deps.clock.clone());
        let (host, finished) = started.map_err(StartError::Workers)?;
        let host = Arc::new(host);
        let registry = control::registry(&config.registry_url, &config.control_secret)
            .map_err(StartError::RegistryUrl)?;
        let announcement = announce(
            id,
            &config,
            &deps,
            &host,
            offers.subscribe(),
            control_address,
        )?;
        let (stop, directory) = (CancellationToken::new(), host.directory().clone());
        let admission =
            AdmissionControl::new(directory.clone(), deps.clock.clone(), deps.entropy.clone());
        let admission = Arc::new(admission);
        let (is_registered, registered) = watch::channel(false);
        let certificate = offers.certificate_keeper();
        let keep_offers = offers.keep(deps.clock.clone(), stop.clone());
        let service = ControlService::new(host.clone(), config.log_folder.clone());
        let keep_registered = control::keep_registered(
            announcement,
            registry.clone(),
            host.clone(),
            admission.clone(),
            is_registered,
            stop.clone(),
        );
        let tasks = vec![
            tokio::spawn(gateway::run(
                listener,
                admission,
                host.clone(),
                stop.clone(),
            )),
            tokio::spawn(keep_registered),
            tokio::spawn(keep_offers),
            tokio::spawn(serve_control(
                service,
                config.control_secret,
                control_listener,
                stop.clone(),
            )),
        ];
        let results = tokio::spawn(control::hand_in_results(finished, registry, directory));
        Ok(Self {
            host,
            game_address,
            control_address,
            registered,
            certificate,
            stop,
            tasks,
            results,
            claim,
        })
    }

    /// Address of the game port.
    #[must_use]
    pub fn game_address(&self) -> SocketAddr {
        self.game_address
    }

    /// Address of the control service.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.control_address
    }

    /// The matches hosted here.
    #[must_use]
    pub fn host(&self) -> &MatchHost {
        &self.host
    }

    /// Whether web-api knows this instance, to be looked at any time.
    #[must_use]
    pub fn registered(&self) -> watch::Receiver<bool> {
        self.registered.clone()
    }

    /// Reads the certificate files again and serves what is in them from now on. It is done within
    /// a minute after they were written, too.
    ///
    /// # Errors
    ///
    /// The files cannot be used; the certificate that was served stays.
    pub fn reload_certificate(&self) -> Result<Reload, IdentityError> {
        match &self.certificate {
            Some(keeper) => keeper.reload(),
            None => Ok(Reload::Unchanged),
        }
    }

    /// Waits until web-api knows this instance.
    pub async fn wait_registered(&self) {
        let mut registered = self.registered.clone();
        // The sender lives as long as the registration task, which ends with the instance only.
        if registered.wait_for(|known| *known).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes no new matches and no new players, informs those who play, and waits for the running
    /// matches, but only so long.
    pub async fn drain(&self, grace: Duration) {
        self.host.drain(grace);
        let directory = self.host.directory();
        let all_over = directory.wait_count(|matches| matches == 0);
        if tokio::time::timeout(grace, all_over).await.is_err() {
            tracing::warn!(
                matches = directory.count(),
                "matches still running after the grace"
            );
        }
    }

    /// Ends what still runs: matches are aborted, their results handed in, connections closed.
    /// Waits for the results, but only so long.
    pub async fn shutdown(self, patience: Duration) {
        let Self {
            host,
            results,
            tasks,
            stop,
            claim,
            ..
        } = self;
        let directory = host.directory().clone();
        directory.drain();
        for id in directory.ids() {
            if let Err(error) = host.shut_match_down(id) {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "match not stopped"
                );
            }
        }
        // A match is forgotten when its result is handed in.
        let handed_in = directory.wait_count(|matches| matches == 0);
        if tokio::time::timeout(patience, handed_in).await.is_err() {
            tracing::error!(
                matches = directory.count(),
                "shut down before all results were taken"
            );
        }
        stop.cancel();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a task of the instance panicked"
                );
            }
        }
        results.abort();
        // Joins the worker threads, which must not block the runtime.
        let joined = tokio::task::spawn_blocking(move || drop(host)).await;
        if let Err(error) = joined {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the workers did not end in order"
            );
        }
        drop(claim);
    }
}

/// What this instance is called, and its right to its log folder.
fn identify(
    config: &InstanceConfig,
    deps: &Deps,
) -> Result<(InstanceId, Option<FolderClaim>), ClaimError> {
    let new = || InstanceId::generate(&*deps.clock, &*deps.entropy);
    let Some(folder) = &config.log_folder else {
        return Ok((config.id.unwrap_or_else(new), None));
    };
    let claim = FolderClaim::of(folder, config.id, new)?;
    Ok((claim.id(), Some(claim)))
}

fn host_config(config: &InstanceConfig) -> HostConfig {
    HostConfig {
        workers: config.workers,
        matches_max: config.matches_max,
        players_max: config.players_max,
        resume_window: config.resume_window,
        empty_match_lifetime: EMPTY_MATCH_LIFETIME,
        budget_max: config.budget_max,
        logs: config.log_folder.clone().map(|path| LogFolder {
            path,
            bytes_max: config.log_folder_bytes_max,
        }),
    }
}

fn open_game_port(config: &InstanceConfig, deps: &Deps) -> Result<(Listener, Offers), StartError> {
    let identity = Identity::of(config, &deps.clock)?;
    let certificate = identity.served().clone();
    let listener = Listener::bind(ListenerConfig {
        origins: config.origins.clone(),
        connections_per_address_max: config.connections_per_address_max,
        pending_per_address_max: if config.connections_per_address_max == 0 {
            0
        } else {
            PENDING_PER_ADDRESS_MAX.min(config.connections_per_address_max)
        },
        tcp_peers: match config.websocket_tls {
            WebSocketTls::Plain => TcpPeers::Clients,
            WebSocketTls::ByProxy => TcpPeers::Proxies,
        },
        ..ListenerConfig::new(config.game_address, certificate)
    })?;
    let offers = Offers::new(config, identity, &listener);
    Ok((listener, offers))
}

async fn open_control_port(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::ControlPort { address, source })?;
    let bound = listener.local_addr().unwrap_or(address);
    Ok((listener, bound))
}

async fn serve_control(
    service: ControlService,
    secret: ControlSecret,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let service = InstanceControlServer::with_interceptor(service, secret.demand());
    let served = Server::builder()
        .max_concurrent_streams(CONTROL_CALLS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(CONTROL_HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(CONTROL_KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(CONTROL_KEEP_ALIVE_TIMEOUT))
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the control service ended"
        );
    }
}

fn announce(
    id: InstanceId,
    config: &InstanceConfig,
    deps: &Deps,
    host: &MatchHost,
    transports: watch::Receiver<Vec<Transport>>,
    control_address: SocketAddr,
) -> Result<Announcement, StartError> {
    let epoch = InstanceEpoch(deps.entropy.next_u64());
    let games_json: Result<Vec<_>, _> = host
        .games()
        .descriptors()
        .map(serde_json::to_string)
        .collect();
    let control_url = config.control_url.clone().unwrap_or_else(|| {
        if control_address.ip().is_unspecified() {
            tracing::warn!(
                address = %control_address,
                "web-api of another machine cannot reach this address; set instance.control_url"
            );
        }
        format!("http://{control_address}")
    });
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let request = RegisterRequest {
        instance_id: id.to_string(),
        epoch: epoch.0,
        region: config.region.clone(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        control_url,
        transports: transports.borrow().clone(),
        matches_max: count(config.matches_max),
        players_max: count(config.players_max),
        games_json: games_json.map_err(StartError::Descriptor)?,
    };
    Ok(Announcement {
        id,
        epoch,
        request,
        transports,
    })
}
