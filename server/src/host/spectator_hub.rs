//! Hands the frames that a match's worker encoded once to each spectator when their delay has
//! passed. It runs beside the match, one task for each, and never makes it wait.
//!
//! It does not know what the frames show.

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

use super::commands::EndReason;
use super::match_directory::MatchDirectory;
use super::spectator_inbox::{Arrival, DELAY_MAX, SpectatorFeed, SpectatorFrame};
use crate::simulation::StartFrame;
use crate::simulation::frame_io::{next_frame, send_bye, send_pong};
use crate::telemetry;

/// Frames of a match that its hub has not taken yet. When full, frames are left out until the next
/// key frame.
const PUBLISHED_MAX: usize = 1_024;
/// How long frames are kept beyond the longest delay: more than between two key frames.
const KEPT_AT_LEAST: Duration = Duration::from_secs(5);
/// Bytes of frames that one match keeps for spectators with a delay; the oldest go first, and those
/// who needed them continue with the next key frame.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that a spectator may be behind. Beyond it frames are left out until a key frame.
const BACKLOG_MAX: usize = 128 * 1024;
/// How often frames are handed out when the match publishes nothing: after its end.
const HAND_OUT_INTERVAL: Duration = Duration::from_millis(50);
/// Frames of one spectator that are read at a time.
const FRAMES_READ_MAX: usize = 4;

/// The hub of a match, and where the match sends its frames. The hub ends when the other end is
/// dropped and every spectator has seen the end. Frames are kept for this delay from the start, and
/// for longer once a spectator with a longer one arrives.
pub(super) fn open(
    id: MatchId,
    start: StartFrame,
    delay: Duration,
    directory: Arc<MatchDirectory>,
) -> (mpsc::Sender<SpectatorFrame>, SpectatorHub) {
    let (publish, published) = mpsc::channel(PUBLISHED_MAX);
    let hub = SpectatorHub {
        id,
        start,
        directory,
        published,
        kept: VecDeque::new(),
        kept_bytes: 0,
        first: 0,
        delay_max: delay.min(DELAY_MAX),
        spectators: Vec::new(),
    };
    (publish, hub)
}

struct Kept {
    at: Instant,
    frame: SpectatorFrame,
}

struct Spectator {
    connection: Connection,
    feed: SpectatorFeed,
    /// Number of the next frame to hand out.
    next: u64,
    /// Frames are left out until a key frame.
    lost: bool,
    tick: u32,
}

/// Everybody who watches a match, and the frames that some of them still wait for.
pub(super) struct SpectatorHub {
    id: MatchId,
    start: StartFrame,
    directory: Arc<MatchDirectory>,
    published: mpsc::Receiver<SpectatorFrame>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// Number of the oldest that is kept.
    first: u64,
    delay_max: Duration,
    spectators: Vec<Spectator>,
}

impl SpectatorHub {
    /// Runs until the match is over and everybody has seen its end.
    pub(super) async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) {
        let mut pace = interval(HAND_OUT_INTERVAL);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut match_is_over = false;
        loop {
            tokio::select! {
                frame = self.published.recv(), if !match_is_over => match frame {
                    Some(frame) => {
                        self.keep(frame);
                        while let Ok(frame) = self.published.try_recv() {
                            self.keep(frame);
                        }
                    }
                    None => match_is_over = true,
                },
                Some((connection, feed)) = arrivals.recv() => self.add(connection, feed),
                _ = pace.tick(), if !self.spectators.is_empty() => self.update_spectators(),
            }
            self.hand_out();
            self.forget_old();
            if match_is_over && self.has_shown_the_end() {
                return self.close();
            }
        }
    }

    fn keep(&mut self, frame: SpectatorFrame) {
        self.kept_bytes += bytes_of(&frame);
        self.kept.push_back(Kept {
            at: Instant::now(),
            frame,
        });
    }

    fn forget_old(&mut self) {
        let keep = KEPT_AT_LEAST + self.delay_max;
        while let Some(oldest) = self.kept.front() {
            if oldest.at.elapsed() <= keep && self.kept_bytes <= KEPT_BYTES_MAX {
                return;
            }
            self.kept_bytes -= bytes_of(&oldest.frame);
            self.kept.pop_front();
            self.first += 1;
        }
    }

    /// A spectator begins with the newest key frame that is old enough for them.
    fn add(&mut self, connection: Connection, feed: SpectatorFeed) {
        self.delay_max = self.delay_max.max(feed.delay);
        let is_due = |kept: &Kept| kept.at.elapsed() >= feed.delay;
        let is_first = |kept: &Kept| is_key_frame(&kept.frame, feed.view);
        let mut kept = self.kept.iter();
        let newest = kept.rposition(|kept| is_due(kept) && is_first(kept));
        let tick = self.kept.iter().rev().find_map(|kept| tick_of(&kept.frame));
        // One that has ended is dropped by the next update.
        let _ = connection.send_reliable(self.start.frame(tick.unwrap_or(0)));
        self.spectators.push(Spectator {
            connection,
            feed,
            next: self.first + newest.unwrap_or(0) as u64,
            lost: true,
            tick: 0,
        });
    }

    fn hand_out(&mut self) {
        for spectator in &mut self.spectators {
            if spectator.next < self.first {
                spectator.next = self.first;
                spectator.lost = true;
            }
            let already = usize::try_from(spectator.next - self.first).unwrap_or(usize::MAX);
            let delay = spectator.feed.delay;
            let waiting = self.kept.iter().skip(already);
            for kept in waiting.take_while(|kept| kept.at.elapsed() >= delay) {
                spectator.show(&kept.frame);
                spectator.next += 1;
            }
        }
    }

    /// Answers what spectators send, and drops those whose connection has ended.
    fn update_spectators(&mut self) {
        let before = self.spectators.len();
        self.spectators.retain_mut(|spectator| {
            spectator.receive();
            spectator.connection.closed().is_none()
        });
        for _ in self.spectators.len()..before {
            self.directory.remove_spectator(self.id);
        }
    }

    fn has_shown_the_end(&self) -> bool {
        let end = self.first + self.kept.len() as u64;
        self.spectators
            .iter()
            .all(|spectator| spectator.next >= end)
    }

    fn close(self) {
        let reason = if self.directory.is_draining() {
            EndReason::Draining
        } else {
            EndReason::MatchOver
        };
        let (code, text) = reason.close();
        for spectator in &self.spectators {
            send_bye(&spectator.connection, code, text);
        }
    }
}

impl Spectator {
    fn show(&mut self, frame: &SpectatorFrame) {
        match frame {
            SpectatorFrame::Event(_) if self.lost => {}
            SpectatorFrame::Event(frame) => self.send(frame),
            SpectatorFrame::Snapshot { view, .. } if *view != self.feed.view => {}
            SpectatorFrame::Snapshot {
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
        // A connection that has ended is dropped by the next update.
        let _ = self.connection.send_reliable(frame.clone());
    }

    /// Spectators may ping and leave; their other frames are dropped.
    fn receive(&self) {
        for _ in 0..FRAMES_READ_MAX {
            let Some(frame) = next_frame(&self.connection) else {
                return;
            };
            match ClientFrame::decode(&frame) {
                Ok(ClientFrame::Ping { stamp }) => {
                    send_pong(&self.connection, stamp, self.tick, 0);
                }
                Ok(ClientFrame::Leave) => send_bye(&self.connection, CloseCode::Consented, "left"),
                Ok(ClientFrame::Ack(_)) => {}
                Ok(ClientFrame::Input { .. } | ClientFrame::Chat(_) | ClientFrame::BadChat)
                | Err(_) => {
                    telemetry::packet_dropped("spectator_frame");
                }
            }
        }
    }
}

fn is_key_frame(frame: &SpectatorFrame, wanted: View) -> bool {
    matches!(
        frame,
        SpectatorFrame::Snapshot { view, form: Form::KeyFrame, .. } if *view == wanted
    )
}

fn tick_of(frame: &SpectatorFrame) -> Option<u32> {
    match frame {
        SpectatorFrame::Snapshot { tick, .. } => Some(*tick),
        SpectatorFrame::Event(_) => None,
    }
}

fn bytes_of(frame: &SpectatorFrame) -> usize {
    match frame {
        SpectatorFrame::Snapshot {
            frame, standing, ..
        } => {
            let standing = standing.iter().flat_map(|events| events.iter());
            frame.len() + standing.map(Bytes::len).sum::<usize>()
        }
        SpectatorFrame::Event(frame) => frame.len(),
    }
}
