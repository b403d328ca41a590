//! Keeps logs in a folder: a file for each match, and no more of them than there is room for. It
//! does not know what is in them, only whether a tick can be read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use gameserver_contract::ids::MatchId;
use gameserver_stream::log::{LogReader, LogSummary};

/// Ending of a complete log's name.
pub const COMPLETE: &str = ".gslog";
/// Ending of the name of a log that is being written.
pub const UNFINISHED: &str = ".gslog.part";
/// Ending of the name of a log without an end, because its match or its process broke.
pub const BROKEN: &str = ".broken.gslog";
/// Bytes at the beginning of a log that broke in which a tick must be found: the first block, which
/// has the header, is always smaller.
const BEGINNING_BYTES: u64 = 1024 * 1024;

/// A folder of logs. One instance has it for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of logs that are kept, not counting those that are being written; the oldest go
    /// first.
    pub bytes_max: u64,
}

impl LogFolder {
    /// The log of a finished match.
    #[must_use]
    pub fn complete_log(&self, id: MatchId) -> PathBuf {
        self.path.join(format!("{id}{COMPLETE}"))
    }

    pub(super) fn unfinished(&self, id: MatchId) -> PathBuf {
        self.path.join(format!("{id}{UNFINISHED}"))
    }

    pub(super) fn broken(&self, id: MatchId) -> PathBuf {
        self.path.join(format!("{id}{BROKEN}"))
    }

    pub(super) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)
    }

    pub(super) fn complete(&self, id: MatchId) -> io::Result<()> {
        fs::rename(self.unfinished(id), self.complete_log(id))
    }

    /// Keeps what there is of a log that gets no end; false when that is not a single tick, and
    /// the file was deleted.
    pub(super) fn give_up(&self, id: MatchId) -> io::Result<bool> {
        let unfinished = self.unfinished(id);
        let is_worth_keeping = has_ticks(&unfinished)?;
        if is_worth_keeping {
            fs::rename(unfinished, self.broken(id))?;
        } else {
            fs::remove_file(unfinished)?;
        }
        Ok(is_worth_keeping)
    }

    /// The logs that an earlier run left unfinished. Nothing may be recorded yet.
    pub(super) fn unfinished_logs(&self) -> io::Result<Vec<MatchId>> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(UNFINISHED));
            left.extend(id.and_then(|id| id.parse::<MatchId>().ok()));
        }
        Ok(left)
    }

    /// Deletes the oldest logs that are not being written until the rest is small enough, and
    /// returns them. Names begin with the match's id, and ids sort by time. The newest log is never
    /// deleted.
    pub(super) fn make_room(&self) -> io::Result<Vec<PathBuf>> {
        let mut logs = self.logs()?;
        logs.sort_unstable();
        let mut bytes: u64 = logs.iter().map(|log| log.1).sum();
        logs.pop();
        let mut deleted = Vec::new();
        for (log, length) in logs {
            if bytes <= self.bytes_max {
                break;
            }
            fs::remove_file(&log)?;
            bytes = bytes.saturating_sub(length);
            deleted.push(log);
        }
        Ok(deleted)
    }

    fn logs(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if is_log(&entry.path()) {
                logs.push((entry.path(), entry.metadata()?.len()));
            }
        }
        Ok(logs)
    }
}

/// Complete or broken: the ending of the one is the ending of the other, too.
fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(COMPLETE))
}

/// Whether a log shows anything: its header and one tick can be read.
fn has_ticks(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    let file = File::open(path)?;
    file.take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    let reader = LogReader::open(&beginning);
    Ok(reader.is_ok_and(|reader| LogSummary::of(&reader).whole_to_tick > 0))
}
