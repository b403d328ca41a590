//! One worker thread: steps its matches when they are due and applies commands in between.
//!
//! It does not know what a match does in a tick.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gameserver_transport::close::CloseCode;

use super::commands::{MatchCommand, WorkerCommand};
use super::headroom::MEASURE_INTERVAL;
use super::match_directory::WorkerLoad;
use super::running_match::{RunningMatch, WorkerContext};
use super::stagger::Stagger;

/// How long a worker waits for a command or a tick at most. Shorter than the silence after which
/// it would count as stuck.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// How much of its time a worker works, reported before each measurement of the process.
#[derive(Debug)]
struct BusyTime {
    since: Instant,
    busy: Duration,
}

impl BusyTime {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            busy: Duration::ZERO,
        }
    }

    fn add(&mut self, busy: Duration, matches: &mut [RunningMatch], context: &WorkerContext) {
        self.busy += busy;
        let elapsed = self.since.elapsed();
        if elapsed >= MEASURE_INTERVAL {
            let load = WorkerLoad {
                busy: self.busy.as_secs_f32() / elapsed.as_secs_f32(),
                entities: matches.iter().map(RunningMatch::entities).sum(),
            };
            let matches = matches.iter_mut();
            let loads: Vec<_> = matches.map(|running| running.take_load(elapsed)).collect();
            let directory = &context.directory;
            directory.record_worker(context.worker, load, &loads);
            *self = Self::new();
        }
    }
}

/// Runs until the other end of the inbox is dropped.
pub(super) fn run(inbox: &Receiver<WorkerCommand>, context: WorkerContext) {
    let mut matches: Vec<RunningMatch> = Vec::new();
    let mut stagger = Stagger::since(Instant::now());
    let mut busy = BusyTime::new();
    loop {
        let next_due = matches.iter().map(RunningMatch::due).min();
        let wait = next_due.map_or(IDLE_WAIT, |due| {
            due.saturating_duration_since(Instant::now()).min(IDLE_WAIT)
        });
        match inbox.recv_timeout(wait) {
            Ok(command) => {
                apply(&mut matches, &mut stagger, command, &context);
                while let Ok(command) = inbox.try_recv() {
                    apply(&mut matches, &mut stagger, command, &context);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let began = Instant::now();
        matches.retain_mut(|running| {
            running.due() > Instant::now() || running.step() == ControlFlow::Continue(())
        });
        busy.add(began.elapsed(), &mut matches, &context);
    }
}

fn apply(
    matches: &mut Vec<RunningMatch>,
    stagger: &mut Stagger,
    command: WorkerCommand,
    context: &WorkerContext,
) {
    let (id, command) = match command {
        WorkerCommand::Start(spec, publish) => {
            matches.extend(RunningMatch::start(*spec, publish, context, stagger));
            return;
        }
        WorkerCommand::Forward(id, command) => (id, command),
    };
    let running = matches.iter_mut().find(|running| running.id() == id);
    match (running, command) {
        (Some(running), command) => running.apply(command, stagger),
        // Welcomed when the match was still there: nobody else would close the connection.
        (None, MatchCommand::Enter(entrant)) => {
            entrant
                .connection
                .close(CloseCode::MatchOver, "the match is over");
        }
        (
            None,
            MatchCommand::Kick(..)
            | MatchCommand::Show(_)
            | MatchCommand::Drain(_)
            | MatchCommand::Stop(_),
        ) => {}
    }
}
