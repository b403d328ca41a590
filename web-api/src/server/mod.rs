//! How the service starts and stops: sockets, background work, graceful shutdown.
//!
//! It knows nothing of requests; the router answers them.

mod accept;
mod addresses;
mod body;
mod head;
mod meter;
mod stream;

use std::fmt;
use std::net::SocketAddr;

pub use accept::serve as serve_http;
use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::SharedEntropy;
use gameserver_control::registry_server::RegistryServer;
use gameserver_control::secret::ControlSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::compose::{Services, control_secret};
use crate::config::{ConfigError, Limits, RESULT_BYTES_MAX, WebApiConfig};
use crate::grpc::RegistryService;
use crate::kit::cache::Cache;
use crate::kit::db::Db;
pub use crate::kit::http::RenderMetrics;
use crate::kit::tasks::Tasks;
use crate::telemetry;

/// Room in a gRPC message beside the largest result.
const MESSAGE_OVERHEAD: usize = 64 * 1024;
/// Limits of the port that instances call.
const GRPC_LIMITS: Limits = Limits {
    http2_streams_max: 64,
    // A cluster may bring all its instances through one address.
    connections_per_address_max: None,
    ..Limits::DEFAULT
};

/// What the service needs from outside. The database's schema must be up to date.
#[derive(Clone)]
pub struct Deps {
    /// The wall clock.
    pub clock: SharedClock,
    /// Source of ids and secrets.
    pub entropy: SharedEntropy,
    /// What is kept.
    pub db: Db,
    /// What may be lost.
    pub cache: Cache,
    /// What `/metrics` answers; `None` leaves that address empty.
    pub metrics: Option<RenderMetrics>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error("accept the configuration")]
    Config(#[from] ConfigError),
    /// An address is taken or is not ours.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct WebApi;

impl WebApi {
    /// Starts the service on its two ports. It runs until [`RunningWebApi::shutdown`].
    ///
    /// # Errors
    ///
    /// When the configuration is refused or a port cannot be listened on.
    pub async fn start(config: WebApiConfig, deps: Deps) -> Result<RunningWebApi, StartError> {
        config.check()?;
        telemetry::describe();
        let (http, http_address) = listen(config.http_address).await?;
        let (grpc, grpc_address) = listen(config.grpc_address).await?;
        let services = Services::new(&config, deps)?;
        let limits = Limits {
            // Proxies bring everybody, each over connections of its own.
            connections_per_address_max: config
                .limits
                .connections_per_address_max
                .filter(|_| config.trusted_proxy_hops == 0),
            ..config.limits
        };
        let (serving, background) = (CancellationToken::new(), CancellationToken::new());
        let tasks = [
            tokio::spawn(accept::serve(
                http,
                services.router(),
                limits,
                serving.clone(),
            )),
            tokio::spawn(serve_grpc(
                grpc,
                services.registry(),
                control_secret(&config)?,
                background.clone(),
            )),
            tokio::spawn(services.clone().run_jobs(background.clone())),
        ];
        tracing::info!(%http_address, %grpc_address, "the web API is ready");
        Ok(RunningWebApi {
            http_address,
            grpc_address,
            running: services.kit.tasks,
            limits,
            serving,
            background,
            tasks,
        })
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve_grpc(
    listener: TcpListener,
    registry: RegistryService,
    secret: ControlSecret,
    stop: CancellationToken,
) {
    let registry = RegistryServer::new(registry)
        .max_decoding_message_size(RESULT_BYTES_MAX + MESSAGE_OVERHEAD);
    let registry = InterceptedService::new(registry, secret.demand());
    let router = Routes::new(registry).into_axum_router();
    accept::serve(listener, router, GRPC_LIMITS, stop).await;
}

/// A service that runs.
#[derive(Debug)]
pub struct RunningWebApi {
    /// Where REST is served; with the port that was taken when 0 was asked for.
    pub http_address: SocketAddr,
    /// Where instances call.
    pub grpc_address: SocketAddr,
    running: Tasks,
    limits: Limits,
    serving: CancellationToken,
    background: CancellationToken,
    tasks: [JoinHandle<()>; 3],
}

impl RunningWebApi {
    /// Makes `/readyz` say no, so that load balancers send nobody new. Streams of events end;
    /// everything else is still served.
    pub fn drain(&self) {
        self.running.drain();
    }

    /// Stops: finishes open requests (up to the grace limit), lets instances hand in what they
    /// are about to, and waits for writes.
    pub async fn shutdown(self) {
        self.drain();
        let [http, grpc, jobs] = self.tasks;
        self.serving.cancel();
        join(http).await;
        self.background.cancel();
        // Instances keep their connection open; a graceful end of gRPC waits for calls only.
        let grace = self.limits.shutdown_grace;
        let grpc_abort = grpc.abort_handle();
        if tokio::time::timeout(grace, join(grpc)).await.is_err() {
            grpc_abort.abort();
        }
        join(jobs).await;
        if !self.running.finish(grace).await {
            tracing::warn!("some work was cut off at shutdown");
        }
    }
}

async fn join(task: JoinHandle<()>) {
    if let Err(error) = task.await
        && error.is_panic()
    {
        tracing::error!("a task of the web API panicked");
    }
}
