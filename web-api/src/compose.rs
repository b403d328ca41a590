//! What the service does, without HTTP and without SQL: every face (REST, gRPC) calls these
//! functions, and tests can too.
//!
//! Time and chance come in as [`Clock`](gameserver_contract::clock::Clock) and
//! [`Entropy`](gameserver_contract::entropy::Entropy).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::SharedEntropy;
use gameserver_contract::ids::GameId;
use gameserver_contract::ticket::TicketSigner;
use gameserver_control::secret::ControlSecret;
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::accounts::access_token::AccessTokens;
use crate::accounts::refresh_token::RefreshTokens;
use crate::config::{OpenSessionLimits, RateLimits, WebApiConfig};
use crate::fleet::Fleet;
use crate::fleet::control::ControlClients;
use crate::fleet::games;
use crate::kit::cache::Cache;
use crate::kit::db::Store;
use crate::kit::{cursor, readiness as health};
use crate::sessions::{changes, hosting as registry};

/// The service: its ports and its keys.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) fleet: Fleet,
    pub(crate) instances: ControlClients,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) tickets: TicketSigner,
    pub(crate) cursors: cursor::Cursors,
    pub(crate) rate_limits: RateLimits,
    pub(crate) open_sessions: OpenSessionLimits,
    pub(crate) known_games: Vec<GameId>,
    pub(crate) bucket_key: [u8; 32],
    pub(crate) heartbeats: registry::HeartbeatOrder,
    pub(crate) changes: changes::Changes,
    pub(crate) hosted_games: games::HostedGames,
    pub(crate) readiness: health::Readiness,
    pub(crate) draining: CancellationToken,
    pub(crate) running: TaskTracker,
}

/// The service, shared by all requests.
pub(crate) type SharedApp = Arc<App>;

/// What the service needs from outside.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) control_secret: ControlSecret,
}

impl App {
    /// Puts the service together.
    pub(crate) fn new(config: &WebApiConfig, ports: Ports) -> SharedApp {
        Arc::new(Self {
            fleet: Fleet::new(
                ports.cache.clone(),
                ports.store.clone(),
                Arc::clone(&ports.clock),
            ),
            instances: ControlClients::new(ports.control_secret),
            access_tokens: AccessTokens::new(&config.keys, &config.public_url, &config.audience),
            refresh_tokens: RefreshTokens::new(config.keys.refresh.clone()),
            tickets: TicketSigner::from_seed(config.keys.ticket.bytes()),
            cursors: cursor::Cursors::new(config.keys.cursor.clone()),
            rate_limits: config.rate_limits,
            open_sessions: config.open_sessions,
            known_games: config.known_games.clone(),
            // Derived, so that all replicas count in the same buckets.
            bucket_key: sha2::Sha256::digest(config.keys.cursor.bytes()).into(),
            heartbeats: registry::HeartbeatOrder::default(),
            clock: ports.clock,
            entropy: ports.entropy,
            store: ports.store,
            cache: ports.cache,
            changes: changes::Changes::default(),
            hosted_games: games::HostedGames::default(),
            readiness: health::Readiness::default(),
            draining: CancellationToken::new(),
            running: TaskTracker::new(),
        })
    }

    /// The current time, cut to the milliseconds that the database and tickets keep.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.clock.now_ms()).unwrap_or_default()
    }

    /// Runs a piece of work to its end even when whoever waits for it goes away: a write that is
    /// dropped half-way can take acknowledged writes of others with it (sqlx issue 4385).
    ///
    /// # Panics
    ///
    /// When the work panics, so that the caller's panic handler sees it.
    pub(crate) async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.running.spawn(work.in_current_span()).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and whoever waits here with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Stops being ready: nobody new should be sent here. Streams of events end.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// True once [`App::drain`] was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until all work of [`App::run_to_end`] is done, at most so long. True when it is.
    pub(crate) async fn finish(&self, at_most: Duration) -> bool {
        self.running.close();
        tokio::time::timeout(at_most, self.running.wait())
            .await
            .is_ok()
    }
}
