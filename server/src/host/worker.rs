//! One worker thread: steps its matches when they are due and does what it is told in between.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_shared::stream::broadcast::View;
use gameserver_transport::close::CloseCode;
use tokio::sync::mpsc;

use super::audience::Shown;
use super::board::WorkerNews;
use super::headroom::MEASURE_INTERVAL;
use super::running_match::{Goodbye, RunningMatch, Step};
use super::stagger::Stagger;
use super::{Board, FinishedMatch, MatchSpec};
use crate::games::Games;
use crate::match_log::LogSink;
use crate::simulation::Entrant;

/// How long a worker waits for a command or a tick at most. Shorter than the silence after which
/// it would count as stuck.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// What a worker can be told.
#[derive(Debug)]
pub(super) enum Command {
    Start(Box<MatchSpec>, mpsc::Sender<Shown>),
    Tell(MatchId, Told),
}

/// What a match can be told.
#[derive(Debug)]
pub(super) enum Told {
    Enter(Box<Entrant>),
    Kick(PlayerId, String),
    /// Somebody watches this view.
    Show(View),
    /// The instance goes away, in so much time at the latest.
    Drain(Duration),
    Stop(Goodbye),
}

/// What all matches of a worker share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) board: Arc<Board>,
    pub(super) games: Games,
    pub(super) clock: SharedClock,
    pub(super) results: mpsc::Sender<FinishedMatch>,
    pub(super) resume_window: Duration,
    /// A match that nobody has been in for so long is ended.
    pub(super) empty_match_lifetime: Duration,
    /// Where matches are recorded.
    pub(super) logs: Option<LogSink>,
    /// Which worker this is.
    pub(super) worker: usize,
}

/// How much of its time a worker works, told to the board before each of its measurements.
#[derive(Debug)]
struct Load {
    since: Instant,
    worked: Duration,
}

impl Load {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            worked: Duration::ZERO,
        }
    }

    fn add(&mut self, worked: Duration, matches: &mut [RunningMatch], context: &Context) {
        self.worked += worked;
        let elapsed = self.since.elapsed();
        if elapsed >= MEASURE_INTERVAL {
            let news = WorkerNews {
                load: self.worked.as_secs_f32() / elapsed.as_secs_f32(),
                entities: matches.iter().map(RunningMatch::entities).sum(),
            };
            context.board.hear(context.worker, news);
            for running in matches {
                running.tell_work(elapsed);
            }
            *self = Self::new();
        }
    }
}

/// Runs until the other end of the inbox is dropped.
pub(super) fn run(inbox: &Receiver<Command>, context: Context) {
    let mut matches: Vec<RunningMatch> = Vec::new();
    let mut stagger = Stagger::since(Instant::now());
    let mut load = Load::new();
    loop {
        let next_due = matches.iter().map(RunningMatch::due).min();
        let wait = next_due.map_or(IDLE_WAIT, |due| {
            due.saturating_duration_since(Instant::now()).min(IDLE_WAIT)
        });
        match inbox.recv_timeout(wait) {
            Ok(command) => {
                obey(&mut matches, &mut stagger, command, &context);
                while let Ok(command) = inbox.try_recv() {
                    obey(&mut matches, &mut stagger, command, &context);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let began = Instant::now();
        matches
            .retain_mut(|running| running.due() > Instant::now() || running.step() == Step::GoesOn);
        load.add(began.elapsed(), &mut matches, &context);
    }
}

fn obey(
    matches: &mut Vec<RunningMatch>,
    stagger: &mut Stagger,
    command: Command,
    context: &Context,
) {
    match command {
        Command::Start(spec, audience) => {
            matches.extend(RunningMatch::start(*spec, audience, context, stagger));
        }
        Command::Tell(id, told) => {
            match (matches.iter_mut().find(|running| running.id() == id), told) {
                (Some(running), told) => running.obey(told, stagger),
                // Welcomed when the match was still there: nobody else would tell them.
                (None, Told::Enter(entrant)) => {
                    entrant
                        .connection
                        .close(CloseCode::MatchOver, "the match is over");
                }
                (None, Told::Kick(..) | Told::Show(_) | Told::Drain(_) | Told::Stop(_)) => {}
            }
        }
    }
}
