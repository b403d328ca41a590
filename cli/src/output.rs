//! Writes to stdout and stderr on threads of their own, so that no tick, request or signal waits
//! for their readers.
//!
//! It does not interpret lines. A reader that is gone, or a disk that is full, stops nothing: lines
//! that are not read are dropped and counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Bytes of each stream that wait for its reader: some 4,000 lines. What does not fit is dropped.
/// As much again may be under way to the system.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Longest wait for the reader of each stream when the process ends.
pub(crate) const EXIT_PATIENCE: Duration = Duration::from_secs(1);
/// Interval at which a thread that waits for a reader checks whether it still has to.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Results and logs.
pub(crate) static STDOUT: Stream = Stream::new("stdout", rustix::stdio::stdout);
/// Errors.
pub(crate) static STDERR: Stream = Stream::new("stderr", rustix::stdio::stderr);

/// One of the two, with its thread.
pub(crate) struct Stream {
    name: &'static str,
    fd: fn() -> BorrowedFd<'static>,
    state: Mutex<State>,
    /// Lines came, or went.
    changed: Condvar,
}

struct State {
    has_thread: bool,
    waiting: Vec<u8>,
    is_writing: bool,
    /// The last lines were written whole.
    is_read: bool,
    dropped: u64,
    /// How many of the dropped lines the log has mentioned.
    mentioned: u64,
}

impl Stream {
    const fn new(name: &'static str, fd: fn() -> BorrowedFd<'static>) -> Self {
        Self {
            name,
            fd,
            state: Mutex::new(State {
                has_thread: false,
                waiting: Vec::new(),
                is_writing: false,
                is_read: false,
                dropped: 0,
                mentioned: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// `stdout` or `stderr`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a person reads it as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        rustix::termios::isatty((self.fd)())
    }

    /// Whether colours are shown there and wanted: <https://no-color.org>.
    pub(crate) fn shows_colors(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.is_terminal() && !is_set("NO_COLOR") && !is_dumb
    }

    /// Lines that were not read, since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Whether everything is written that was offered.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && !state.is_writing
    }

    /// Gives the reader this time to read the waiting lines.
    pub(crate) fn flush_within(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.wait_until_written(|| Instant::now() >= deadline);
    }

    /// Puts whole lines into the queue, or drops them when it is full. Never waits.
    pub(crate) fn offer(&'static self, lines: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + lines.len() > WAITING_BYTES_MAX || !self.has_thread(&mut state) {
            state.dropped += count_lines(lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.changed.notify_all();
    }

    /// Writes a result, which is not dropped while it may still be read: waits for the reader until
    /// `gives_up`.
    pub(crate) fn deliver(&'static self, lines: &[u8], gives_up: impl Fn() -> bool) {
        if !self.wait_until_written(&gives_up) {
            return;
        }
        let mut state = self.lock();
        if self.has_thread(&mut state) {
            state.waiting.extend_from_slice(lines);
        }
        drop(state);
        self.changed.notify_all();
        self.wait_until_written(gives_up);
    }

    /// True when everything is written, false when it was given up before.
    fn wait_until_written(&self, gives_up: impl Fn() -> bool) -> bool {
        let mut state = self.lock();
        while !state.waiting.is_empty() || state.is_writing {
            if gives_up() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, LOOK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread with the first line. Without one nothing can be written.
    fn has_thread(&'static self, state: &mut State) -> bool {
        if !state.has_thread {
            let thread = thread::Builder::new().name(self.name.to_owned());
            state.has_thread = thread.spawn(move || self.write_forever()).is_ok();
        }
        state.has_thread
    }

    fn write_forever(&self) {
        gameserver_server::priority::yield_to_ticks();
        let mut lines = Vec::new();
        loop {
            let missed = self.take(&mut lines);
            if missed > 0 {
                // The queue has just been emptied, so there is room for this one.
                tracing::warn!(
                    stream = self.name,
                    lines = missed,
                    "lines were dropped: nobody read them in time"
                );
            }
            let written = write_all((self.fd)(), &lines);
            self.settle(&lines, written);
        }
    }

    /// Waits for lines and takes all there are. Returns how many were dropped behind them that the
    /// log should mention, now that it is read.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        lines.clear();
        let mut state = self.lock();
        while state.waiting.is_empty() {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, lines);
        state.is_writing = true;
        if !state.is_read {
            return 0;
        }
        let missed = state.dropped - state.mentioned;
        state.mentioned = state.dropped;
        missed
    }

    /// Counts the lines that were not written.
    fn settle(&self, lines: &[u8], written: usize) {
        let mut state = self.lock();
        let lost = lines.get(written..).unwrap_or_default();
        state.is_writing = false;
        state.is_read = lost.is_empty();
        state.dropped += count_lines(lost);
        drop(state);
        self.changed.notify_all();
    }
}

fn count_lines(text: &[u8]) -> u64 {
    text.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// Writes until the reader is gone or everything is written. Returns how much was.
fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(fd, rest) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            // Another process that shares this terminal or pipe made it non-blocking.
            Err(Errno::AGAIN) => {
                if poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    written
}

/// A handle that implements [`io::Write`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines(pub(crate) &'static Stream);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One call is one event with its line's end.
impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.offer(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports panics like everything else on stderr: a match that panics must not wait for a reader.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let trace = Backtrace::capture();
        let trace = if trace.status() == BacktraceStatus::Captured {
            format!("{trace}\n")
        } else {
            String::new()
        };
        STDERR.offer(format!("thread '{name}' {panic}\n{trace}").as_bytes());
    }));
}

/// Gives readers a moment for the remaining lines when the process ends, in order or by a panic.
#[derive(Debug)]
pub(crate) struct FlushAtExit;

impl Drop for FlushAtExit {
    fn drop(&mut self) {
        STDOUT.flush_within(EXIT_PATIENCE);
        STDERR.flush_within(EXIT_PATIENCE);
    }
}
