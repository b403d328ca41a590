//! `gameserver load`: as many players as wanted, real sockets, and a report that says whether the
//! server kept its limits.
//!
//! Reading order: `config`, `placement`, `sessions`, `arrivals`; a bot: `latency_probe`,
//! `server_clock`, `sent_inputs`, `thin_bot`, [`native`], `swarm_bot`; threads and their figures:
//! `stats_window`, `reporter`, `shard`, `swarm`; the run: `server_metrics`, `run_totals`,
//! `figures`, [`gates`], `settle`, `progress`.

mod arrivals;
mod bot_rates;
mod config;
mod duration_histogram;
mod figures;
pub mod gates;
mod latency_probe;
pub mod native;
mod placement;
mod progress;
mod reporter;
mod run_totals;
mod scenario;
mod sent_inputs;
mod server_clock;
mod server_metrics;
mod sessions;
mod settle;
mod shard;
mod stats_window;
mod swarm;
mod swarm_bot;
mod task_delays;
mod thin_bot;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gameserver_conditions::ConditionedEndpoint;
use gameserver_shared::bot::ThinBots;
use gameserver_shared::protocol::tick_duration;
use gameserver_transport::connect::ConnectOptions;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bot::BotSpec;
use crate::lobby::Lobby;
use crate::report::LoadReport;
use arrivals::{Arrival, ArrivalSchedule, Churn, Wave};
pub use config::{ClientProtocol, LoadConfig, LoadError};
use native::{Canaries, LightBot};
use placement::Placement;
pub use progress::{Phase, Progress};
use reporter::Reporter;
use run_totals::{RunTotals, second};
pub use server_metrics::MetricsError;
use server_metrics::ServerProbe;
use sessions::Sessions;
use stats_window::StatsWindow;
use swarm::Swarm;
use swarm_bot::SwarmBot;
use thin_bot::{SharedState, ThinBot};

/// Time for goodbyes when a run ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Threads report each second a little early or late.
const EDGE: Duration = Duration::from_millis(100);
/// A run whose threads have stopped reporting ends so long after its time.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Plays and reports. `progress` is called every second.
///
/// # Errors
///
/// See [`LoadError`].
pub async fn run<G: ThinBots>(
    config: &LoadConfig,
    stop: &CancellationToken,
    began_at: String,
    mut progress: impl FnMut(&Progress<'_>),
) -> Result<LoadReport, LoadError> {
    let probe = config.metrics.clone().map(ServerProbe::new);
    let mut totals = RunTotals::new(
        config,
        scenario::blank_report(config, &G::descriptor(), began_at),
    );
    totals.publish(Phase::Ramp, Duration::ZERO, &mut progress);
    if let Some(probe) = &probe {
        // Without it a run would pass of which nothing is known.
        totals.baseline = Some(probe.footprint().await?);
    }
    let (mut totals, probe) =
        Box::pin(play::<G>(config, stop, (totals, probe), &mut progress)).await?;
    if let Some(probe) = probe.filter(|_| !config.settle.is_zero()) {
        let began = totals.began.elapsed();
        let settled = settle::watch(&probe, config.settle, stop, |elapsed, now| {
            totals.settled = Some(now.clone());
            totals.publish(Phase::Settling, began + elapsed, &mut progress);
        });
        // Only a whole watch says what stays.
        let settled = settled.await;
        totals.settled = settled.filter(|_| !stop.is_cancelled());
    }
    Ok(totals.report())
}

/// From the first bot that joins to the last one that leaves.
async fn play<G: ThinBots>(
    config: &LoadConfig,
    stop: &CancellationToken,
    (mut totals, probe): (RunTotals, Option<ServerProbe>),
    progress: &mut impl FnMut(&Progress<'_>),
) -> Result<(RunTotals, Option<ServerProbe>), LoadError> {
    let lobby = Lobby::new(&config.api)?;
    let sessions = Sessions::open(config, &G::descriptor(), &lobby).await?;
    let ids = sessions.ids();
    let mut protocol = native::Protocol::of::<G>(Handle::current());
    if let Some(ticks) = config.packet_ticks {
        protocol = protocol.sending_every(ticks);
    }
    let conditioned = ConditionedEndpoint::bind(config.conditions, config.seed)?;
    let schedule = ArrivalSchedule {
        lobby,
        players: players(config, ids.len()).into(),
        sessions: ids,
        spectators: config.spectators,
        ramp: config.ramp,
        churn: Churn {
            per_s: config.churn_per_s,
            duration: config.duration,
        },
        fingerprint: protocol.fingerprint,
        options: ConnectOptions {
            only: Some(config.transport),
            endpoint: Some(conditioned.endpoint().clone()),
            ..ConnectOptions::default()
        },
    };
    let tick = tick_duration::<G>();
    totals.began = Instant::now();
    let (reporter, windows) = Reporter::new();
    let mut run = Run {
        swarm: Swarm::<G>::start(config.threads, tick, &reporter, &Handle::current())?,
        canaries: start_canaries::<G>(config, &reporter)?,
        windows,
        protocol,
        options: schedule.options.clone(),
        arrivals: arrivals::start(schedule.clone(), stop.clone()),
        window_parts: BTreeMap::new(),
        shared_states: schedule
            .sessions
            .iter()
            .map(|_| SharedState::default())
            .collect(),
        tick,
        config: config.clone(),
        probe,
        totals,
    };
    // Only threads report windows: when the last one ends, so do the windows.
    drop(reporter);
    run.play(stop, progress).await;
    let elapsed = run.totals.began.elapsed();
    run.totals.publish(Phase::Leaving, elapsed, progress);
    let (totals, probe) = run.end().await;
    conditioned.endpoint().wait_idle().await;
    if let Some(counts) = conditioned.counts() {
        tracing::info!(?counts, "what the conditions did");
    }
    sessions.end().await;
    Ok((totals, probe))
}

/// Which player plays where.
fn players(config: &LoadConfig, matches: usize) -> Vec<Placement> {
    let [players, canaries] = [config.players, config.canaries].map(|count| count as usize);
    placement::placements(players, canaries, matches, config.protocol)
}

/// The thread of the canaries, if there are any.
fn start_canaries<G: ThinBots>(
    config: &LoadConfig,
    reporter: &Reporter,
) -> std::io::Result<Option<Canaries>> {
    let reporter = reporter.for_thread(config.threads.max(1));
    let start = || Canaries::start::<G>(reporter, Handle::current());
    (config.canaries > 0).then(start).transpose()
}

/// Waits until the server knows that everybody leaves, but not for long.
async fn wait_for_goodbyes(leaving: Vec<Connection>) {
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
    windows: mpsc::Receiver<(usize, StatsWindow)>,
    /// Windows of the present second, by thread.
    window_parts: BTreeMap<usize, StatsWindow>,
    arrivals: mpsc::Receiver<Arrival>,
    shared_states: Vec<SharedState<G::Thin>>,
    tick: Duration,
    config: LoadConfig,
    probe: Option<ServerProbe>,
    totals: RunTotals,
}

impl<G: ThinBots> Run<G> {
    async fn play(&mut self, stop: &CancellationToken, progress: &mut impl FnMut(&Progress<'_>)) {
        let end = self.config.ramp + self.config.duration;
        let at_last = self.totals.began + end + SILENCE_MAX;
        let mut everybody_came = false;
        self.start_measuring_when_due();
        while self.totals.reported_until + EDGE < end {
            tokio::select! {
                () = stop.cancelled() => return self.totals.stop_early(),
                () = tokio::time::sleep_until(at_last.into()) => return,
                arrival = self.arrivals.recv(), if !everybody_came => match arrival {
                    Some(arrival) => self.receive(arrival),
                    None => everybody_came = true,
                },
                window = self.windows.recv() => match window {
                    Some((thread, window)) => self.add_window(thread, window, progress).await,
                    // No thread is left.
                    None => return,
                },
            }
        }
    }

    /// Adds the bots that are still joining, then lets everybody leave.
    async fn end(mut self) -> (RunTotals, Option<ServerProbe>) {
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
            Ok(leaving) => wait_for_goodbyes(leaving).await,
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the swarm did not end in order"
            ),
        }
        while let Ok((thread, window)) = self.windows.try_recv() {
            self.window_parts
                .entry(thread)
                .or_default()
                .add_after(&window);
        }
        if !self.window_parts.is_empty() {
            self.totals
                .record(&StatsWindow::sum(self.window_parts.values()));
        }
        (self.totals, self.probe)
    }

    fn receive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Entered {
                connection,
                seat,
                session,
                index,
                wave,
                after,
            } => {
                self.totals.connected += 1;
                self.totals.churn_joins += u64::from(wave == Wave::Churn);
                self.totals.joins.record(after);
                let seed = self.config.seed.wrapping_add(index.into());
                self.swarm.add(match connection.mode() {
                    Mode::Native => {
                        let bot = LightBot::new(connection, self.protocol, self.tick, seed);
                        SwarmBot::Native(bot)
                    }
                    Mode::Thin => {
                        let shared = self.shared_states[session].clone();
                        SwarmBot::Thin(ThinBot::new(connection, seat, self.tick, shared, seed))
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
                    // A load test counts refusals.
                    retries_max: 0,
                };
                let canaries = self.canaries.as_ref();
                let entered = canaries.map_or(Ok(()), |canaries| canaries.enter(bot, session));
                if let Err(why) = entered {
                    self.totals.refused += 1;
                    self.record_end(format!("not let in: {why}"));
                }
            }
            Arrival::Refused(refusal) => {
                self.totals.refused += 1;
                self.totals.refused_saying_when += u64::from(refusal.says_when);
                if let Some(after) = refusal.after {
                    self.totals.refusals.record(after);
                }
                self.record_end(format!("not let in: {}", refusal.why));
            }
            Arrival::Leave => self.swarm.remove_one(),
        }
    }

    fn record_end(&mut self, why: String) {
        *self.totals.all.ends.entry(why).or_default() += 1;
    }

    /// A second is over when every thread has reported it, or one already reports the next.
    async fn add_window(
        &mut self,
        thread: usize,
        window: StatsWindow,
        progress: &mut impl FnMut(&Progress<'_>),
    ) {
        if self.window_parts.contains_key(&thread) {
            self.close_second(progress).await;
        }
        self.window_parts.insert(thread, window);
        let threads = self.config.threads.max(1) + usize::from(self.canaries.is_some());
        if self.window_parts.len() >= threads {
            self.close_second(progress).await;
        }
    }

    /// Adds up what the threads and the server report of the last second.
    async fn close_second(&mut self, progress: &mut impl FnMut(&Progress<'_>)) {
        let window = StatsWindow::sum(std::mem::take(&mut self.window_parts).values());
        let server = match &mut self.probe {
            Some(probe) => probe.sample().await,
            None => None,
        };
        let at = self.totals.began.elapsed();
        self.totals.record(&window);
        if self.totals.measured_from.is_some() {
            self.totals.count(&window, server.as_ref());
        }
        let matches = self.config.matches.max(1);
        let server = server.unwrap_or_default();
        let second = second(at, window, server, matches, self.totals.own_cpu());
        self.totals.series.push(second);
        self.totals.reported_until = at;
        self.start_measuring_when_due();
        self.totals.publish(self.totals.phase(), at, progress);
    }

    fn start_measuring_when_due(&mut self) {
        let due = self.totals.reported_until + EDGE >= self.config.ramp;
        if due && self.totals.measured_from.is_none() {
            self.swarm.start_measuring();
            self.totals.start_measuring();
        }
    }
}
