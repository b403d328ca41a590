//! `gameserver load`: as many players as wanted, real sockets, and a report that says whether the
//! server kept its limits.
//!
//! Reading order: [`places`], `arrivals`, `thin_bot`, `pace`, `sendings`, [`native`], `player`,
//! `swarm`, `books`, `server`, [`report`], [`gates`], [`machine`].

mod arrivals;
mod books;
pub mod gates;
pub mod machine;
pub mod native;
mod pace;
pub mod places;
mod player;
pub mod report;
mod sendings;
mod server;
mod swarm;
mod thin_bot;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::{CreateSession, TransportKind};
use gameserver_shared::bot::ThinBots;
use gameserver_shared::protocol::tick_duration;
use gameserver_transport::connect::{ClientEndpoint, ConnectOptions};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bot::BotSpec;
use crate::lobby::{Lobby, LobbyError};
use arrivals::{Arrival, Crowd};
use books::{Page, Times};
use gates::Gate;
use machine::Machine;
use native::{Canaries, CanaryFigures, LightBot};
use places::Protocol;
use player::Player;
use report::{Latency, LoadReport, Plan, Second, State, Verdict};
use server::{ServerProbe, ServerSecond};
use swarm::{Desk, Swarm};
use thin_bot::{Lesson, ThinBot};

/// Own work that began later than this says that the bots were the bottleneck, if one in a hundred
/// parts of their work did.
const LAG_MAX: Duration = Duration::from_millis(16);
/// Time for the last words when a run ends.
const FAREWELL: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);

/// What to do.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Address of the API.
    pub api: String,
    /// Address of the server's metrics; nothing is known of the server without.
    pub metrics: Option<String>,
    /// The game's mode; its first one when absent.
    pub mode: Option<String>,
    /// Players in all.
    pub players: u32,
    /// What they speak.
    pub protocol: Protocol,
    /// How many of the players are whole clients, which check what they are sent.
    pub canaries: u32,
    /// Those who watch besides.
    pub spectators: u32,
    /// Matches to spread them over.
    pub matches: u32,
    /// The only transport.
    pub transport: TransportKind,
    /// Time in which they come.
    pub ramp: Duration,
    /// Time that counts, after the ramp.
    pub duration: Duration,
    /// Seed of their behaviour.
    pub seed: u64,
    /// Threads that play them.
    pub threads: usize,
    /// Limits to keep.
    pub gates: Vec<Gate>,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The API said no before anybody came.
    #[error(transparent)]
    Lobby(#[from] LobbyError),
    /// The operating system gave no thread or no socket.
    #[error("failed to get what the bots run on: {0}")]
    System(#[from] std::io::Error),
    /// More players than fit into the matches.
    #[error("{players} players do not fit into {matches} matches of at most {each}; add --matches")]
    TooMany {
        /// Players in all.
        players: u32,
        /// Matches.
        matches: u32,
        /// Players in one.
        each: u16,
    },
    /// More whole clients than players.
    #[error("{canaries} canaries are more than {players} players")]
    TooManyCanaries {
        /// Players in all.
        players: u32,
        /// Of these, whole clients.
        canaries: u32,
    },
    /// The game has no such mode.
    #[error("the game has no mode {0:?}")]
    UnknownMode(String),
}

/// Plays and reports. `progress` is called every second.
///
/// # Errors
///
/// See [`LoadError`].
pub async fn run<G: ThinBots>(
    config: &LoadConfig,
    stop: &CancellationToken,
    began_at: String,
    mut progress: impl FnMut(&Second),
) -> Result<LoadReport, LoadError> {
    let game = G::descriptor();
    let lobby = Lobby::new(&config.api)?;
    let sessions = open_sessions(config, &game, &lobby).await?;
    let protocol = native::Protocol::of::<G>(Handle::current());
    let crowd = Crowd {
        lobby,
        players: players(config, sessions.len()).into(),
        sessions,
        spectators: config.spectators,
        ramp: config.ramp,
        fingerprint: protocol.fingerprint,
        options: ConnectOptions {
            only: Some(config.transport),
            endpoint: Some(ClientEndpoint::bind()?),
            ..ConnectOptions::default()
        },
    };
    let tick = tick_duration::<G>();
    let (desk, pages) = Desk::new();
    let mut run = Run {
        swarm: Swarm::<G>::start(config.threads, tick, &desk)?,
        canaries: start_canaries::<G>(config, &desk)?,
        pages,
        protocol,
        options: crowd.options.clone(),
        arrivals: arrivals::begin(crowd.clone(), stop.clone()),
        parts: BTreeMap::new(),
        lessons: swarm::lessons(crowd.sessions.len()),
        tick,
        config: config.clone(),
        probe: config.metrics.clone().map(ServerProbe::new),
        books: RunBooks::default(),
        began: Instant::now(),
    };
    // Only threads hand pages in: when the last one ends, so do the pages.
    drop(desk);
    run.play(stop, &mut progress).await;
    let Run {
        swarm,
        canaries,
        mut pages,
        mut books,
        config,
        ..
    } = run;
    let finished = tokio::task::spawn_blocking(move || {
        if let Some(canaries) = canaries {
            canaries.finish();
        }
        swarm.finish()
    });
    match finished.await {
        Ok(leaving) => say_goodbye(leaving).await,
        Err(error) => tracing::error!(%error, "the swarm did not end in order"),
    }
    while let Ok((_, page)) = pages.try_recv() {
        books.note(&page);
    }
    if let Some(endpoint) = crowd.options.endpoint {
        endpoint.wait_idle().await;
    }
    Ok(books.report(&config, &game, began_at))
}

/// Who plays where.
fn players(config: &LoadConfig, matches: usize) -> Vec<places::Place> {
    let [players, canaries] = [config.players, config.canaries].map(|count| count as usize);
    places::places(players, canaries, matches, config.protocol)
}

/// The thread of the canaries, if there are any.
fn start_canaries<G: ThinBots>(
    config: &LoadConfig,
    desk: &Desk,
) -> std::io::Result<Option<Canaries>> {
    let desk = desk.of_thread(config.threads.max(1));
    let start = || Canaries::start::<G>(desk, Handle::current());
    (config.canaries > 0).then(start).transpose()
}

/// Waits until the server has heard that everybody leaves, but only so long.
async fn say_goodbye(leaving: Vec<Connection>) {
    let all_gone = async {
        for connection in &leaving {
            connection.wait_closed().await;
        }
    };
    if tokio::time::timeout(FAREWELL, all_gone).await.is_err() {
        tracing::debug!("some goodbyes were not answered");
    }
}

async fn open_sessions(
    config: &LoadConfig,
    game: &GameDescriptor,
    lobby: &Lobby,
) -> Result<Vec<SessionId>, LoadError> {
    let wanted = config.mode.as_deref();
    let mode = match wanted {
        Some(wanted) => game.modes.iter().find(|mode| mode.id == wanted),
        None => game.modes.first(),
    };
    let mode = mode.ok_or_else(|| LoadError::UnknownMode(wanted.unwrap_or_default().to_owned()))?;
    if config.canaries > config.players {
        return Err(LoadError::TooManyCanaries {
            players: config.players,
            canaries: config.canaries,
        });
    }
    let each = config.players.div_ceil(config.matches.max(1));
    let seats = u16::try_from(each)
        .unwrap_or(u16::MAX)
        .max(mode.players_min);
    if u32::from(mode.players_max) < each {
        return Err(LoadError::TooMany {
            players: config.players,
            matches: config.matches,
            each: mode.players_max,
        });
    }
    let host = lobby.log_in_as_guest().await?;
    let mut sessions = Vec::new();
    for number in 1..=config.matches.max(1) {
        let wish = CreateSession {
            game: game.id.to_string(),
            mode: Some(mode.id.clone()),
            name: Some(format!("Load {number}")),
            players_max: Some(seats),
            ..CreateSession::default()
        };
        sessions.push(host.create_session(&wish).await?.id);
    }
    Ok(sessions)
}

/// A run under way.
struct Run<G: ThinBots> {
    swarm: Swarm<G>,
    canaries: Option<Canaries>,
    protocol: native::Protocol,
    /// How canaries connect.
    options: ConnectOptions,
    pages: mpsc::Receiver<(usize, Page)>,
    /// Pages of the present second, by thread.
    parts: BTreeMap<usize, Page>,
    arrivals: mpsc::Receiver<Arrival>,
    lessons: Vec<Lesson<G::Thin>>,
    tick: Duration,
    config: LoadConfig,
    probe: Option<ServerProbe>,
    books: RunBooks,
    began: Instant,
}

impl<G: ThinBots> Run<G> {
    async fn play(&mut self, stop: &CancellationToken, progress: &mut impl FnMut(&Second)) {
        let end = self.config.ramp + self.config.duration;
        let mut everybody_came = false;
        while self.began.elapsed() < end {
            tokio::select! {
                () = stop.cancelled() => break,
                arrival = self.arrivals.recv(), if !everybody_came => match arrival {
                    Some(arrival) => self.receive(arrival),
                    None => everybody_came = true,
                },
                page = self.pages.recv() => match page {
                    Some((thread, page)) => self.take_in(thread, page, progress).await,
                    // No thread is left.
                    None => break,
                },
            }
        }
    }

    fn receive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Entered {
                connection,
                seat,
                session,
                index,
                after,
            } => {
                self.books.connected += 1;
                self.books.joins.note(after);
                let seed = self.config.seed.wrapping_add(index.into());
                self.swarm.enter(match connection.mode() {
                    Mode::Native => {
                        let bot = LightBot::new(connection, self.protocol, self.tick, seed);
                        Player::Native(bot)
                    }
                    Mode::Thin => {
                        let lesson = self.lessons[session].clone();
                        Player::Thin(ThinBot::new(connection, seat, self.tick, lesson, seed))
                    }
                });
            }
            Arrival::Canary {
                join,
                session,
                index,
            } => {
                let bot = BotSpec {
                    name: format!("Canary {index}"),
                    join,
                    options: self.options.clone(),
                    seed: self.config.seed.wrapping_add(index.into()),
                };
                if let Some(canaries) = &self.canaries {
                    canaries.enter(bot, session);
                }
            }
            Arrival::Refused { why } => {
                self.books.refused += 1;
                let why = format!("not let in: {why}");
                *self.books.all.ends.entry(why).or_default() += 1;
            }
        }
    }

    /// A second is over when every thread has told of it, or one tells of the next already.
    async fn take_in(&mut self, thread: usize, page: Page, progress: &mut impl FnMut(&Second)) {
        if self.parts.contains_key(&thread) {
            self.close_second(progress).await;
        }
        self.parts.insert(thread, page);
        let threads = self.config.threads.max(1) + usize::from(self.canaries.is_some());
        if self.parts.len() >= threads {
            self.close_second(progress).await;
        }
    }

    /// Adds up what the threads and the server tell of the last second.
    async fn close_second(&mut self, progress: &mut impl FnMut(&Second)) {
        let mut page = Page::default();
        for part in std::mem::take(&mut self.parts).values() {
            page.add_beside(part);
        }
        let server = match &mut self.probe {
            Some(probe) => probe.look().await,
            None => None,
        };
        let at = self.began.elapsed();
        self.books.note(&page);
        if at > self.config.ramp + SECOND {
            self.books.count(&page, server.as_ref());
        } else {
            self.books.drops_before = machine::kernel_drops();
        }
        let matches = self.config.matches.max(1);
        let server = server.unwrap_or_default();
        let second = second(at, page, server, matches, self.books.own_cpu());
        progress(&second);
        self.books.series.push(second);
    }
}

fn second(
    at: Duration,
    mut page: Page,
    server: ServerSecond,
    matches: u32,
    bots_cpu: Option<f64>,
) -> Second {
    let rates = &mut page.snapshots_by_bot;
    rates.sort_unstable();
    let players = page.playing.max(1) as f64;
    Second {
        at_s: at.as_secs_f64(),
        players: page.playing,
        spectators: page.watching,
        snapshots_per_s: rates.get(rates.len() / 2).map(|rate| f64::from(*rate)),
        snapshots_per_s_min: rates.first().map(|rate| f64::from(*rate)),
        input_to_state_p50_ms: page.answered.ms_at(0.5),
        input_to_state_p95_ms: page.answered.ms_at(0.95),
        rtt_p50_ms: page.rtt.ms_at(0.5),
        tick_p50_ms: server.tick_p50_ms,
        tick_p99_ms: server.tick_p99_ms,
        ticks_per_s: server.ticks_per_s.map(|rate| rate / f64::from(matches)),
        server_cpu: server.cpu,
        server_rss_bytes: server.memory_bytes,
        server_files: server.files,
        server_threads: server.threads,
        bots_cpu,
        bots_lag_max_ms: page.lag.ms_at(1.0),
        kb_in_per_player: page.bytes_in as f64 / 1e3 / players,
        kb_out_per_player: page.bytes_out as f64 / 1e3 / players,
        disconnects: page.ends.values().sum(),
    }
}

/// What a run adds up.
#[derive(Debug, Default)]
struct RunBooks {
    connected: u64,
    refused: u64,
    joins: Times,
    /// Seconds that count.
    counted: Page,
    /// Everything, for how bots ended.
    all: Page,
    server: ServerSum,
    series: Vec<Second>,
    own_cpu_before: Option<(Instant, Duration)>,
    drops_before: Option<u64>,
}

/// The server's seconds that count.
#[derive(Debug, Default)]
struct ServerSum {
    ticks: BTreeMap<u64, f64>,
    ticks_per_s: Vec<f64>,
    inputs_late: f64,
}

impl RunBooks {
    fn note(&mut self, page: &Page) {
        self.all.add_after(page);
    }

    /// A second after the ramp.
    fn count(&mut self, page: &Page, server: Option<&ServerSecond>) {
        self.counted.add_after(page);
        if let Some(server) = server {
            for (upper, count) in &server.ticks {
                *self.server.ticks.entry(*upper).or_default() += count;
            }
            self.server.ticks_per_s.extend(server.ticks_per_s);
            self.server.inputs_late += server.inputs_late;
        }
    }

    /// Share of a core that this process used since the last call.
    fn own_cpu(&mut self) -> Option<f64> {
        let now = (Instant::now(), machine::own_cpu()?);
        let (then, before) = self.own_cpu_before.replace(now)?;
        let used = now.1.saturating_sub(before).as_secs_f64();
        Some(used / now.0.duration_since(then).as_secs_f64().max(1e-3))
    }

    fn report(self, config: &LoadConfig, game: &GameDescriptor, began_at: String) -> LoadReport {
        let drops = machine::kernel_drops().zip(self.drops_before);
        let rates = &self.server.ticks_per_s;
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        let disconnects: u64 = self
            .all
            .ends
            .iter()
            .filter(|end| is_disconnect(end.0))
            .map(|end| end.1)
            .sum();
        let mut report = LoadReport {
            version: 1,
            title: title(config, game),
            began_at,
            machine: Machine::here(),
            plan: plan(config, game),
            verdict: Verdict {
                state: State::Passed,
                reasons: Vec::new(),
            },
            gates: Vec::new(),
            totals: report::Totals {
                connected: self.connected + self.all.canaries.connected,
                refused: self.refused + self.all.canaries.refused,
                disconnects,
                inputs_sent: self.counted.inputs,
                inputs_late: self.server.inputs_late,
                snapshots: self.counted.snapshots,
                bytes_in: self.counted.bytes_in,
                bytes_out: self.counted.bytes_out,
                kills: self.counted.kills,
                kernel_drops: drops.map(|(now, before)| now.saturating_sub(before)),
            },
            latency: report::Latencies {
                input_to_state_ms: Latency::of(&self.counted.answered),
                rtt_ms: Latency::of(&self.counted.rtt),
                join_ms: Latency::of(&self.joins),
            },
            tick: report::Ticks {
                p50_ms: server::ms_at(&self.server.ticks, 0.5),
                p99_ms: server::ms_at(&self.server.ticks, 0.99),
                ticks_per_s: (!rates.is_empty()).then_some(mean / f64::from(config.matches.max(1))),
            },
            canaries: CanaryFigures::of(&self.counted.canaries, &self.all.canaries),
            series: self.series,
            ends: report::ends(&self.all.ends),
        };
        report.gates = config
            .gates
            .iter()
            .map(|gate| gate.check(&report))
            .collect();
        report.verdict = verdict(&report, &self.counted.lag);
        report
    }
}

/// Those that were refused never were connected.
fn is_disconnect(why: &str) -> bool {
    !why.starts_with("not let in")
}

fn verdict(report: &LoadReport, lag: &Times) -> Verdict {
    let lag_ms = lag.ms_at(0.99).unwrap_or(0.0);
    if lag_ms > LAG_MAX.as_secs_f64() * 1e3 {
        let why = format!(
            "The bots were the bottleneck: their own work began {lag_ms:.1} ms late or more in one \
             of a hundred cases. Give them another core or use fewer."
        );
        return Verdict {
            state: State::Void,
            reasons: vec![why],
        };
    }
    let failed = report.gates.iter().filter(|gate| !gate.passed);
    let reasons: Vec<_> = failed.map(ToString::to_string).collect();
    let state = if reasons.is_empty() {
        State::Passed
    } else {
        State::Failed
    };
    Verdict { state, reasons }
}

fn title(config: &LoadConfig, game: &GameDescriptor) -> String {
    let matches = match config.matches {
        0 | 1 => "1 match".to_owned(),
        many => format!("{many} matches"),
    };
    let watched = match config.spectators {
        0 => String::new(),
        many => format!(", watched by {many}"),
    };
    format!(
        "{} {} players over {} in {matches} of {}{watched}",
        config.players, config.protocol, config.transport, game.name
    )
}

fn plan(config: &LoadConfig, game: &GameDescriptor) -> Plan {
    let first = game.modes.first().map(|mode| mode.id.clone());
    Plan {
        game: game.id.to_string(),
        mode: config.mode.clone().or(first).unwrap_or_default(),
        protocol: config.protocol.to_string(),
        transport: config.transport.to_string(),
        conditions: "none".to_owned(),
        players: config.players,
        canaries: config.canaries,
        spectators: config.spectators,
        matches: config.matches.max(1),
        ramp_s: config.ramp.as_secs_f64(),
        seconds: config.duration.as_secs_f64(),
        seed: config.seed,
        tick_rate_hz: game.tick_rate_hz,
        snapshot_rate_hz: game.snapshot_rate_hz,
    }
}
