//! Everybody who watches a match: the frames that its worker encoded once, handed to each watcher
//! when their delay has passed. It runs beside the match and never makes it wait.
//!
//! It knows frames and connections, but not what the frames show.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::ids::MatchId;
use gameserver_shared::stream::broadcast::{Form, View};
use gameserver_shared::stream::frame::ClientFrame;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Board;
use super::running_match::Goodbye;
use crate::simulation::StartFrame;
use crate::simulation::talk::{answer_ping, next_frame, say_bye};
use crate::telemetry;

/// Longest delay of a watcher.
pub const DELAY_MAX: Duration = Duration::from_mins(5);
/// What a match shows and its audience has not taken yet. When full, frames are left out until
/// the next key frame.
pub(super) const PUBLISHED_MAX: usize = 1_024;
/// Watchers who have arrived and were not taken in yet. When full, the next one is turned away.
const ARRIVING_MAX: usize = 256;
/// How long frames are kept beyond the longest delay: more than between two key frames.
const KEPT_AT_LEAST: Duration = Duration::from_secs(5);
/// Bytes of frames that one match keeps for watchers with a delay; the oldest go first, and those
/// who needed them go on with the next key frame.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that a watcher may be behind. Beyond it frames are left out until a key frame.
const BACKLOG_MAX: usize = 128 * 1024;
/// How often frames are handed out when the match publishes nothing: after its end.
const HAND_OUT_INTERVAL: Duration = Duration::from_millis(50);
/// Frames of one watcher that are read at a time.
const FRAMES_READ_MAX: usize = 4;

/// What somebody wants to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// What they are shown.
    pub view: View,
    /// How long after it happened; at most [`DELAY_MAX`].
    pub delay: Duration,
}

/// What a match publishes.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// A snapshot, of one view.
    Frame {
        view: View,
        form: Form,
        tick: u32,
        frame: Bytes,
        /// With a key frame: the events that tell how things stand.
        standing: Option<Arc<[Bytes]>>,
    },
    /// Something happened; every view is told.
    Event(Bytes),
}

/// Where a match's watchers go in.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    arriving: mpsc::Sender<(Connection, Watch)>,
}

impl Entrance {
    /// Lets a watcher in; false when too many arrive at once, or nothing is shown any more.
    pub(super) fn enter(&self, connection: Connection, watch: Watch) -> bool {
        self.arriving.try_send((connection, watch)).is_ok()
    }
}

/// Opens the audience of a match: what is sent to the first is handed to those who come in by the
/// second. It ends when the match does and everybody has seen the end. What is shown is kept for
/// this delay from the start, and for longer once somebody comes with a longer one.
pub(super) fn open(
    id: MatchId,
    start: StartFrame,
    delay: Duration,
    board: Arc<Board>,
    runtime: &tokio::runtime::Handle,
) -> (mpsc::Sender<Shown>, Entrance) {
    let (publish, published) = mpsc::channel(PUBLISHED_MAX);
    let (arriving, arrivals) = mpsc::channel(ARRIVING_MAX);
    let audience = Audience {
        id,
        start,
        board,
        kept: VecDeque::new(),
        kept_bytes: 0,
        first: 0,
        delay_max: delay.min(DELAY_MAX),
        watchers: Vec::new(),
    };
    runtime.spawn(audience.run(published, arrivals));
    (publish, Entrance { arriving })
}

struct Kept {
    at: Instant,
    shown: Shown,
}

struct Watcher {
    connection: Connection,
    watch: Watch,
    /// Number of the next thing to hand out.
    next: u64,
    /// Frames are left out until a key frame.
    lost: bool,
    tick: u32,
}

struct Audience {
    id: MatchId,
    start: StartFrame,
    board: Arc<Board>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// Number of the oldest that is kept.
    first: u64,
    delay_max: Duration,
    watchers: Vec<Watcher>,
}

impl Audience {
    async fn run(
        mut self,
        mut published: mpsc::Receiver<Shown>,
        mut arrivals: mpsc::Receiver<(Connection, Watch)>,
    ) {
        let mut pace = interval(HAND_OUT_INTERVAL);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut match_is_over = false;
        loop {
            tokio::select! {
                shown = published.recv(), if !match_is_over => match shown {
                    Some(shown) => {
                        self.keep(shown);
                        while let Ok(shown) = published.try_recv() {
                            self.keep(shown);
                        }
                    }
                    None => match_is_over = true,
                },
                Some((connection, watch)) = arrivals.recv() => self.let_in(connection, watch),
                // Nobody has to be woken for nobody.
                _ = pace.tick(), if !self.watchers.is_empty() => self.see_to_watchers(),
            }
            self.hand_out();
            self.forget_old();
            if match_is_over && self.everybody_has_seen_the_end() {
                return self.close();
            }
        }
    }

    fn keep(&mut self, shown: Shown) {
        self.kept_bytes += bytes_of(&shown);
        self.kept.push_back(Kept {
            at: Instant::now(),
            shown,
        });
    }

    fn forget_old(&mut self) {
        let keep = KEPT_AT_LEAST + self.delay_max;
        while let Some(oldest) = self.kept.front() {
            if oldest.at.elapsed() <= keep && self.kept_bytes <= KEPT_BYTES_MAX {
                return;
            }
            self.kept_bytes -= bytes_of(&oldest.shown);
            self.kept.pop_front();
            self.first += 1;
        }
    }

    /// A watcher begins with the newest key frame that is old enough for them.
    fn let_in(&mut self, connection: Connection, watch: Watch) {
        let delay = watch.delay.min(DELAY_MAX);
        self.delay_max = self.delay_max.max(delay);
        let due = |kept: &Kept| kept.at.elapsed() >= delay;
        let begins = |kept: &Kept| is_key_frame(&kept.shown, watch.view);
        let newest = self.kept.iter().rposition(|kept| due(kept) && begins(kept));
        let tick = self.kept.iter().rev().find_map(|kept| tick_of(&kept.shown));
        // One that has ended is dropped by the next look.
        let _ = connection.send_reliable(self.start.frame(tick.unwrap_or(0)));
        self.watchers.push(Watcher {
            connection,
            watch: Watch { delay, ..watch },
            next: self.first + newest.unwrap_or(0) as u64,
            lost: true,
            tick: 0,
        });
    }

    fn hand_out(&mut self) {
        for watcher in &mut self.watchers {
            if watcher.next < self.first {
                watcher.next = self.first;
                watcher.lost = true;
            }
            let already = usize::try_from(watcher.next - self.first).unwrap_or(usize::MAX);
            let delay = watcher.watch.delay;
            let waiting = self.kept.iter().skip(already);
            for kept in waiting.take_while(|kept| kept.at.elapsed() >= delay) {
                watcher.hand(&kept.shown);
                watcher.next += 1;
            }
        }
    }

    /// Answers those who say something, and drops those who have gone.
    fn see_to_watchers(&mut self) {
        let before = self.watchers.len();
        self.watchers.retain_mut(|watcher| {
            watcher.listen();
            watcher.connection.closed().is_none()
        });
        for _ in self.watchers.len()..before {
            self.board.spectator_gone(self.id);
        }
    }

    fn everybody_has_seen_the_end(&self) -> bool {
        let end = self.first + self.kept.len() as u64;
        self.watchers.iter().all(|watcher| watcher.next >= end)
    }

    fn close(self) {
        let goodbye = if self.board.is_draining() {
            Goodbye::Draining
        } else {
            Goodbye::MatchOver
        };
        let (code, text) = goodbye.words();
        for watcher in &self.watchers {
            say_bye(&watcher.connection, code, text);
        }
    }
}

impl Watcher {
    fn hand(&mut self, shown: &Shown) {
        match shown {
            Shown::Event(_) if self.lost => {}
            Shown::Event(frame) => self.send(frame),
            Shown::Frame { view, .. } if *view != self.watch.view => {}
            Shown::Frame {
                form,
                tick,
                frame,
                standing,
                ..
            } => {
                self.tick = *tick;
                let behind = self.connection.reliable_backlog() > BACKLOG_MAX;
                if behind && !self.lost {
                    self.lost = true;
                    telemetry::queue_refused("watcher");
                }
                if self.lost && (behind || *form == Form::Delta) {
                    return;
                }
                self.send(frame);
                if std::mem::take(&mut self.lost) {
                    let standing = standing.iter().flat_map(|events| events.iter());
                    standing.for_each(|event| self.send(event));
                }
            }
        }
    }

    fn send(&self, frame: &Bytes) {
        // A connection that has ended is dropped by the next look.
        let _ = self.connection.send_reliable(frame.clone());
    }

    /// Watchers may ask for the time and leave; what else they say is dropped.
    fn listen(&self) {
        for _ in 0..FRAMES_READ_MAX {
            let Some(frame) = next_frame(&self.connection) else {
                return;
            };
            match ClientFrame::decode(&frame) {
                Ok(ClientFrame::Ping { stamp }) => {
                    answer_ping(&self.connection, stamp, self.tick, 0);
                }
                Ok(ClientFrame::Leave) => say_bye(&self.connection, CloseCode::Consented, "left"),
                Ok(ClientFrame::Ack(_)) => {}
                Ok(ClientFrame::Input { .. } | ClientFrame::Chat(_) | ClientFrame::BadChat)
                | Err(_) => {
                    telemetry::packet_dropped("spectator_frame");
                }
            }
        }
    }
}

fn is_key_frame(shown: &Shown, wanted: View) -> bool {
    matches!(shown, Shown::Frame { view, form: Form::KeyFrame, .. } if *view == wanted)
}

fn tick_of(shown: &Shown) -> Option<u32> {
    match shown {
        Shown::Frame { tick, .. } => Some(*tick),
        Shown::Event(_) => None,
    }
}

fn bytes_of(shown: &Shown) -> usize {
    match shown {
        Shown::Frame {
            frame, standing, ..
        } => {
            let standing = standing.iter().flat_map(|events| events.iter());
            frame.len() + standing.map(Bytes::len).sum::<usize>()
        }
        Shown::Event(frame) => frame.len(),
    }
}
