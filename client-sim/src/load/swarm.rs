//! Threads that play thousands of bots. Each one acts when the input of its next tick is due, as
//! clients do that keep to the server's clock.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gameserver_shared::bot::ThinBots;
use gameserver_transport::close::{CloseCode, CloseReason};
use gameserver_transport::connection::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::books::Page;
use super::player::Player;
use super::rates::{Rates, Stay};
use super::task_waits::TaskWaits;
use super::thin_bot::Lesson;

/// Parts of a tick, in each of which bots look at what came and do what is due.
const SLICES: u32 = 6;
/// No part is longer, however long the ticks are: less than what `pace` looks early by.
const SLICE_MAX: Duration = Duration::from_micros(2_800);
/// Orders on their way into one thread; arrivals wait while there are so many.
const ORDERS_MAX: usize = 1_024;
/// Pages that wait to be read; the run reads them every second.
const PAGES_MAX: usize = 64;
/// A swarm that is so late has lost the time: it goes on from now.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// Bots in a crowd of threads.
pub(super) struct Swarm<G: ThinBots> {
    threads: Vec<Thread<G>>,
    /// Bots that entered.
    entered: usize,
    /// Bots that were asked to leave.
    asked: usize,
}

/// Where orders enter a thread, and what it leaves behind.
type Thread<G> = (SyncSender<Order<G>>, JoinHandle<Vec<Connection>>);

/// What a thread is told.
enum Order<G: ThinBots> {
    /// Play this one too. It comes ready made: nothing here may take long.
    Enter(Box<Player<G>>),
    /// The player who was here longest leaves.
    Leave,
    /// From now on it counts.
    Count,
}

/// Everybody who plays on one thread.
struct Band<G: ThinBots> {
    bots: Vec<Member<G>>,
    page: Page,
    desk: Desk,
    /// How long this thread's bots wait for their network.
    network: TaskWaits,
    counting: Counting,
    /// What those have had who are gone.
    gone: Gone,
}

/// Whether what bots have counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    NotYet,
    Begun,
}

/// What those leave behind who are gone.
#[derive(Debug, Default)]
struct Gone {
    rates: Rates,
    kills: u64,
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
    /// Until then the bot itself is not touched: what a thousand of them are made of is in no
    /// cache.
    rests_until: Option<Instant>,
    bot: Box<Player<G>>,
    /// Its counters when the page was opened.
    at_opening: Counters,
    /// When its part of the time that counts began, and its counters then.
    counts_from: Option<(Instant, Counters)>,
    presence: Presence,
    /// Whether it came while the page was open.
    is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    /// It has said goodbye and waits for the answer.
    Leaving,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    snapshots: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl<G: ThinBots> Swarm<G> {
    /// Starts so many threads. Each hands in a page every second, with its number. That runtime
    /// is the one of the bots' network.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub(super) fn start(
        threads: usize,
        tick: Duration,
        desk: &Desk,
        runtime: &Handle,
    ) -> std::io::Result<Self> {
        let start_thread = |index: usize| {
            let (tell, orders) = sync_channel(ORDERS_MAX);
            let band = Band::new(desk.of_thread(index), TaskWaits::watch(runtime));
            let thread = std::thread::Builder::new()
                .name(format!("swarm-{index}"))
                .spawn(move || run(&orders, tick, band))?;
            Ok((tell, thread))
        };
        let threads = (0..threads.max(1))
            .map(start_thread)
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            threads,
            entered: 0,
            asked: 0,
        })
    }

    /// Lets a bot play.
    pub(super) fn enter(&mut self, bot: Player<G>) {
        self.tell(self.entered, Order::Enter(Box::new(bot)));
        self.entered += 1;
    }

    /// Lets the player leave who was there longest.
    pub(super) fn leave_one(&mut self) {
        self.tell(self.asked, Order::Leave);
        self.asked += 1;
    }

    /// From now on it counts what bots have.
    pub(super) fn count(&self) {
        for thread in 0..self.threads.len() {
            self.tell(thread, Order::Count);
        }
    }

    /// Bots are spread over the threads in turn.
    fn tell(&self, turn: usize, order: Order<G>) {
        let (thread, _) = &self.threads[turn % self.threads.len()];
        if thread.send(order).is_err() {
            tracing::error!("a swarm thread has ended");
        }
    }

    /// Says goodbye for everybody. The connections that are about to end are returned.
    pub(super) fn finish(self) -> Vec<Connection> {
        let mut leaving = Vec::new();
        for (tell, thread) in self.threads {
            drop(tell);
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
    orders: &Receiver<Order<G>>,
    tick: Duration,
    mut band: Band<G>,
) -> Vec<Connection> {
    let slice = (tick / SLICES).min(SLICE_MAX);
    let mut due = Instant::now();
    let mut page_due = due + Duration::from_secs(1);
    loop {
        due += slice;
        let late = Instant::now().saturating_duration_since(due);
        band.page.lag.note(late);
        if late > BEHIND_MAX {
            due = Instant::now();
        }
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            match orders.recv_timeout(wait) {
                Ok(order) => band.obey(order),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return band.leave(),
            }
        }
        band.play();
        band.network.ask();
        if Instant::now() >= page_due {
            page_due += Duration::from_secs(1);
            band.turn_page();
        }
    }
}

impl<G: ThinBots> Member<G> {
    fn new(bot: Box<Player<G>>) -> Self {
        let mut member = Self {
            rests_until: None,
            bot,
            at_opening: Counters::default(),
            counts_from: None,
            presence: Presence::Here,
            is_new: true,
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

    fn is_here(&self) -> bool {
        self.presence == Presence::Here
    }

    /// Its part of the time that counts begins, once it is sent snapshots.
    fn begin(&mut self, now: Instant) {
        let counters = self.counters();
        if counters.snapshots > 0 {
            self.counts_from = Some((now, counters));
        }
    }

    /// Its part of the time that counts.
    fn stay(&self, now: Instant) -> Option<Stay> {
        let (since, before) = self.counts_from?;
        let counters = self.counters();
        Some(Stay {
            seconds: now.saturating_duration_since(since).as_secs_f64(),
            snapshots: counters.snapshots - before.snapshots,
            bytes_in: counters.bytes_in - before.bytes_in,
            bytes_out: counters.bytes_out - before.bytes_out,
        })
    }
}

impl Gone {
    fn note<G: ThinBots>(&mut self, member: &Member<G>, now: Instant) {
        if let Some(stay) = member.stay(now).filter(|_| member.bot.plays()) {
            self.rates.note(&stay);
        }
        self.kills += u64::from(member.bot.tally().kills);
    }
}

impl<G: ThinBots> Band<G> {
    fn new(desk: Desk, network: TaskWaits) -> Self {
        Self {
            bots: Vec::new(),
            page: Page::default(),
            desk,
            network,
            counting: Counting::NotYet,
            gone: Gone::default(),
        }
    }

    fn obey(&mut self, order: Order<G>) {
        match order {
            Order::Enter(bot) => self.bots.push(Member::new(bot)),
            Order::Leave => self.let_one_leave(),
            Order::Count => {
                self.counting = Counting::Begun;
                let now = Instant::now();
                self.bots.iter_mut().for_each(|member| member.begin(now));
            }
        }
    }

    fn let_one_leave(&mut self) {
        let mut bots = self.bots.iter_mut();
        let Some(member) = bots.find(|member| member.bot.plays() && member.is_here()) else {
            return;
        };
        member.bot.leave();
        member.presence = Presence::Leaving;
        self.gone.note(member, Instant::now());
        self.page.leaves += 1;
    }

    fn play(&mut self) {
        let start = Instant::now();
        for member in &mut self.bots {
            if member.rests_until.is_some_and(|until| start < until) {
                continue;
            }
            let now = Instant::now();
            member.bot.look(now, &mut self.page);
            if member.is_here() {
                member.bot.act(now, &mut self.page);
            }
            member.rests_until = member.bot.rests_until();
        }
    }

    fn turn_page(&mut self) {
        let now = Instant::now();
        self.page.rates.add(&self.gone.rates);
        self.page.kills += self.gone.kills;
        self.note_members(now);
        self.forget_those_who_ended(now);
        let page = &mut self.page;
        let here = self.bots.iter().filter(|member| member.is_here());
        page.watching = here.clone().filter(|member| !member.bot.plays()).count();
        page.playing = here.count() - page.watching;
        page.network_lag = self.network.take();
        self.desk.hand_in(std::mem::take(page));
    }

    fn note_members(&mut self, now: Instant) {
        let page = &mut self.page;
        for member in &mut self.bots {
            let (counters, before) = (member.counters(), member.at_opening);
            member.at_opening = counters;
            page.bytes_in += counters.bytes_in - before.bytes_in;
            page.bytes_out += counters.bytes_out - before.bytes_out;
            if let Some(rtt) = member.bot.connection().rtt() {
                page.rtt.note(rtt);
            }
            if !member.bot.plays() || !member.is_here() {
                continue;
            }
            page.kills += u64::from(member.bot.tally().kills);
            if !std::mem::take(&mut member.is_new) {
                let snapshots = counters.snapshots - before.snapshots;
                page.snapshots_by_bot
                    .push(u32::try_from(snapshots).unwrap_or(u32::MAX));
            }
            if let Some(stay) = member.stay(now) {
                page.rates.note(&stay);
            } else if self.counting == Counting::Begun {
                member.begin(now);
            }
        }
    }

    /// What they have had is in the open page already; in the next ones it is with those who are
    /// gone.
    fn forget_those_who_ended(&mut self, now: Instant) {
        let (page, gone) = (&mut self.page, &mut self.gone);
        self.bots.retain(|member| {
            let Some(end) = member.bot.end() else {
                return true;
            };
            if member.is_here() {
                *page.ends.entry(why(&end)).or_default() += 1;
                gone.note(member, now);
            }
            false
        });
    }

    fn leave(mut self) -> Vec<Connection> {
        self.turn_page();
        let leave = |member: &Member<G>| {
            if member.is_here() {
                member.bot.leave();
            }
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
