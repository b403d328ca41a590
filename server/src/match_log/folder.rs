//! Where logs are kept: a file for each match, and no more of them than there is room for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gameserver_contract::ids::MatchId;

/// Ending of a complete log's name.
pub const COMPLETE: &str = ".gslog";
/// Ending of the name of a log that is being written, or whose match or process broke.
pub const UNFINISHED: &str = ".gslog.part";

/// A folder of logs. One instance has it for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of complete logs that are kept; the oldest go first.
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

    pub(super) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)
    }

    pub(super) fn complete(&self, id: MatchId) -> io::Result<()> {
        fs::rename(self.unfinished(id), self.complete_log(id))
    }

    /// Deletes the oldest complete logs until the rest is small enough, and tells which. Names
    /// begin with the match's id, and ids sort by time. The newest log is never deleted.
    pub(super) fn make_room(&self) -> io::Result<Vec<PathBuf>> {
        let mut logs = self.complete_logs()?;
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

    fn complete_logs(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if is_complete(&entry.path()) {
                logs.push((entry.path(), entry.metadata()?.len()));
            }
        }
        Ok(logs)
    }
}

fn is_complete(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(COMPLETE))
}
