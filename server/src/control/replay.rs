//! Reads the logs of matches for web-api, piece by piece.
//!
//! It does not know what is in a log.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gameserver_contract::ids::MatchId;
use gameserver_control::{REPLAY_BYTES_MAX, ReadReplayResponse};
use tokio::sync::Semaphore;

use crate::match_log::folder::{BROKEN, COMPLETE, UNFINISHED};

/// Reads at the same time, so that a rush for replays does not keep the disk from the matches that
/// are being recorded. More of them wait.
const READS_MAX: usize = 4;

/// The logs of this instance.
#[derive(Debug)]
pub(super) struct Replays {
    folder: Option<PathBuf>,
    permits: Arc<Semaphore>,
}

impl Replays {
    /// Those in this folder; none at all without one.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            permits: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// At most `length_max` bytes (and never more than [`REPLAY_BYTES_MAX`]) of a log from
    /// `offset` on, read off the threads that drive connections.
    ///
    /// # Errors
    ///
    /// The file system's; a missing file is none.
    pub(super) async fn read(
        &self,
        id: MatchId,
        offset: u64,
        length_max: u32,
    ) -> io::Result<ReadReplayResponse> {
        let Some(folder) = self.folder.clone() else {
            return Ok(ReadReplayResponse::default());
        };
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let reading = tokio::task::spawn_blocking(move || {
            let answer = read_piece(&folder, id, offset, length_max.min(REPLAY_BYTES_MAX));
            drop(permit);
            answer
        });
        reading.await.map_err(io::Error::other)?
    }
}

fn read_piece(
    folder: &Path,
    id: MatchId,
    offset: u64,
    length: u32,
) -> io::Result<ReadReplayResponse> {
    let Some((mut file, is_complete)) = open(folder, id)? else {
        return Ok(ReadReplayResponse::default());
    };
    let total = file.metadata()?.len();
    let mut bytes = Vec::new();
    if offset < total {
        file.seek(SeekFrom::Start(offset))?;
        // What is written meanwhile is left for the next look.
        let rest = (total - offset).min(u64::from(length));
        file.take(rest).read_to_end(&mut bytes)?;
    }
    Ok(ReadReplayResponse {
        found: true,
        total,
        complete: is_complete,
        bytes,
    })
}

/// The complete log, or what there is of one that broke off.
fn open(folder: &Path, id: MatchId) -> io::Result<Option<(File, bool)>> {
    // From the beginning of its life to its end: it may be renamed between two looks.
    for (ending, is_complete) in [(UNFINISHED, false), (BROKEN, false), (COMPLETE, true)] {
        match File::open(folder.join(format!("{id}{ending}"))) {
            Ok(file) => return Ok(Some((file, is_complete))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;

    fn id() -> MatchId {
        MatchId(Uuid::from_u128(3))
    }

    /// A folder with one log under this ending, of `length` bytes that count up.
    fn folder_with(ending: &str, length: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
        fs::write(folder.path().join(format!("{}{ending}", id())), bytes).unwrap();
        folder
    }

    async fn read(folder: &tempfile::TempDir, offset: u64, length_max: u32) -> ReadReplayResponse {
        let replays = Replays::new(Some(folder.path().to_owned()));
        replays.read(id(), offset, length_max).await.unwrap()
    }

    #[tokio::test]
    async fn a_log_is_read_piece_by_piece() {
        let folder = folder_with(COMPLETE, 10);
        let middle = read(&folder, 4, 3).await;
        assert_eq!(
            (middle.found, middle.complete, middle.total),
            (true, true, 10)
        );
        assert_eq!(middle.bytes, [4, 5, 6]);
        assert_eq!(read(&folder, 8, 100).await.bytes, [8, 9]);
        for beyond in [10, 11, u64::MAX] {
            assert!(read(&folder, beyond, 1).await.bytes.is_empty());
        }
    }

    #[tokio::test]
    async fn no_piece_is_longer_than_the_limit() {
        let limit = usize::try_from(REPLAY_BYTES_MAX).unwrap();
        let folder = folder_with(COMPLETE, limit + 5);
        assert_eq!(read(&folder, 0, u32::MAX).await.bytes.len(), limit);
    }

    #[tokio::test]
    async fn a_log_that_broke_off_is_not_complete() {
        for ending in [UNFINISHED, BROKEN] {
            let folder = folder_with(ending, 7);
            let answer = read(&folder, 0, 100).await;
            assert_eq!(
                (answer.found, answer.complete, answer.total),
                (true, false, 7)
            );
        }
    }

    #[tokio::test]
    async fn a_match_without_a_log_is_not_found() {
        let empty = tempfile::tempdir().unwrap();
        assert!(!read(&empty, 0, 1).await.found);
        let nowhere = Replays::new(None);
        assert!(!nowhere.read(id(), 0, 1).await.unwrap().found);
    }
}
