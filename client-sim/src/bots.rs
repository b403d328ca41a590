//! `gameserver bots`: full clients join a session through the REST API and play.

use std::time::{Duration, Instant};

use gameserver_conditions::{ConditionedEndpoint, NetworkConditions};
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::{
    CreateSession, JoinResponse, JoinSession, Session, SessionState, TransportKind,
};
use gameserver_shared::bot::BotPolicy;
use gameserver_transport::connect::ConnectOptions;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::bot::BotSpec;
use crate::bot_pool::BotPool;

use crate::lobby::{Lobby, LobbyError, LoggedIn};
use crate::machine::Machine;
use crate::report::{LoadReport, Scenario};
use crate::session_report::session_report;

/// How long web-api may take to store the result after the match was over.
const RESULT_PATIENCE: Duration = Duration::from_secs(10);
/// How often a bot comes back that was not let in.
const RETRIES_MAX: u32 = 5;
/// How long it waits for that at most, whatever the answer says.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What to play.
#[derive(Debug, Clone)]
pub struct BotsConfig {
    /// Address of the API.
    pub api: String,
    /// How many bots.
    pub players: u16,
    /// How long they play at most; they leave earlier when the match is over.
    pub duration: Duration,
    /// Where they play.
    pub target: Target,
    /// The only transport to try.
    pub transport: Option<TransportKind>,
    /// The network between.
    pub conditions: NetworkConditions,
    /// Seed of their randomness and of the network's.
    pub seed: u64,
    /// Threads that run them.
    pub threads: usize,
}

/// Where bots play.
#[derive(Debug, Clone)]
pub enum Target {
    /// In a session that is there already.
    Session(SessionId),
    /// In a session of their own.
    OwnSession(CreateSession),
}

/// Why the bots did not play.
#[derive(Debug, thiserror::Error)]
pub enum BotsError {
    /// The API said no.
    #[error(transparent)]
    Lobby(#[from] LobbyError),
    /// The operating system gave no thread or no socket.
    #[error("failed to get what bots run on: {0}")]
    System(#[from] std::io::Error),
}

/// Logs the bots in, lets them play and reports. `progress` is called about twice a second.
///
/// # Errors
///
/// See [`BotsError`].
pub async fn run<G: BotPolicy>(
    config: &BotsConfig,
    stop: &CancellationToken,
    mut progress: impl FnMut(&LoadReport),
) -> Result<LoadReport, BotsError> {
    let lobby = Lobby::new(&config.api)?;
    let host = lobby.log_in_as_guest().await?;
    let session = match &config.target {
        Target::Session(id) => host.session(*id).await?,
        Target::OwnSession(request) => host.create_session(request).await?,
    };
    let conditioned = ConditionedEndpoint::bind(config.conditions, config.seed)?;
    let options = ConnectOptions {
        only: config.transport,
        endpoint: Some(conditioned.endpoint().clone()),
        ..ConnectOptions::default()
    };
    let blank = blank_report::<G>(config, &session);
    let bots = join_all(config, &lobby, host.clone(), &session, &options).await?;
    let pool = BotPool::start::<G>(bots, config.threads, &Handle::current())?;
    let began = Instant::now();
    while !pool.is_over() && began.elapsed() < config.duration {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(POLL_INTERVAL * 2) => {}
        }
        let (stats, lag) = (pool.stats(), pool.lag_max());
        progress(&session_report(
            &blank,
            &session,
            stats,
            lag,
            began.elapsed(),
        ));
    }
    let (elapsed, lag) = (began.elapsed(), pool.lag_max());
    let finished = tokio::task::spawn_blocking(move || pool.finish()).await;
    let stats = finished.unwrap_or_default();
    conditioned.endpoint().wait_idle().await;
    let mut report = session_report(&blank, &session, stats, lag, elapsed);
    if let Some(figures) = &mut report.figures.session {
        figures.session_state = wait_for_end(&host, session.id).await?;
        figures.results = stored_results(&host, session.id).await?;
    }
    Ok(report)
}

/// A report in which nothing has happened yet.
fn blank_report<G: BotPolicy>(config: &BotsConfig, session: &Session) -> LoadReport {
    let game = G::descriptor();
    let transport = config.transport.map(|transport| transport.to_string());
    LoadReport {
        version: 1,
        title: format!("{} bots in 1 match of {}", config.players, game.name),
        machine: Machine::here(),
        plan: Scenario {
            game: game.id.to_string(),
            mode: session.mode.clone(),
            protocol: "native".to_owned(),
            transport: transport.unwrap_or_else(|| "any".to_owned()),
            conditions: config.conditions.to_string(),
            players: config.players.into(),
            canaries: config.players.into(),
            matches: 1,
            seconds: config.duration.as_secs_f64(),
            seed: config.seed,
            tick_rate_hz: game.tick_rate_hz,
            snapshot_rate_hz: game.snapshot_rate_hz,
            ..Scenario::default()
        },
        ..LoadReport::default()
    }
}

/// How many results are stored for this session.
async fn stored_results(player: &LoggedIn, session: SessionId) -> Result<usize, LobbyError> {
    let records = player.matches(player.player).await?;
    let of_session = records.iter().filter(|record| record.session_id == session);
    Ok(of_session.count())
}

async fn join_all(
    config: &BotsConfig,
    lobby: &Lobby,
    host: LoggedIn,
    session: &Session,
    options: &ConnectOptions,
) -> Result<Vec<BotSpec>, BotsError> {
    let mut players = vec![host];
    for _ in 1..config.players {
        players.push(lobby.log_in_as_guest().await?);
    }
    let mut bots = Vec::new();
    for (index, player) in players.iter().enumerate() {
        let join = join_when_there_is_room(player, session.id).await?;
        bots.push(BotSpec {
            name: player.display_name.clone(),
            join,
            options: options.clone(),
            seed: config.seed.wrapping_add(index as u64),
            retries_max: RETRIES_MAX,
        });
    }
    Ok(bots)
}

/// Joins, and comes back where the answer says that it helps.
async fn join_when_there_is_room(
    player: &LoggedIn,
    session: SessionId,
) -> Result<JoinResponse, LobbyError> {
    let mut retries_left = RETRIES_MAX;
    loop {
        let error = match player.join(session, &JoinSession::default()).await {
            Ok(join) => return Ok(join),
            Err(error) => error,
        };
        let after = match &error {
            LobbyError::Refused(refusal) => refusal.retry_after,
            LobbyError::Unreachable { .. } | LobbyError::Unexpected(_) => None,
        };
        let Some(after) = after.filter(|_| retries_left > 0) else {
            return Err(error);
        };
        retries_left -= 1;
        tokio::time::sleep(after.min(RETRY_WAIT_MAX)).await;
    }
}

/// Waits until the session's result is stored, when its match is over.
async fn wait_for_end(host: &LoggedIn, id: SessionId) -> Result<SessionState, LobbyError> {
    let began = Instant::now();
    loop {
        let state = host.session(id).await?.state;
        let on_its_way = state == SessionState::Ending && began.elapsed() < RESULT_PATIENCE;
        if !on_its_way {
            return Ok(state);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
