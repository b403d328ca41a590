//! Composition: the only place that knows every capability.
//!
//! It builds the services, each from what its constructor names, mounts their routes and runs their
//! background work. It decides nothing about requests.

mod openapi;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use gameserver_control::secret::ControlSecret;
use secrecy::ExposeSecret as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use self::openapi::openapi_json;
use crate::accounts::{self, Accounts};
use crate::config::{ConfigError, WebApiConfig};
use crate::fleet::{self, Fleet};
use crate::grpc::RegistryService;
use crate::kit::Kit;
use crate::kit::db::DbError;
use crate::kit::http::code::Code;
use crate::kit::http::{self, BASE_PATH, Http};
use crate::matches::{self, Matches};
use crate::server::Deps;
use crate::sessions::{self, Sessions};

/// The closed registry of error codes, by capability.
pub(crate) const CODES: [&[Code]; 5] = [
    Code::KIT,
    accounts::error::Error::CODES,
    sessions::error::Error::CODES,
    matches::error::Error::CODES,
    fleet::error::Error::CODES,
];

/// Every error code.
pub fn codes() -> impl Iterator<Item = Code> {
    CODES.into_iter().flatten().copied()
}

/// Time between two deletions of expired rows.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Every service. Handlers see the ones that they name.
#[derive(Debug, Clone, FromRef)]
pub(crate) struct Services {
    #[from_ref(skip)]
    pub(crate) kit: Kit,
    pub(crate) http: Http,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) matches: Arc<Matches>,
}

impl Services {
    /// Builds every service, those first that others are built from.
    pub(crate) fn new(config: &WebApiConfig, deps: Deps) -> Result<Self, ConfigError> {
        let secret = control_secret(config)?;
        let sources = (deps.clock, deps.entropy);
        let kit = Kit::new(sources, deps.db, deps.cache, &config.keys.cursor);
        let accounts = Arc::new(Accounts::new(&kit, config));
        let fleet = Arc::new(Fleet::new(&kit, secret, config.known_games.clone()));
        let sessions = Arc::new(Sessions::new(&kit, config, Arc::clone(&fleet)));
        let matches = Matches::new(
            &kit,
            Arc::clone(&accounts),
            Arc::clone(&fleet),
            Arc::clone(&sessions),
        );
        Ok(Self {
            http: Http::new(&kit, config, deps.metrics),
            accounts,
            fleet,
            sessions,
            matches: Arc::new(matches),
            kit,
        })
    }

    /// What instances call.
    pub(crate) fn registry(&self) -> RegistryService {
        RegistryService {
            tasks: self.kit.tasks.clone(),
            sessions: Arc::clone(&self.sessions),
            matches: Arc::clone(&self.matches),
        }
    }

    /// The whole REST API, ready to be served.
    pub(crate) fn router(&self) -> Router {
        let limited = from_fn_with_state(Arc::clone(&self.accounts), accounts::guard::limit_logins);
        let guarded = from_fn_with_state(Arc::clone(&self.accounts), accounts::guard::authenticate);
        let routes = documented_routes(
            |logins| logins.route_layer(limited.clone()),
            |private| private.route_layer(guarded.clone()),
        );
        let routes = Router::from(routes).merge(http::docs::pages());
        http::with_layers(routes, &self.http).with_state(self.clone())
    }

    /// Work that nobody asks for, until the token is cancelled.
    pub(crate) async fn run_jobs(self, stop: CancellationToken) {
        let sessions = &self.sessions;
        tokio::join!(
            sessions::job::run(Arc::clone(sessions), stop.clone()),
            sessions.topic.run(Arc::clone(sessions), stop.clone()),
            stop.run_until_cancelled(self.sweep_on_time()),
        );
    }

    async fn sweep_on_time(&self) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let services = self.clone();
            let work = async move { services.sweep().await };
            match self.kit.tasks.run_to_end(work).await {
                Ok(rows) => tracing::debug!(rows, "expired rows were deleted"),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "failed to delete expired rows"
                ),
            }
        }
    }

    /// Deletes what has expired; nothing relies on it. Returns how many rows.
    pub(crate) async fn sweep(&self) -> Result<u64, DbError> {
        let tokens = self.accounts.sweep().await?;
        let now = self.kit.now();
        let records = self.kit.db.sweep_idempotency_records(now).await?;
        self.fleet.sweep().await?;
        Ok(tokens + records + self.sessions.sweep().await?)
    }
}

/// What instances and this service know each other by.
pub(crate) fn control_secret(config: &WebApiConfig) -> Result<ControlSecret, ConfigError> {
    ControlSecret::new(config.control_secret.expose_secret()).map_err(ConfigError::ControlSecret)
}

/// Every route, with the given layers before logins and before what only players may call.
fn documented_routes(
    limit: impl Fn(OpenApiRouter<Services>) -> OpenApiRouter<Services>,
    guard: impl Fn(OpenApiRouter<Services>) -> OpenApiRouter<Services>,
) -> OpenApiRouter<Services> {
    let private = OpenApiRouter::new()
        .merge(accounts::profile_api::routes())
        .merge(matches::api::routes())
        .merge(sessions::api::routes())
        .merge(matches::replay_api::routes())
        .merge(sessions::events_api::routes());
    let versioned = OpenApiRouter::new()
        .merge(limit(accounts::api::routes()))
        .merge(guard(private))
        .merge(fleet::api::routes())
        .merge(openapi::routes());
    OpenApiRouter::new()
        .nest(BASE_PATH, versioned)
        .merge(accounts::api::well_known_routes())
        .merge(http::health::routes())
}
