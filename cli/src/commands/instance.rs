//! `gameserver instance`: a process that hosts matches, and how both this command and `dev` start
//! one.

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::clock::{SharedClock, SystemClock};
use gameserver_contract::entropy::{SharedEntropy, SystemEntropy};
use gameserver_control::secret::ControlSecret;
use gameserver_server::config::{
    BudgetMax, CertificateFiles, Origins, PathPrefix, PublicAddress, PublicHost, WebSocketTls,
};
use gameserver_server::instance::{Deps, Reload};
use gameserver_server::{Instance, InstanceConfig, StartError};
use gameserver_transport::listener::BindError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::warnings;
use crate::arguments::InstanceArguments;
use crate::error::CliError;
use crate::games::Games;
use crate::metrics_server;
use crate::ports::Ports;
use crate::settings::{GameSettings, Secrets, Settings, SettingsError, WebSocketTlsSetting};
use crate::shutdown::Shutdown;

/// How long results may take to be handed in at the end.
const RESULTS_PATIENCE: Duration = Duration::from_secs(10);
/// Time for the rest when a second signal asks for a quick end.
const HURRY_PATIENCE: Duration = Duration::from_secs(3);

/// Runs until a signal stops it, or until its match is over.
pub(super) async fn run(
    mut settings: Settings,
    arguments: InstanceArguments,
    games: &Games,
) -> Result<(), CliError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let (secret, _) = Secrets::control(&settings, &*entropy)?;
    if let Some(matches_max) = arguments.matches_max {
        settings.instance.matches_max = matches_max.into();
    }
    let addresses = Ports::of_instance(&settings)?;
    let registry_url = settings.instance.registry_url.clone();
    let config = config(&settings, secret, registry_url)?;
    let shutdown = Shutdown::listen_except_for_hang_ups().map_err(CliError::Runtime)?;
    let hang_up = signal(SignalKind::hangup()).map_err(CliError::Runtime)?;
    let metrics = metrics_server::record()?;
    warnings::warn_about_instance(&settings);
    let instance = start(config, games, Deps { clock, entropy }, &addresses).await?;
    let (draining, registered) = (shutdown.drain.clone(), instance.registered());
    let is_ready = Arc::new(move || !draining.is_cancelled() && *registered.borrow());
    let stop = shutdown.hurry.clone();
    let at = (settings.metrics.address, &addresses);
    metrics_server::serve(at, metrics, is_ready, stop).await?;
    tracing::info!(game = %instance.game_address(), control = %instance.control_address(), "instance is ready");
    tokio::select! {
        () = shutdown.drain.cancelled() => {}
        () = first_match_over(&instance), if arguments.once => {}
        () = reload_certificate_on(hang_up, &instance) => {}
    }
    stop_instance(
        instance,
        &shutdown,
        Duration::from_secs(settings.instance.drain_s),
    )
    .await;
    Ok(())
}

/// Reloads the certificate at each SIGHUP. Never returns.
async fn reload_certificate_on(mut hang_up: Signal, instance: &Instance) {
    while hang_up.recv().await.is_some() {
        match instance.reload_certificate() {
            Ok(Reload::Replaced) => {}
            Ok(Reload::Unchanged) => tracing::info!("the certificate is the same as before"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the certificate was not replaced"
            ),
        }
    }
    std::future::pending::<()>().await;
}

async fn first_match_over(instance: &Instance) {
    let directory = instance.host().directory();
    directory.wait_count(|matches| matches > 0).await;
    directory.wait_count(|matches| matches == 0).await;
}

/// Lets running matches end, but only so long, and less when a second signal comes.
pub(super) async fn stop_instance(instance: Instance, shutdown: &Shutdown, grace: Duration) {
    tracing::info!(matches = instance.host().directory().count(), "draining");
    let patience = tokio::select! {
        () = instance.drain(grace) => RESULTS_PATIENCE,
        () = shutdown.hurry.cancelled() => HURRY_PATIENCE,
    };
    instance.shutdown(patience).await;
}

const MIB: u64 = 1024 * 1024;

/// The configuration of an instance, checked.
pub(super) fn config(
    settings: &Settings,
    control_secret: ControlSecret,
    registry_url: String,
) -> Result<InstanceConfig, SettingsError> {
    let (game, instance) = (&settings.game, &settings.instance);
    Ok(InstanceConfig {
        id: None,
        game_address: game.address,
        public: public_address(game)?,
        websocket_tls: match game.websocket_tls {
            WebSocketTlsSetting::Plain => WebSocketTls::Plain,
            WebSocketTlsSetting::ByProxy => WebSocketTls::ByProxy,
        },
        origins: origins(game)?,
        connections_per_address_max: game.connections_per_address_max,
        certificate: certificate(game)?,
        control_address: instance.control_address,
        control_url: instance.control_url.clone(),
        registry_url,
        control_secret,
        region: instance.region.clone(),
        workers: workers(instance.workers),
        matches_max: instance.matches_max,
        players_max: instance.players_max,
        budget_max: budget_max(instance.budget_max_percent),
        resume_window: Duration::from_secs(instance.resume_window_s),
        log_folder: instance.replays_folder.clone(),
        log_folder_bytes_max: instance.replays_max_mib.saturating_mul(MIB),
    })
}

/// Starts an instance.
pub(super) async fn start(
    config: InstanceConfig,
    games: &Games,
    deps: Deps,
    ports: &Ports,
) -> Result<Instance, CliError> {
    let started = Instance::start(config, games.hosted()?, deps).await;
    started.map_err(|error| match error {
        StartError::GamePort(BindError::Socket { address, source })
        | StartError::ControlPort { address, source } => ports.not_opened(address, &source),
        other @ (StartError::GamePort(BindError::Certificate(_))
        | StartError::Certificate(_)
        | StartError::RegistryUrl(_)
        | StartError::LogFolder(_)
        | StartError::Workers(_)
        | StartError::Descriptor(_)) => other.into(),
    })
}

fn budget_max(percent: u16) -> BudgetMax {
    if percent == 0 {
        BudgetMax::OFF
    } else {
        BudgetMax::of(f32::from(percent) / 100.0)
    }
}

fn public_address(game: &GameSettings) -> Result<PublicAddress, SettingsError> {
    let invalid = |name, problem: String| SettingsError::Invalid { name, problem };
    let host = PublicHost::new(&game.public_host)
        .map_err(|error| invalid("game.public_host", error.to_string()))?;
    let websocket_path = PathPrefix::new(&game.public_websocket_path)
        .map_err(|error| invalid("game.public_websocket_path", error.to_string()))?;
    Ok(PublicAddress {
        host,
        port: game.public_port,
        websocket_port: game.public_websocket_port,
        websocket_path,
    })
}

fn origins(game: &GameSettings) -> Result<Origins, SettingsError> {
    Origins::of(&game.origins).map_err(|error| SettingsError::Invalid {
        name: "game.origins",
        problem: error.to_string(),
    })
}

fn certificate(game: &GameSettings) -> Result<Option<CertificateFiles>, SettingsError> {
    match (&game.certificate_chain, &game.certificate_key) {
        (Some(chain), Some(key)) => Ok(Some(CertificateFiles {
            chain: chain.clone(),
            key: key.clone(),
        })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(SettingsError::Invalid {
            name: "game.certificate_chain",
            problem: "the chain and the key are needed together".to_owned(),
        }),
    }
}

fn workers(wanted: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if wanted > 0 {
        wanted
    } else {
        cores.saturating_sub(1).max(1)
    }
}
