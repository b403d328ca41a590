//! One worker thread: steps its matches when they are due and does what it is told in between.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_transport::close::CloseCode;
use tokio::sync::mpsc;

use super::running_match::{RunningMatch, Step};
use super::{Board, FinishedMatch, MatchSpec};
use crate::games::Games;
use crate::simulation::Entrant;

/// How long a worker without matches waits for a command before it looks again.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// What a worker can be told.
#[derive(Debug)]
pub(super) enum Command {
    Start(Box<MatchSpec>),
    Tell(MatchId, Told),
}

/// What a match can be told.
#[derive(Debug)]
pub(super) enum Told {
    Enter(Box<Entrant>),
    Kick(PlayerId, String),
    Stop,
}

/// What all matches of a worker share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) board: Arc<Board>,
    pub(super) games: Games,
    pub(super) clock: SharedClock,
    pub(super) results: mpsc::Sender<FinishedMatch>,
    pub(super) resume_window: Duration,
}

/// Runs until the other end of the inbox is dropped.
pub(super) fn run(inbox: &Receiver<Command>, context: Context) {
    let mut matches: Vec<RunningMatch> = Vec::new();
    loop {
        let next_due = matches.iter().map(RunningMatch::due).min();
        let wait = next_due.map_or(IDLE_WAIT, |due| {
            due.saturating_duration_since(Instant::now())
        });
        match inbox.recv_timeout(wait) {
            Ok(command) => {
                obey(&mut matches, command, &context);
                while let Ok(command) = inbox.try_recv() {
                    obey(&mut matches, command, &context);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        matches
            .retain_mut(|running| running.due() > Instant::now() || running.step() == Step::GoesOn);
    }
}

fn obey(matches: &mut Vec<RunningMatch>, command: Command, context: &Context) {
    match command {
        Command::Start(spec) => matches.extend(RunningMatch::start(*spec, context)),
        Command::Tell(id, told) => {
            match (matches.iter_mut().find(|running| running.id() == id), told) {
                (Some(running), told) => running.obey(told),
                // Welcomed when the match was still there: nobody else would tell them.
                (None, Told::Enter(entrant)) => {
                    entrant
                        .connection
                        .close(CloseCode::MatchOver, "the match is over");
                }
                (None, Told::Kick(..) | Told::Stop) => {}
            }
        }
    }
}
