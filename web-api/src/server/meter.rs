//! Measures what each connection has not taken yet, and decides when a connection has to go.
//!
//! A client that does not read costs memory: an answer stays here until the client takes it, and
//! over HTTP/2 neither a full socket nor a missing reply shows that, because such a client still
//! answers pings. So progress is measured where answers leave: at their bodies and at the socket.
//! It knows nothing of requests and of their answers' contents.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::server::head::HeadScan;
use crate::telemetry;

/// Shortest time between two looks at a connection, however short its deadlines are.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Part of all connections that must be free for idle ones to keep their place for the whole time.
const FREE_SHARE_MIN: usize = 4;

/// Why a connection is closed before its client wants it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// No request, or no whole header of one, came in time.
    HeaderTimeout,
    /// The client did not take what it asked for.
    WriteTimeout,
    /// The port holds too many unsent bytes, and this connection the most of them.
    UnsentBytes,
}

impl Cut {
    /// The value of the metric's label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::UnsentBytes => "unsent_bytes",
        }
    }
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was asked for a long time: say goodbye.
    Idle,
    /// Close it now.
    Cut(Cut),
}

/// All connections of one port, and the bytes that wait for their clients.
#[derive(Debug)]
pub(super) struct Meters {
    limits: Limits,
    unsent_bytes: AtomicUsize,
    connections: Mutex<HashMap<u64, Weak<Meter>>>,
    next_id: AtomicU64,
}

impl Meters {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            unsent_bytes: AtomicUsize::new(0),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
        })
    }

    /// Begins to measure a connection that was just accepted.
    pub(super) fn add(self: &Arc<Self>) -> Arc<Meter> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let meter = Arc::new(Meter {
            id,
            meters: Arc::clone(self),
            started: Instant::now(),
            evicted: CancellationToken::new(),
            has_room: Notify::new(),
            write_blocked: Since::default(),
            header_begun: Since::default(),
            is_http2: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            open_requests: AtomicUsize::new(0),
            head: Mutex::default(),
            book: Mutex::new(Book::default()),
        });
        lock(&self.connections).insert(id, Arc::downgrade(&meter));
        metrics::gauge!(telemetry::HTTP_CONNECTIONS).increment(1);
        meter
    }

    fn is_crowded(&self) -> bool {
        let taken = lock(&self.connections).len();
        taken > self.limits.connections_max - self.limits.connections_max / FREE_SHARE_MIN
    }

    /// Frees memory when too much of it waits: the connections that hold the most for the longest
    /// go first, so that a client who reads is hardly ever among them.
    fn make_room(&self) {
        while self.unsent_bytes.load(Ordering::SeqCst) > self.limits.unsent_bytes_max {
            let all: Vec<_> = lock(&self.connections).values().cloned().collect();
            let worst = all
                .iter()
                .filter_map(Weak::upgrade)
                .max_by_key(|meter| meter.weight());
            if !worst.is_some_and(|meter| meter.evict()) {
                return;
            }
        }
    }

    fn add_unsent(&self, bytes: usize) {
        self.unsent_bytes.fetch_add(bytes, Ordering::SeqCst);
        metrics::gauge!(telemetry::HTTP_UNSENT_BYTES).increment(bytes as f64);
    }

    fn subtract_unsent(&self, bytes: usize) {
        self.unsent_bytes.fetch_sub(bytes, Ordering::SeqCst);
        metrics::gauge!(telemetry::HTTP_UNSENT_BYTES).decrement(bytes as f64);
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Meter {
    id: u64,
    meters: Arc<Meters>,
    started: Instant,
    evicted: CancellationToken,
    has_room: Notify,
    /// Since when the socket takes nothing.
    write_blocked: Since,
    /// Since when the header of the next HTTP/1.1 request is being received.
    header_begun: Since,
    is_http2: AtomicBool,
    is_cut: AtomicBool,
    open_requests: AtomicUsize,
    head: Mutex<HeadScan>,
    book: Mutex<Book>,
}

/// What a connection is waiting for.
#[derive(Debug, Default)]
struct Book {
    unsent_bytes: usize,
    is_evicted: bool,
    /// Set by the end of a request when no other one is open; `None` before the first one.
    idle_since: Option<Instant>,
    next_response: u64,
    responses: BTreeMap<u64, Progress>,
}

/// How far an answer is.
#[derive(Debug)]
struct Progress {
    /// The next piece of the body is there, and nobody fetches it.
    awaits_client: bool,
    /// Pieces that were fetched and are not written yet.
    pieces: usize,
    last: Instant,
}

impl Meter {
    /// Waits until something is wrong with the connection.
    pub(super) async fn watch(&self) -> Verdict {
        let limits = &self.meters.limits;
        let interval = (limits.write_timeout / 8)
            .min(limits.header_read_timeout / 2)
            .min(limits.idle_timeout / 4)
            .max(CHECK_INTERVAL_MIN);
        loop {
            tokio::select! {
                () = self.evicted.cancelled() => return Verdict::Cut(Cut::UnsentBytes),
                () = tokio::time::sleep(interval) => {}
            }
            if let Some(verdict) = self.judge(Instant::now()) {
                return verdict;
            }
        }
    }

    fn judge(&self, now: Instant) -> Option<Verdict> {
        let limits = &self.meters.limits;
        let longer = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        let blocked = self.write_blocked.get(self.started);
        if blocked.is_some_and(|since| longer(since, limits.write_timeout)) {
            return Some(Verdict::Cut(Cut::WriteTimeout));
        }
        let header = self.header_begun.get(self.started);
        if header.is_some_and(|since| longer(since, limits.header_read_timeout)) {
            return Some(Verdict::Cut(Cut::HeaderTimeout));
        }
        let book = lock(&self.book);
        let mut waiting = book
            .responses
            .values()
            .filter(|it| it.awaits_client || it.pieces > 0);
        if waiting.any(|it| longer(it.last, limits.write_timeout)) {
            return Some(Verdict::Cut(Cut::WriteTimeout));
        }
        if self.open_requests.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let Some(idle_since) = book.idle_since else {
            let late = longer(self.started, limits.header_read_timeout);
            return late.then_some(Verdict::Cut(Cut::HeaderTimeout));
        };
        drop(book);
        let is_idle = longer(idle_since, limits.idle_timeout)
            || longer(idle_since, limits.header_read_timeout) && self.meters.is_crowded();
        is_idle.then_some(Verdict::Idle)
    }

    /// Begins to measure the answer to a request.
    pub(super) fn begin(self: &Arc<Self>, is_http2: IsHttp2) -> Arc<Delivery> {
        self.is_http2.store(is_http2.0, Ordering::SeqCst);
        self.open_requests.fetch_add(1, Ordering::SeqCst);
        self.header_begun.clear();
        let mut book = lock(&self.book);
        let id = book.next_response;
        book.next_response += 1;
        let progress = Progress {
            awaits_client: false,
            pieces: 0,
            last: Instant::now(),
        };
        book.responses.insert(id, progress);
        Arc::new(Delivery {
            meter: Arc::clone(self),
            id,
        })
    }

    /// Waits until so little waits for the client that it may ask for more.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.has_room.notified();
            if lock(&self.book).unsent_bytes < self.meters.limits.unsent_bytes_per_connection_max {
                return;
            }
            freed.await;
        }
    }

    /// Counts bytes that are in memory until the client has taken them.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let mut book = lock(&self.book);
        book.unsent_bytes += bytes;
        let counts = !book.is_evicted;
        drop(book);
        if counts {
            self.meters.add_unsent(bytes);
            self.meters.make_room();
        }
        Charge {
            meter: Arc::clone(self),
            bytes,
        }
    }

    fn release(&self, bytes: usize) {
        let mut book = lock(&self.book);
        book.unsent_bytes -= bytes;
        let counts = !book.is_evicted;
        drop(book);
        if counts {
            self.meters.subtract_unsent(bytes);
        }
        self.has_room.notify_waiters();
    }

    /// Bytes and time that the connection costs.
    fn weight(&self) -> u128 {
        let book = lock(&self.book);
        if book.is_evicted {
            return 0;
        }
        let oldest = book.responses.values().map(|it| it.last).min();
        let waits = oldest.map_or(Duration::ZERO, |since| since.elapsed());
        book.unsent_bytes as u128 * (1 + waits.as_millis())
    }

    /// Gives the connection up. False when that would free nothing.
    fn evict(&self) -> bool {
        let mut book = lock(&self.book);
        if book.is_evicted || book.unsent_bytes == 0 {
            return false;
        }
        book.is_evicted = true;
        self.meters.subtract_unsent(book.unsent_bytes);
        self.evicted.cancel();
        true
    }

    /// The connection is about to be dropped: what the kernel still holds is worth nothing.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    /// Bytes of a client came in. What comes while a request is open belongs to it, or to one that
    /// was sent without waiting; such a one is not looked at.
    pub(super) fn note_read(&self, bytes: &[u8]) {
        let reads_header =
            self.open_requests.load(Ordering::SeqCst) == 0 && !self.is_http2.load(Ordering::SeqCst);
        if reads_header {
            self.header_begun.set(self.started);
            lock(&self.head).read(bytes);
        }
    }

    /// True when a line of the header that was received ends in a bare line feed. The next header
    /// begins.
    pub(super) fn take_bare_line_feed(&self) -> bool {
        std::mem::take(&mut *lock(&self.head)).has_bare_line_feed
    }

    /// The socket took bytes.
    pub(super) fn note_written(&self) {
        self.write_blocked.clear();
    }

    /// The socket takes no more.
    pub(super) fn note_blocked(&self) {
        self.write_blocked.set(self.started);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        lock(&self.meters.connections).remove(&self.id);
        metrics::gauge!(telemetry::HTTP_CONNECTIONS).decrement(1);
    }
}

/// Which version of HTTP a request came with.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsHttp2(pub(super) bool);

/// One answer, from its request to its last byte.
#[derive(Debug)]
pub(super) struct Delivery {
    meter: Arc<Meter>,
    id: u64,
}

impl Delivery {
    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// A piece could be fetched now.
    pub(super) fn awaits_client(&self) {
        self.update(|progress| progress.awaits_client = true);
    }

    /// There is nothing to fetch now.
    pub(super) fn awaits_source(&self) {
        self.update(|progress| progress.awaits_client = false);
    }

    /// A piece was fetched.
    pub(super) fn take_piece(&self) {
        self.update(|progress| progress.pieces += 1);
    }

    /// A piece was written, or there is no use for it any more.
    pub(super) fn finish_piece(&self) {
        self.update(|progress| progress.pieces -= 1);
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = lock(&self.meter.book).responses.get_mut(&self.id) {
            change(progress);
            progress.last = Instant::now();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut book = lock(&self.meter.book);
        book.responses.remove(&self.id);
        book.idle_since = Some(Instant::now());
        drop(book);
        self.meter.open_requests.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes in memory, until this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.meter.release(self.bytes);
    }
}

/// A moment that can be set and cleared without a lock: milliseconds from the connection's start,
/// and one more, so that 0 means none.
#[derive(Debug, Default)]
struct Since(AtomicU64);

impl Since {
    /// Keeps the moment that stands there already.
    fn set(&self, started: Instant) {
        if self.0.load(Ordering::Relaxed) == 0 {
            let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.0.store(ms + 1, Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    fn get(&self, started: Instant) -> Option<Instant> {
        let ms = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(started + Duration::from_millis(ms))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
