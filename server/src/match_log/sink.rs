//! Writes the logs of all matches of an instance on one thread, behind a bounded queue. It does not
//! know what a block contains.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use gameserver_contract::ids::MatchId;
use gameserver_control::result_signature::{self, ResultKey};
use gameserver_stream::log::block::HAS_KEY_FRAME;
use gameserver_stream::log::{BlockEncoder, EncodeError, Footer, RawBlock};

use super::folder::LogFolder;
use crate::priority::yield_to_ticks;
use crate::telemetry;

/// Messages that may wait for the thread: a second of 256 matches.
const MESSAGES_MAX: usize = 1_024;
/// Bytes of blocks that may wait for the thread.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The queue is full, or the thread is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reach the thread that writes match logs")]
pub struct SinkFull;

/// Where matches send their blocks. Never waits.
#[derive(Debug, Clone)]
pub struct LogSink {
    messages: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(super) enum Message {
    Begin(MatchId),
    Append(MatchId, RawBlock),
    Finish(MatchId, Box<Ending>),
    Leave(MatchId),
}

#[derive(Debug)]
pub(super) struct Ending {
    last_tick: u32,
    footer: Footer,
    key: ResultKey,
}

impl LogSink {
    /// A sink for so many messages, and its other end.
    pub(super) fn with_room(messages: usize) -> (Self, Receiver<Message>) {
        let (messages, inbox) = sync_channel(messages);
        let sink = Self {
            messages,
            waiting_bytes: Arc::default(),
        };
        (sink, inbox)
    }

    /// True unless so many bytes wait that a block would be refused.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) < WAITING_BYTES_MAX
    }

    pub(super) fn begin(&self, id: MatchId) -> Result<(), SinkFull> {
        self.send(Message::Begin(id)).map_err(|_| SinkFull)
    }

    /// Gives the block back when there is no room.
    pub(super) fn append(&self, id: MatchId, block: RawBlock) -> Result<(), RawBlock> {
        if !self.has_room() {
            telemetry::queue_refused("match_log");
            return Err(block);
        }
        let bytes = block.payload.len();
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.send(Message::Append(id, block)) {
            Err(Message::Append(_, block)) => {
                self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(block)
            }
            Ok(()) | Err(Message::Begin(_) | Message::Finish(..) | Message::Leave(_)) => Ok(()),
        }
    }

    pub(super) fn finish(
        &self,
        id: MatchId,
        last_tick: u32,
        footer: Footer,
        key: ResultKey,
    ) -> Result<(), SinkFull> {
        let ending = Ending {
            last_tick,
            footer,
            key,
        };
        self.send(Message::Finish(id, Box::new(ending)))
            .map_err(|_| SinkFull)
    }

    /// Closes a log that has no end.
    pub(super) fn leave(&self, id: MatchId) {
        if self.send(Message::Leave(id)).is_err() {
            tracing::debug!(match.id = %id, "match log left open");
        }
    }

    fn send(&self, message: Message) -> Result<(), Message> {
        self.messages.try_send(message).map_err(|refused| {
            telemetry::queue_refused("match_log");
            match refused {
                TrySendError::Full(message) | TrySendError::Disconnected(message) => message,
            }
        })
    }
}

/// The thread. It ends when every sink is gone, with everything written.
#[derive(Debug)]
pub struct LogWriters {
    sink: Option<LogSink>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriters {
    /// Starts it, after what an earlier run left unfinished was seen to.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or looked through, or the operating system gave no thread.
    pub fn start(folder: LogFolder) -> std::io::Result<Self> {
        folder.create()?;
        recover(&folder)?;
        let (sink, inbox) = LogSink::with_room(MESSAGES_MAX);
        let mut writers = Writers {
            folder,
            open: BTreeMap::new(),
            waiting_bytes: sink.waiting_bytes.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("match-logs".to_owned())
            .spawn(move || {
                yield_to_ticks();
                writers.run(&inbox);
            })?;
        Ok(Self {
            sink: Some(sink),
            thread: Some(thread),
        })
    }

    /// Where matches send their blocks.
    #[must_use]
    pub fn sink(&self) -> Option<&LogSink> {
        self.sink.as_ref()
    }
}

impl Drop for LogWriters {
    /// Waits until everything is written. The matches, which hold sinks too, must be gone.
    fn drop(&mut self) {
        self.sink = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("the thread of the match logs panicked");
        }
    }
}

/// Why a log is given up.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("write the file")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Block(#[from] EncodeError),
}

struct Writers {
    folder: LogFolder,
    open: BTreeMap<MatchId, OpenLog>,
    waiting_bytes: Arc<AtomicUsize>,
}

struct OpenLog {
    file: File,
    encoder: BlockEncoder,
}

impl Writers {
    fn run(&mut self, inbox: &Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
            let (id, done) = match message {
                Message::Begin(id) => (id, self.begin(id)),
                Message::Append(id, block) => {
                    let bytes = block.payload.len();
                    let done = self.append(id, &block);
                    self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    (id, done)
                }
                Message::Finish(id, ending) => (id, self.finish(id, *ending)),
                Message::Leave(id) => (id, self.leave(id)),
            };
            if let Err(error) = done {
                tracing::error!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "match log given up"
                );
                telemetry::match_log_ended("failed");
                self.open.remove(&id);
            }
        }
    }

    fn begin(&mut self, id: MatchId) -> Result<(), WriteError> {
        let mut file = File::create_new(self.folder.unfinished(id))?;
        let (encoder, magic) = BlockEncoder::begin()?;
        file.write_all(&magic)?;
        self.open.insert(id, OpenLog { file, encoder });
        Ok(())
    }

    fn append(&mut self, id: MatchId, block: &RawBlock) -> Result<(), WriteError> {
        let Some(log) = self.open.get_mut(&id) else {
            return Ok(());
        };
        let encoded = log.encoder.encode(block)?;
        telemetry::match_log_bytes(encoded.len());
        log.file.write_all(&encoded)?;
        // A crash of the machine costs what came since the last key frame; a crash of the
        // process nothing that was written.
        if block.flags & HAS_KEY_FRAME != 0 {
            log.file.sync_data()?;
        }
        Ok(())
    }

    fn finish(&mut self, id: MatchId, ending: Ending) -> Result<(), WriteError> {
        let Some(mut log) = self.open.remove(&id) else {
            return Ok(());
        };
        let Ending {
            last_tick,
            footer,
            key,
        } = ending;
        let has_gaps = footer.ticks_missing > 0;
        let sign = |claim: &[u8]| result_signature::sign(&key, claim);
        let encoded = log.encoder.finish(last_tick, footer, sign)?;
        telemetry::match_log_bytes(encoded.len());
        log.file.write_all(&encoded)?;
        log.file.sync_data()?;
        drop(log);
        self.folder.complete(id)?;
        telemetry::match_log_ended(if has_gaps { "cut" } else { "complete" });
        make_room(&self.folder)
    }

    fn leave(&mut self, id: MatchId) -> Result<(), WriteError> {
        if self.open.remove(&id).is_none() {
            return Ok(());
        }
        telemetry::match_log_ended("broken");
        self.folder.give_up(id)?;
        make_room(&self.folder)
    }
}

/// Keeps the logs of matches that were running when an earlier run of the instance died. One that
/// cannot be used is left alone.
fn recover(folder: &LogFolder) -> std::io::Result<()> {
    for id in folder.unfinished_logs()? {
        match folder.give_up(id) {
            Ok(true) => tracing::info!(match.id = %id, "match log of an earlier run recovered"),
            Ok(false) => tracing::info!(match.id = %id, "match log without a tick deleted"),
            Err(error) => tracing::error!(
                match.id = %id, error = &error as &dyn std::error::Error,
                "match log not recovered"
            ),
        }
    }
    if let Err(error) = make_room(folder) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "old match logs not deleted"
        );
    }
    Ok(())
}

fn make_room(folder: &LogFolder) -> Result<(), WriteError> {
    for deleted in folder.make_room()? {
        tracing::info!(file = %deleted.display(), "old match log deleted");
        telemetry::match_log_deleted();
    }
    Ok(())
}
