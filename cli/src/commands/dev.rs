//! `gameserver dev`: web-api on SQLite, one instance and two sample sessions with bots, in one
//! process. Both halves talk over loopback as they would in production.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gameserver_client_sim::bots::{BotsConfig, Target};
use gameserver_conditions::NetworkConditions;
use gameserver_contract::clock::{SharedClock, SystemClock};
use gameserver_contract::entropy::{SeededEntropy, SharedEntropy, SystemEntropy};
use gameserver_contract::session::CreateSession;
use gameserver_server::Instance;
use gameserver_server::instance::Deps;
use gameserver_web_api::Db;
use gameserver_web_api::RunningWebApi;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::api::{self, Parts};
use super::{instance, say, warnings};
use crate::arguments::DevArguments;
use crate::error::CliError;
use crate::games::{GameWithBots, Games};
use crate::metrics_server;
use crate::ports::Ports;
use crate::settings::{Secrets, Settings, SettingsError};
use crate::shutdown::Shutdown;

/// Folder for data that is kept between starts.
const DATA_FOLDER: &str = "gameserver-data";
/// How long running matches may go on after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(0);
const SAMPLE_SESSIONS: u64 = 2;
const BOTS_PER_SESSION: u16 = 4;
/// Longest that one sample session is played before a new one is opened.
const SAMPLE_LENGTH: Duration = Duration::from_mins(10);
/// Wait before a sample session that could not be opened is tried again.
const SAMPLE_RETRY: Duration = Duration::from_secs(2);

/// Runs until a signal stops it.
pub(super) async fn run(
    mut settings: Settings,
    arguments: DevArguments,
    games: &Games,
) -> Result<(), CliError> {
    apply(&mut settings, &arguments, games)?;
    let addresses = Ports::of_dev(&settings)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy = entropy(arguments.seed);
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let metrics = metrics_server::record()?;
    let data = DataFolder::open(&arguments)?;
    settings
        .database
        .url
        .get_or_insert_with(|| data.database_url());
    settings
        .instance
        .replays_folder
        .get_or_insert_with(|| data.path().join("replays"));
    let secrets = Secrets::all(&settings, &*entropy)?;
    let mut api_config = api::config(&settings, &secrets)?;
    let mut instance_config = instance::config(&settings, secrets.control, String::new())?;
    let store = open_store(settings.clone()).await?;
    warnings::warn_about_api(&settings, &store).await;
    warnings::warn_about_hosting(&settings);
    let cache = api::memory_cache(clock.clone());
    let parts = Parts {
        clock: clock.clone(),
        entropy: entropy.clone(),
        store,
        cache,
    };
    let (playable, is_playable) = watch::channel(false);
    api_config.is_playable = Some(is_playable.clone());
    let shown = api::shown_metrics(&settings, &metrics);
    let web_api = api::start(api_config, parts, shown, &addresses).await?;
    let draining = shutdown.drain.clone();
    let is_ready = Arc::new(move || !draining.is_cancelled() && *is_playable.borrow());
    let stop = shutdown.hurry.clone();
    let at = (settings.metrics.address, &addresses);
    let metrics_address = metrics_server::serve(at, metrics, is_ready, stop).await?;
    instance_config.registry_url = format!("http://{}", web_api.grpc_address);
    let deps = Deps { clock, entropy };
    let instance = instance::start(instance_config, games, deps, &addresses).await?;
    tokio::spawn(forward_registration(instance.registered(), playable));
    tokio::select! {
        () = instance.wait_registered() => {
            say(&greeting(&web_api, &instance, metrics_address.port(), &data));
        }
        () = shutdown.drain.cancelled() => {}
    }
    let samples = open_samples(&arguments, games, &web_api, &shutdown.drain);
    shutdown.drain.cancelled().await;
    say("stopping; press Ctrl-C again to hurry");
    for sample in samples {
        if let Err(error) = sample.await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a sample session panicked"
            );
        }
    }
    instance::stop_instance(instance, &shutdown, DRAIN).await;
    web_api.shutdown().await;
    data.close()
}

/// Reports to web-api, which starts first, whether its instance is registered.
async fn forward_registration(
    mut registered: watch::Receiver<bool>,
    playable: watch::Sender<bool>,
) {
    loop {
        playable.send_replace(*registered.borrow_and_update());
        if registered.changed().await.is_err() {
            return;
        }
    }
}

/// Opens the database on a thread that gives way to ticks: SQLite's threads inherit that from the
/// one that starts them, which must not be the main thread.
async fn open_store(settings: Settings) -> Result<Db, CliError> {
    let opening = tokio::spawn(async move { api::open_store(&settings).await });
    opening
        .await
        .map_err(std::io::Error::other)
        .map_err(CliError::Runtime)?
}

fn apply(
    settings: &mut Settings,
    arguments: &DevArguments,
    games: &Games,
) -> Result<(), SettingsError> {
    let offset = arguments.port_offset;
    let ports = [
        ("http.address", &mut settings.http.address),
        ("game.address", &mut settings.game.address),
        ("control.address", &mut settings.control.address),
        (
            "instance.control_address",
            &mut settings.instance.control_address,
        ),
        ("metrics.address", &mut settings.metrics.address),
    ];
    for (name, address) in ports {
        let port = address.port();
        // Any free port is one already.
        if port > 0 {
            let moved = port.checked_add(offset);
            address.set_port(moved.ok_or(SettingsError::Offset { name, port, offset })?);
        }
    }
    if let Some(port) = arguments.port_http {
        settings.http.address.set_port(port);
    }
    if let Some(port) = arguments.port_game {
        settings.game.address.set_port(port);
    }
    // All clients are on this machine here, bots included.
    settings.http.auth_per_address_per_minute = 0;
    settings.http.connections_per_address_max = 0;
    settings.http.open_sessions_per_address_max = 0;
    settings.http.open_sessions_per_player_max = 0;
    if settings.http.known_games.is_empty() {
        // A request that comes before the instance has registered may be made again.
        settings.http.known_games = games.ids().map(|id| id.as_str().to_owned()).collect();
    }
    Ok(())
}

fn entropy(seed: Option<u64>) -> SharedEntropy {
    match seed {
        Some(seed) => SeededEntropy::new(seed),
        None => Arc::new(SystemEntropy),
    }
}

/// Where the database lives.
enum DataFolder {
    Kept(PathBuf),
    /// Removed at the end, which may come early.
    Temporary(TempDir),
}

impl DataFolder {
    fn open(arguments: &DevArguments) -> Result<Self, CliError> {
        // The same seed makes the same ids, which a kept database would have already.
        let data = if arguments.ephemeral || arguments.seed.is_some() {
            let made = tempfile::Builder::new().prefix("gameserver-").tempdir();
            Self::Temporary(made.map_err(|source| folder_error(&std::env::temp_dir(), source))?)
        } else {
            Self::Kept(PathBuf::from(kept_folder(arguments.port_offset)))
        };
        let path = data.path();
        let usable = std::fs::create_dir_all(path).and_then(|()| try_to_write(path));
        usable.map_err(|source| folder_error(path, source))?;
        Ok(data)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn database_url(&self) -> String {
        format!("sqlite:{}", self.path().join("gameserver.sqlite").display())
    }

    fn close(self) -> Result<(), CliError> {
        match self {
            Self::Kept(_) => Ok(()),
            Self::Temporary(folder) => {
                let path = folder.path().to_path_buf();
                folder.close().map_err(|source| folder_error(&path, source))
            }
        }
    }
}

/// Two that run side by side do not share a database.
fn kept_folder(port_offset: u16) -> String {
    match port_offset {
        0 => DATA_FOLDER.to_owned(),
        offset => format!("{DATA_FOLDER}-{offset}"),
    }
}

/// Finds a folder that belongs to another user: the error of SQLite would not name it.
fn try_to_write(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".write-test-{}", std::process::id()));
    std::fs::write(&file, "")?;
    std::fs::remove_file(&file)
}

fn folder_error(path: &Path, source: std::io::Error) -> CliError {
    CliError::DataFolder {
        path: std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .display()
            .to_string(),
        source,
    }
}

fn greeting(
    web_api: &RunningWebApi,
    instance: &Instance,
    metrics_port: u16,
    data: &DataFolder,
) -> String {
    let (http, game) = (web_api.http_address, instance.game_address());
    format!(
        "GameServer is ready.

  play       http://{http}/   in a browser: Play now, watch, replay
  REST API   http://{http}/api/v1   try it at http://{http}/docs
  game port  quic://{game}   https://{game}   ws://{game}
  metrics    http://127.0.0.1:{metrics_port}/metrics
  data       {}

  Watch bots play over real sockets, in another terminal:
      {} bots --players 8 --seconds 30 --api http://{http}
  Log in, list sessions:
      TOKEN=$(curl -s -X POST http://{http}/api/v1/auth/guest -H 'content-type: application/json' \\
          -d '{{}}' | grep -o '\"access_token\":\"[^\"]*' | cut -d'\"' -f4)
      curl -s http://{http}/api/v1/sessions -H \"authorization: Bearer $TOKEN\"

  Ctrl-C stops.",
        data.path().display(),
        program(),
    )
}

/// How this program is called from here.
fn program() -> String {
    let called = std::env::current_exe().ok().and_then(|program| {
        let here = std::env::current_dir().ok()?;
        let program = program
            .strip_prefix(here)
            .map_or(program.clone(), Path::to_path_buf);
        Some(program.display().to_string())
    });
    called.unwrap_or_else(|| "gameserver".to_owned())
}

fn open_samples(
    arguments: &DevArguments,
    games: &Games,
    web_api: &RunningWebApi,
    stop: &CancellationToken,
) -> Vec<tokio::task::JoinHandle<()>> {
    let game = games.for_bots(None);
    let (Ok(game), false) = (game, arguments.no_bots) else {
        return Vec::new();
    };
    let id = game.descriptor.id.as_str();
    let config = |index: u64| BotsConfig {
        api: format!("http://{}", web_api.http_address),
        players: BOTS_PER_SESSION,
        duration: SAMPLE_LENGTH,
        target: Target::OwnSession(CreateSession {
            game: id.to_owned(),
            name: Some(format!("Sample {id} {}", index + 1)),
            ..CreateSession::default()
        }),
        transport: None,
        conditions: NetworkConditions::NONE,
        seed: arguments.seed.unwrap_or(1).wrapping_add(100 * index),
        threads: 1,
    };
    (0..SAMPLE_SESSIONS)
        .map(|index| keep_playing(game.clone(), config(index), stop.clone()))
        .map(tokio::spawn)
        .collect()
}

/// Opens a session for bots again and again.
async fn keep_playing(game: GameWithBots, config: BotsConfig, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = (game.play)(&config, &stop, &mut |_| {}).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "sample session not played"
            );
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SAMPLE_RETRY) => {}
            }
        }
    }
}
