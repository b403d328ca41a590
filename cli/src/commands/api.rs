//! `gameserver api`: the player services, and how both this command and `dev` start them.

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::{SharedEntropy, SystemEntropy};
use gameserver_contract::ids::GameId;
use gameserver_web_api::Cache;
use gameserver_web_api::Db;
use gameserver_web_api::{
    Deps, ForwardedHeader, Limits, OpenSessionLimits, RateLimits, RenderMetrics, RunningWebApi,
    StartError, WebApi, WebApiConfig,
};
use metrics_exporter_prometheus::PrometheusHandle;

use super::warnings;
use crate::error::CliError;
use crate::metrics_server;
use crate::ports::Ports;
use crate::settings::{
    ForwardedHeaderSetting, HttpSettings, RunMode, Secrets, Settings, SettingsError,
};
use crate::shutdown::Shutdown;

/// Entries that the cache of a single process may hold.
const MEMORY_CACHE_ENTRIES_MAX: usize = 200_000;
/// Beginning of all keys in Redis.
const REDIS_PREFIX: &str = "gameserver:";

/// Runs until a signal stops it.
pub(super) async fn run(settings: Settings) -> Result<(), CliError> {
    let clock: SharedClock = Arc::new(gameserver_contract::clock::SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let secrets = Secrets::all(&settings, &*entropy)?;
    let addresses = Ports::of_api(&settings)?;
    let config = config(&settings, &secrets)?;
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let metrics = metrics_server::record()?;
    let store = open_store(&settings).await?;
    warnings::warn_about_api(&settings, &store).await;
    let cache = open_cache(&settings, clock.clone()).await?;
    let parts = Parts {
        clock,
        entropy,
        store,
        cache,
    };
    let shown = shown_metrics(&settings, &metrics);
    let api = start(config, parts, shown, &addresses).await?;
    let draining = shutdown.drain.clone();
    let is_ready = Arc::new(move || !draining.is_cancelled());
    let stop = shutdown.hurry.clone();
    let at = (settings.metrics.address, &addresses);
    metrics_server::serve(at, metrics, is_ready, stop).await?;
    tracing::info!(http = %api.http_address, control = %api.grpc_address, "web-api is ready");
    shutdown.drain.cancelled().await;
    tracing::info!("stopping");
    tokio::select! {
        () = api.shutdown() => {}
        () = shutdown.hurry.cancelled() => {}
    }
    Ok(())
}

/// The stores, clock and random source of web-api.
pub(super) struct Parts {
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) store: Db,
    pub(super) cache: Cache,
}

/// The configuration of web-api, checked.
pub(super) fn config(
    settings: &Settings,
    secrets: &Secrets,
) -> Result<WebApiConfig, SettingsError> {
    let http = &settings.http;
    let mut config = WebApiConfig::new(secrets.keys.clone(), secrets.control_text.clone());
    config.http_address = http.address;
    config.grpc_address = settings.control.address;
    config.public_url = public_url(http);
    config.cors_origins.clone_from(&http.cors_origins);
    config.trusted_proxy_hops = http.trusted_proxy_hops;
    config.forwarded_header = match http.forwarded_header {
        ForwardedHeaderSetting::XForwardedFor => ForwardedHeader::XForwardedFor,
        ForwardedHeaderSetting::Forwarded => ForwardedHeader::Forwarded,
    };
    config.limits = http_limits(http);
    let is_development = settings.mode == RunMode::Development;
    config.console = settings.web.console.unwrap_or(is_development);
    config.rate_limits = rate_limits(http);
    config.open_sessions = open_sessions(http);
    config.known_games = known_games(http)?;
    config.check()?;
    Ok(config)
}

/// The metrics at `/metrics` on the port of REST, if they are shown there.
pub(super) fn shown_metrics(
    settings: &Settings,
    metrics: &PrometheusHandle,
) -> Option<RenderMetrics> {
    let is_development = settings.mode == RunMode::Development;
    let is_shown = settings.http.metrics.unwrap_or(is_development);
    let metrics = metrics.clone();
    is_shown.then(|| -> RenderMetrics { Arc::new(move || metrics_server::render(&metrics)) })
}

/// Starts web-api.
pub(super) async fn start(
    config: WebApiConfig,
    parts: Parts,
    metrics: Option<RenderMetrics>,
    addresses: &Ports,
) -> Result<RunningWebApi, CliError> {
    let deps = Deps {
        clock: parts.clock,
        entropy: parts.entropy,
        db: parts.store,
        cache: parts.cache,
        metrics,
    };
    WebApi::start(config, deps)
        .await
        .map_err(|error| match error {
            StartError::Listen { address, source } => addresses.not_opened(address, &source),
            StartError::Config(error) => SettingsError::WebApi(error).into(),
        })
}

fn public_url(http: &HttpSettings) -> String {
    if http.public_url.is_empty() {
        if http.address.ip().is_unspecified() {
            tracing::warn!(
                address = %http.address,
                "nobody can reach the API at this address; set http.public_url"
            );
        }
        format!("http://{}", http.address)
    } else {
        http.public_url.clone()
    }
}

fn http_limits(http: &HttpSettings) -> Limits {
    let per_address = http.connections_per_address_max;
    Limits {
        idle_timeout: Duration::from_secs(http.idle_timeout_s),
        connections_per_address_max: (per_address > 0).then_some(per_address),
        ..Limits::DEFAULT
    }
}

fn rate_limits(http: &HttpSettings) -> RateLimits {
    let limit = |per_minute| (per_minute > 0).then_some(per_minute);
    RateLimits {
        auth_per_address: limit(http.auth_per_address_per_minute),
        requests_per_player: limit(http.requests_per_player_per_minute),
        sessions_per_player: limit(http.sessions_per_player_per_minute),
        ..RateLimits::default()
    }
}

fn open_sessions(http: &HttpSettings) -> OpenSessionLimits {
    let limit = |max| (max > 0).then_some(max);
    OpenSessionLimits {
        per_player: limit(http.open_sessions_per_player_max),
        per_address: limit(http.open_sessions_per_address_max),
    }
}

fn known_games(http: &HttpSettings) -> Result<Vec<GameId>, SettingsError> {
    let game = |name: &String| {
        GameId::new(name.clone()).map_err(|error| SettingsError::Invalid {
            name: "http.known_games",
            problem: error.to_string(),
        })
    };
    http.known_games.iter().map(game).collect()
}

/// Opens the database that the settings name and brings it up to date in development; production
/// runs `gameserver migrate up` first.
pub(super) async fn open_store(settings: &Settings) -> Result<Db, CliError> {
    let url = settings.database.url.as_deref();
    let url = url.ok_or(SettingsError::NoDatabase)?;
    let store = Db::connect(url, settings.database.connections_max).await?;
    if settings.mode == RunMode::Development {
        store.migrate().await?;
    }
    let waiting: Vec<_> = store
        .migration_status()
        .await?
        .into_iter()
        .filter(|(_, _, applied)| !applied)
        .collect();
    if let Some((version, name, _)) = waiting.first() {
        return Err(CliError::Usage(format!(
            "the database lacks migration {version} ({name}); run `gameserver migrate up`"
        )));
    }
    Ok(store)
}

async fn open_cache(settings: &Settings, clock: SharedClock) -> Result<Cache, CliError> {
    match &settings.redis.url {
        Some(url) => Ok(Cache::redis(url, REDIS_PREFIX).await?),
        None => Ok(memory_cache(clock)),
    }
}

/// A cache that ends with the process.
pub(super) fn memory_cache(clock: SharedClock) -> Cache {
    Cache::memory(clock, MEMORY_CACHE_ENTRIES_MAX)
}
