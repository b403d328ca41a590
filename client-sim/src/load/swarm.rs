//! Threads that play thousands of bots. Their inputs are spread over the tick, as those of
//! players who know nothing of each other are.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gameserver_shared::bot::ThinBots;
use gameserver_transport::close::{CloseCode, CloseReason};
use gameserver_transport::connection::Connection;
use tokio::sync::mpsc;

use super::books::Page;
use super::player::Player;
use super::thin_bot::Lesson;

/// Parts of a tick: bots look at what came in each, and each bot acts in one of them.
const SLICES: u8 = 3;
/// Bots on their way into one thread; arrivals wait while there are so many.
const NEWCOMERS_MAX: usize = 1_024;
/// Pages that wait to be read; the run reads them every second.
const PAGES_MAX: usize = 64;
/// A swarm that is so late has lost the time: it goes on from now.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// Bots in a crowd of threads.
pub(super) struct Swarm<G: ThinBots> {
    threads: Vec<Thread<G>>,
    next: usize,
}

/// Where bots enter a thread, and what it leaves behind.
type Thread<G> = (SyncSender<Player<G>>, JoinHandle<Vec<Connection>>);

/// Everybody who plays on one thread.
struct Band<G: ThinBots> {
    bots: Vec<Member<G>>,
    page: Page,
    desk: Desk,
}

/// Where a thread hands its pages in.
#[derive(Debug)]
pub(super) struct Desk {
    thread: usize,
    pages: mpsc::Sender<(usize, Page)>,
}

impl Desk {
    /// A desk for thread 0, and where its pages are read.
    pub(super) fn new() -> (Self, mpsc::Receiver<(usize, Page)>) {
        let (pages, read) = mpsc::channel(PAGES_MAX);
        (Self { thread: 0, pages }, read)
    }

    /// The desk of another thread.
    pub(super) fn of_thread(&self, thread: usize) -> Self {
        let pages = self.pages.clone();
        Self { thread, pages }
    }

    /// Hands a page in.
    pub(super) fn hand_in(&self, page: Page) {
        if self.pages.try_send((self.thread, page)).is_err() {
            tracing::warn!("nobody reads the swarm's pages");
        }
    }
}

struct Member<G: ThinBots> {
    bot: Player<G>,
    /// Its counters when the page was opened.
    at_opening: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    snapshots: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl<G: ThinBots> Swarm<G> {
    /// Starts so many threads. Each hands a page in every second, with its number.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub(super) fn start(threads: usize, tick: Duration, desk: &Desk) -> std::io::Result<Self> {
        let start_thread = |index: usize| {
            let (enter, newcomers) = sync_channel(NEWCOMERS_MAX);
            let desk = desk.of_thread(index);
            let thread = std::thread::Builder::new()
                .name(format!("swarm-{index}"))
                .spawn(move || run(&newcomers, tick, desk))?;
            Ok((enter, thread))
        };
        let threads = (0..threads.max(1))
            .map(start_thread)
            .collect::<std::io::Result<_>>()?;
        Ok(Self { threads, next: 0 })
    }

    /// Lets a bot play.
    pub(super) fn enter(&mut self, bot: Player<G>) {
        let thread = self.next % self.threads.len();
        self.next += 1;
        if self.threads[thread].0.send(bot).is_err() {
            tracing::error!("a swarm thread has ended");
        }
    }

    /// Says goodbye for everybody. The connections that are about to end are returned.
    pub(super) fn finish(self) -> Vec<Connection> {
        let mut leaving = Vec::new();
        for (enter, thread) in self.threads {
            drop(enter);
            if let Ok(connections) = thread.join() {
                leaving.extend(connections);
            } else {
                tracing::error!("a swarm thread panicked");
            }
        }
        leaving
    }
}

fn run<G: ThinBots>(
    newcomers: &Receiver<Player<G>>,
    tick: Duration,
    desk: Desk,
) -> Vec<Connection> {
    let mut band = Band {
        bots: Vec::new(),
        page: Page::default(),
        desk,
    };
    let slice = tick / u32::from(SLICES);
    let mut due = Instant::now();
    let mut page_due = due + Duration::from_secs(1);
    let mut slice_index = 0;
    loop {
        due += slice;
        let late = Instant::now().saturating_duration_since(due);
        band.page.lag.note(late);
        if late > BEHIND_MAX {
            due = Instant::now();
        }
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            match newcomers.recv_timeout(wait) {
                Ok(bot) => band.bots.push(Member::new(bot)),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return band.leave(),
            }
        }
        band.play(slice_index);
        slice_index = (slice_index + 1) % SLICES;
        if Instant::now() >= page_due {
            page_due += Duration::from_secs(1);
            band.turn_page();
        }
    }
}

impl<G: ThinBots> Member<G> {
    fn new(bot: Player<G>) -> Self {
        let mut member = Self {
            bot,
            at_opening: Counters::default(),
        };
        member.at_opening = member.counters();
        member
    }

    fn counters(&self) -> Counters {
        let stats = self.bot.connection().stats();
        Counters {
            snapshots: self.bot.snapshots(),
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
        }
    }
}

impl<G: ThinBots> Band<G> {
    fn play(&mut self, slice: u8) {
        for (index, member) in self.bots.iter_mut().enumerate() {
            let now = Instant::now();
            member.bot.look(now, &mut self.page);
            if index % usize::from(SLICES) == usize::from(slice) {
                member.bot.act(now, &mut self.page);
            }
        }
    }

    fn turn_page(&mut self) {
        for member in &mut self.bots {
            let (now, before) = (member.counters(), member.at_opening);
            let snapshots = now.snapshots - before.snapshots;
            let page = &mut self.page;
            page.bytes_in += now.bytes_in - before.bytes_in;
            page.bytes_out += now.bytes_out - before.bytes_out;
            page.kills += u64::from(member.bot.tally().kills);
            if member.bot.plays() {
                let snapshots = u32::try_from(snapshots).unwrap_or(u32::MAX);
                page.snapshots_by_bot.push(snapshots);
            }
            if let Some(rtt) = member.bot.connection().rtt() {
                page.rtt.note(rtt);
            }
            member.at_opening = now;
        }
        let page = &mut self.page;
        self.bots.retain(|member| {
            let end = member.bot.end();
            if let Some(end) = &end {
                *page.ends.entry(why(end)).or_default() += 1;
            }
            end.is_none()
        });
        page.playing = self.bots.iter().filter(|member| member.bot.plays()).count();
        page.watching = self.bots.len() - page.playing;
        self.desk.hand_in(std::mem::take(page));
    }

    fn leave(mut self) -> Vec<Connection> {
        self.turn_page();
        let leave = |member: &Member<G>| {
            member.bot.leave();
            member.bot.connection().clone()
        };
        self.bots.iter().map(leave).collect()
    }
}

fn why(end: &CloseReason) -> String {
    if end.code == CloseCode::MatchOver {
        "match over".to_owned()
    } else {
        end.to_string()
    }
}

/// A bot is told what the others of its match have learnt.
pub(super) fn lessons<P>(matches: usize) -> Vec<Lesson<P>> {
    (0..matches).map(|_| Lesson::default()).collect()
}
