//! Finds PostgreSQL and Redis on this machine, and installs them where that is allowed. Everywhere
//! else it says what to install. Tests are never skipped silently.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::REPEAT;
use crate::failure::Failure;
use crate::packages::{Packages, find_in_path, is_root, output_of};
use crate::platform::Account;

/// Where Debian and Ubuntu keep PostgreSQL, outside the PATH: `<version>/bin` below it.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";
/// Redis, and the fork that some distributions ship instead.
const REDIS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];
const ADVICE: &str = "\
The tests need PostgreSQL (initdb, postgres) and Redis (redis-server). Install them:
  Debian, Ubuntu   sudo apt-get install -y postgresql redis-server
  Fedora           sudo dnf install -y postgresql-server redis
  Arch             sudo pacman -S postgresql redis
  macOS            brew install postgresql@17 redis && brew link postgresql@17
They need not run: cargo xtask starts its own copies.";

/// The programs to start.
#[derive(Debug)]
pub(crate) struct Installation {
    postgres_folder: PathBuf,
    /// The Redis program.
    pub(super) redis_server: PathBuf,
    /// PostgreSQL refuses to run as root; then it runs as this user.
    pub(super) postgres_account: Option<Account>,
}

impl Installation {
    /// Finds both servers, after installing them if need be and possible.
    pub(crate) fn find_or_install(packages: &Packages<'_>) -> Result<Self, Failure> {
        let is_root = is_root();
        if let Some(found) = Self::find(is_root)? {
            return Ok(found);
        }
        if !Packages::can_install() {
            return Err(fail(ADVICE));
        }
        packages.install("install the servers", &["postgresql", "redis-server"])?;
        Self::find(is_root)?.ok_or_else(|| fail(ADVICE))
    }

    fn find(is_root: bool) -> Result<Option<Self>, Failure> {
        let redis_server = REDIS_NAMES.into_iter().find_map(find_in_path);
        let (Some(postgres_folder), Some(redis_server)) = (find_postgres(), redis_server) else {
            return Ok(None);
        };
        let postgres_account = is_root.then(postgres_account).transpose()?;
        Ok(Some(Self {
            postgres_folder,
            redis_server,
            postgres_account,
        }))
    }

    /// Path of one of PostgreSQL's programs.
    pub(super) fn postgres(&self, program: &str) -> String {
        self.postgres_folder.join(program).display().to_string()
    }
}

fn fail(reason: impl ToString) -> Failure {
    Failure::new("find PostgreSQL and Redis", reason.to_string(), REPEAT)
}

/// The folder with PostgreSQL's real programs: that of the PATH, or else Debian's newest version.
fn find_postgres() -> Option<PathBuf> {
    // Symbolic links are followed: PostgreSQL finds its other files beside itself.
    let in_path = find_in_path("initdb").and_then(|program| program.canonicalize().ok());
    let folder = in_path.and_then(|program| program.parent().map(Path::to_path_buf));
    folder
        .filter(|folder| has_postgres(folder))
        .or_else(|| newest_postgres(DEBIAN_POSTGRES))
}

fn newest_postgres(versions: &str) -> Option<PathBuf> {
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| has_postgres(&folder.join("bin")))
        .max_by_key(|folder| version(folder))
        .map(|folder| folder.join("bin"))
}

/// Whether the folder has the server and the program that creates clusters, as programs and not as
/// wrapper scripts: those choose a user and a cluster by rules of their own.
fn has_postgres(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| {
        let mut start = [0; 2];
        let opened = File::open(folder.join(program));
        opened
            .and_then(|mut file| file.read_exact(&mut start))
            .is_ok()
            && start != *b"#!"
    })
}

/// The user `postgres`, created when the packages did not.
fn postgres_account() -> Result<Account, Failure> {
    let known = || {
        let (user, group) = (id(&["-u", "postgres"])?, id(&["-g", "postgres"])?);
        Some(Account { user, group })
    };
    if let Some(account) = known() {
        return Ok(account);
    }
    let options = ["--system", "--user-group", "--no-create-home", "postgres"];
    let created = Command::new("useradd")
        .args(options)
        .status()
        .map_err(fail)?;
    let failed = || {
        fail(format!(
            "PostgreSQL refuses root, and useradd postgres: {created}"
        ))
    };
    known().ok_or_else(failed)
}

fn id(arguments: &[&str]) -> Option<u32> {
    output_of("id", arguments)?.parse().ok()
}
