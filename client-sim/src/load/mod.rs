//! `gameserver load`: as many players as wanted, real sockets, and a report that says whether the
//! server kept its limits.
//!
//! Reading order: [`places`], `sessions`, `arrivals`, `thin_bot`, `pace`, `sendings`, [`native`],
//! `player`, `swarm`, `books`, `rates`, `server`, `settle`, `ledger`, [`report`], `plan`,
//! [`figures`], [`gates`], [`machine`].

mod arrivals;
mod books;
pub mod figures;
pub mod gates;
mod ledger;
pub mod machine;
pub mod native;
mod pace;
pub mod places;
mod plan;
mod player;
mod rates;
pub mod report;
mod sendings;
mod server;
mod sessions;
mod settle;
mod swarm;
mod task_waits;
mod thin_bot;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gameserver_conditions::{ConditionedEndpoint, NetworkConditions};
use gameserver_contract::session::TransportKind;
use gameserver_shared::bot::ThinBots;
use gameserver_shared::protocol::tick_duration;
use gameserver_transport::connect::ConnectOptions;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bot::BotSpec;
use crate::lobby::{Lobby, LobbyError};
use arrivals::{Arrival, Churn, Crowd, Turn};
use books::Page;
use gates::Gate;
use ledger::{RunBooks, second};
use native::{Canaries, LightBot};
use places::Protocol;
use player::Player;
use report::LoadReport;
pub use server::MetricsError;
use server::ServerProbe;
use sessions::Sessions;
use swarm::{Desk, Swarm};
use thin_bot::{Lesson, ThinBot};

/// Time for the last words when a run ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Seconds are told a little early or late.
const EDGE: Duration = Duration::from_millis(100);
/// A run whose threads tell nothing any more ends so long after its time.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Address of the API.
    pub api: String,
    /// Address of the server's metrics, which must answer; nothing is known of the server without.
    pub metrics: Option<String>,
    /// The game's mode; its first one when absent.
    pub mode: Option<String>,
    /// Players in all.
    pub players: u32,
    /// What they speak.
    pub protocol: Protocol,
    /// How many of the players are whole clients, which check what they are sent.
    pub canaries: u32,
    /// Ticks whose inputs light native players put into one packet: 1 to
    /// [`native::PACKET_TICKS_MAX`], other numbers count as the nearer end. The game's number when
    /// absent.
    pub packet_ticks: Option<u16>,
    /// Those who watch besides.
    pub spectators: u32,
    /// Matches to spread them over.
    pub matches: u32,
    /// The only transport.
    pub transport: TransportKind,
    /// The network between.
    pub conditions: NetworkConditions,
    /// Time in which they come.
    pub ramp: Duration,
    /// Time that counts, after the ramp.
    pub duration: Duration,
    /// Players a second who leave after the ramp, and as many who come.
    pub churn_per_s: u32,
    /// How long the server is watched when everybody has left.
    pub settle: Duration,
    /// The words of the command that repeats the run.
    pub command: Vec<String>,
    /// Seed of their behaviour and of the network's.
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
    /// The server's metrics were asked for, and are not there.
    #[error(
        "nothing would be known of the server; name its metrics with --metrics, or do without \
         them with --no-metrics"
    )]
    Metrics(#[from] MetricsError),
    /// The game has no such mode.
    #[error("the game has no mode {0:?}")]
    UnknownMode(String),
}

/// How a run stands.
#[derive(Debug)]
pub struct Standing<'a> {
    /// What is known so far; the newest second is the last of its series.
    pub report: &'a LoadReport,
    /// What goes on.
    pub part: Part,
    /// Time since the run began.
    pub elapsed: Duration,
    /// Time that the run takes in all.
    pub whole: Duration,
}

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The crowd comes; nothing counts.
    Ramp,
    /// What happens counts.
    Counts,
    /// Everybody says goodbye.
    Leaves,
    /// Everybody has left, and the server is watched.
    Settles,
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
    mut progress: impl FnMut(&Standing<'_>),
) -> Result<LoadReport, LoadError> {
    let probe = config.metrics.clone().map(ServerProbe::new);
    let mut books = RunBooks::new(config, plan::blank(config, &G::descriptor(), began_at));
    books.tell(Part::Ramp, Duration::ZERO, &mut progress);
    if let Some(probe) = &probe {
        // Without it a run would pass of which nothing is known.
        books.baseline = Some(probe.footprint().await?);
    }
    let (mut books, probe) =
        Box::pin(play::<G>(config, stop, (books, probe), &mut progress)).await?;
    if let Some(probe) = probe.filter(|_| !config.settle.is_zero()) {
        let began = books.began.elapsed();
        let settled = settle::watch(&probe, config.settle, stop, |elapsed, now| {
            books.settled = Some(now.clone());
            books.tell(Part::Settles, began + elapsed, &mut progress);
        });
        // Only a whole watch says what stays.
        let settled = settled.await;
        books.settled = settled.filter(|_| !stop.is_cancelled());
    }
    Ok(books.report())
}

/// From the first bot to the last one's goodbye.
async fn play<G: ThinBots>(
    config: &LoadConfig,
    stop: &CancellationToken,
    (mut books, probe): (RunBooks, Option<ServerProbe>),
    progress: &mut impl FnMut(&Standing<'_>),
) -> Result<(RunBooks, Option<ServerProbe>), LoadError> {
    let lobby = Lobby::new(&config.api)?;
    let sessions = Sessions::open(config, &G::descriptor(), &lobby).await?;
    let ids = sessions.ids();
    let mut protocol = native::Protocol::of::<G>(Handle::current());
    if let Some(ticks) = config.packet_ticks {
        protocol = protocol.sending_every(ticks);
    }
    let conditioned = ConditionedEndpoint::bind(config.conditions, config.seed)?;
    let crowd = Crowd {
        lobby,
        players: players(config, ids.len()).into(),
        sessions: ids,
        spectators: config.spectators,
        ramp: config.ramp,
        churn: Churn {
            per_s: config.churn_per_s,
            lasts: config.duration,
        },
        fingerprint: protocol.fingerprint,
        options: ConnectOptions {
            only: Some(config.transport),
            endpoint: Some(conditioned.endpoint().clone()),
            ..ConnectOptions::default()
        },
    };
    let tick = tick_duration::<G>();
    books.began = Instant::now();
    let (desk, pages) = Desk::new();
    let mut run = Run {
        swarm: Swarm::<G>::start(config.threads, tick, &desk, &Handle::current())?,
        canaries: start_canaries::<G>(config, &desk)?,
        pages,
        protocol,
        options: crowd.options.clone(),
        arrivals: arrivals::begin(crowd.clone(), stop.clone()),
        parts: BTreeMap::new(),
        lessons: swarm::lessons(crowd.sessions.len()),
        tick,
        config: config.clone(),
        probe,
        books,
    };
    // Only threads hand pages in: when the last one ends, so do the pages.
    drop(desk);
    run.play(stop, progress).await;
    let elapsed = run.books.began.elapsed();
    run.books.tell(Part::Leaves, elapsed, progress);
    let (books, probe) = run.end().await;
    conditioned.endpoint().wait_idle().await;
    if let Some(counts) = conditioned.counts() {
        tracing::info!(?counts, "what the conditions did");
    }
    sessions.end().await;
    Ok((books, probe))
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
}

impl<G: ThinBots> Run<G> {
    async fn play(&mut self, stop: &CancellationToken, progress: &mut impl FnMut(&Standing<'_>)) {
        let end = self.config.ramp + self.config.duration;
        let at_last = self.books.began + end + SILENCE_MAX;
        let mut everybody_came = false;
        self.begin_to_count_when_due();
        while self.books.told_until + EDGE < end {
            tokio::select! {
                () = stop.cancelled() => return self.books.stopped_early(),
                () = tokio::time::sleep_until(at_last.into()) => return,
                arrival = self.arrivals.recv(), if !everybody_came => match arrival {
                    Some(arrival) => self.receive(arrival),
                    None => everybody_came = true,
                },
                page = self.pages.recv() => match page {
                    Some((thread, page)) => self.take_in(thread, page, progress).await,
                    // No thread is left.
                    None => return,
                },
            }
        }
    }

    /// Those who are on their way come in, then all say goodbye.
    async fn end(mut self) -> (RunBooks, Option<ServerProbe>) {
        let late = async {
            while let Some(arrival) = self.arrivals.recv().await {
                self.receive(arrival);
            }
        };
        if tokio::time::timeout(FAREWELL, late).await.is_err() {
            tracing::debug!("some bots were still on their way in");
        }
        let finished = tokio::task::spawn_blocking(move || {
            if let Some(canaries) = self.canaries {
                canaries.finish();
            }
            self.swarm.finish()
        });
        match finished.await {
            Ok(leaving) => say_goodbye(leaving).await,
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the swarm did not end in order"
            ),
        }
        while let Ok((thread, page)) = self.pages.try_recv() {
            self.parts.entry(thread).or_default().add_after(&page);
        }
        if !self.parts.is_empty() {
            self.books.note(&Page::sum(self.parts.values()));
        }
        (self.books, self.probe)
    }

    fn receive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Entered {
                connection,
                seat,
                session,
                index,
                turn,
                after,
            } => {
                self.books.connected += 1;
                self.books.churn_joins += u64::from(turn == Turn::Later);
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
                    // Who is turned away is what a load test counts.
                    retries_max: 0,
                };
                let canaries = self.canaries.as_ref();
                let entered = canaries.map_or(Ok(()), |canaries| canaries.enter(bot, session));
                if let Err(why) = entered {
                    self.books.refused += 1;
                    self.note_end(format!("not let in: {why}"));
                }
            }
            Arrival::Refused(refusal) => {
                self.books.refused += 1;
                self.books.refused_saying_when += u64::from(refusal.says_when);
                if let Some(after) = refusal.after {
                    self.books.refusals.note(after);
                }
                self.note_end(format!("not let in: {}", refusal.why));
            }
            Arrival::Leave => self.swarm.leave_one(),
        }
    }

    fn note_end(&mut self, why: String) {
        *self.books.all.ends.entry(why).or_default() += 1;
    }

    /// A second is over when every thread has told of it, or one tells of the next already.
    async fn take_in(
        &mut self,
        thread: usize,
        page: Page,
        progress: &mut impl FnMut(&Standing<'_>),
    ) {
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
    async fn close_second(&mut self, progress: &mut impl FnMut(&Standing<'_>)) {
        let page = Page::sum(std::mem::take(&mut self.parts).values());
        let server = match &mut self.probe {
            Some(probe) => probe.look().await,
            None => None,
        };
        let at = self.books.began.elapsed();
        self.books.note(&page);
        if self.books.counts_from.is_some() {
            self.books.count(&page, server.as_ref());
        }
        let matches = self.config.matches.max(1);
        let server = server.unwrap_or_default();
        let second = second(at, page, server, matches, self.books.own_cpu());
        self.books.series.push(second);
        self.books.told_until = at;
        self.begin_to_count_when_due();
        self.books.tell(self.books.part(), at, progress);
    }

    fn begin_to_count_when_due(&mut self) {
        let due = self.books.told_until + EDGE >= self.config.ramp;
        if due && self.books.counts_from.is_none() {
            self.swarm.count();
            self.books.begin_to_count();
        }
    }
}
