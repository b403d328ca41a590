//! Whose folder of logs it is: one running instance's, and its id, which outlives the process, so
//! that replays of earlier runs are still found where they lie.
//!
//! It knows nothing of the logs themselves.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gameserver_contract::ids::InstanceId;

/// Locked by the instance that has the folder. The operating system unlocks it when the process
/// ends, however it does.
const LOCK: &str = "instance.lock";
/// Has the id as text.
const ID: &str = "instance.id";
/// The id while it is written.
const NEW_ID: &str = "instance.id.new";
/// Longest text that is read as an id, in bytes.
const ID_LENGTH_MAX: u64 = 256;

/// Why a folder cannot be an instance's.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process, or another instance of this one, has it.
    #[error(
        "another running instance keeps its match logs in {}: give each one a folder of its own",
        .0.display()
    )]
    Taken(PathBuf),
    /// The file is there and has no id.
    #[error(
        "{} has no instance id: write the id that it had, or delete the file, which loses the \
         replays of earlier runs", .0.display()
    )]
    NoId(PathBuf),
    /// A file cannot be read, written or locked.
    #[error("failed to use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The right to a folder, as long as this lives.
#[derive(Debug)]
pub struct FolderClaim {
    id: InstanceId,
    _lock: File,
}

impl FolderClaim {
    /// Takes the folder, making it when it is missing. The id is the one given; else the folder's;
    /// else a new one, which becomes the folder's.
    ///
    /// # Errors
    ///
    /// [`ClaimError`]; nothing was changed then but for empty files.
    pub fn of(
        folder: &Path,
        given: Option<InstanceId>,
        new: impl FnOnce() -> InstanceId,
    ) -> Result<Self, ClaimError> {
        fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        let lock = lock(folder)?;
        let id = match (given, read_id(&folder.join(ID))?) {
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                let id = new();
                write_id(folder, id)?;
                id
            }
        };
        Ok(Self { id, _lock: lock })
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> InstanceId {
        self.id
    }
}

fn lock(folder: &Path) -> Result<File, ClaimError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = opened.map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClaimError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}

fn read_id(path: &Path) -> Result<Option<InstanceId>, ClaimError> {
    let text = match fs::metadata(path) {
        Ok(found) if found.len() > ID_LENGTH_MAX => return Err(ClaimError::NoId(path.to_owned())),
        Ok(_) => fs::read(path).map_err(|source| failed(path, source))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let id = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    id.map(Some)
        .ok_or_else(|| ClaimError::NoId(path.to_owned()))
}

/// Under another name first: a crash leaves the whole id or none.
fn write_id(folder: &Path, id: InstanceId) -> Result<(), ClaimError> {
    let (new, path) = (folder.join(NEW_ID), folder.join(ID));
    let written = File::create(&new).and_then(|mut file| {
        writeln!(file, "{id}")?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&new, &path))
        .map_err(|source| failed(&path, source))
}

fn failed(path: &Path, source: io::Error) -> ClaimError {
    ClaimError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> InstanceId {
        InstanceId(Uuid::from_u128(number))
    }

    fn claim(folder: &Path, given: Option<u128>, new: u128) -> Result<FolderClaim, ClaimError> {
        FolderClaim::of(&folder.join("logs"), given.map(id), || id(new))
    }

    #[test]
    fn an_instance_has_the_same_id_each_time_it_starts_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for new in [1, 2, 3] {
            assert_eq!(claim(folder.path(), None, new).unwrap().id(), id(1));
        }
    }

    #[test]
    fn an_id_that_was_given_wins_and_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(claim(folder.path(), Some(5), 1).unwrap().id(), id(5));
        assert_eq!(claim(folder.path(), None, 1).unwrap().id(), id(1));
        assert_eq!(claim(folder.path(), Some(5), 2).unwrap().id(), id(5));
        assert_eq!(claim(folder.path(), None, 3).unwrap().id(), id(1));
    }

    #[test]
    fn two_instances_never_have_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path(), None, 1).unwrap();
        for given in [None, Some(2)] {
            let second = claim(folder.path(), given, 2);
            assert!(matches!(second, Err(ClaimError::Taken(_))), "{second:?}");
        }
        drop(first);
        assert!(claim(folder.path(), None, 2).is_ok());
    }

    #[test]
    fn a_file_that_has_no_id_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        drop(claim(folder.path(), None, 1).unwrap());
        let file = folder.path().join("logs").join(ID);
        for text in ["", "no id", "\u{0}\u{0}", &"1".repeat(1_000)] {
            fs::write(&file, text).unwrap();
            let error = claim(folder.path(), None, 2).unwrap_err();
            assert!(matches!(error, ClaimError::NoId(_)), "{error}");
            assert!(error.to_string().contains("delete the file"), "{error}");
        }
    }
}
