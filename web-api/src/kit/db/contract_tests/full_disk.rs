//! What is said of a PostgreSQL whose disk is full. It is a server of this test's own, because one
//! that cannot write makes its checkpoints fail, and with them the work of everybody else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::kit::db::DbError;
use crate::kit::fault::Fault;
use crate::test_servers;
use crate::tests::subject::{Stores, at, new_guest};

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// The user whom the tests' own PostgreSQL runs as, and its programs.
#[derive(Debug)]
struct Installation {
    programs: PathBuf,
    owner: (u32, u32),
}

impl Installation {
    async fn of_server(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let sql = "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), \
                   current_setting('data_directory')";
        let (programs, data): (String, String) = sqlx::query_as(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let data = fs::metadata(data).unwrap();
        Self {
            programs: programs.into(),
            owner: (data.uid(), data.gid()),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let (user, group) = self.owner;
        command.uid(user).gid(group).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Makes a folder that the server may use.
    fn folder(&self, path: &Path) {
        fs::create_dir_all(path).unwrap();
        chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// A server whose tablespace `small` is on the small disk.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    async fn start(installation: &Installation, folder: &Path) -> Self {
        installation.folder(folder);
        let created = installation
            .command("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--pgdata",
            ])
            .arg(folder)
            .status();
        assert!(created.unwrap().success(), "initdb failed");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = installation
            .command("postgres")
            .arg("-D")
            .arg(folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "unix_socket_directories=", "-c"])
            .arg(format!("port={port}"))
            .spawn()
            .unwrap();
        let url = format!("postgres://postgres@127.0.0.1:{port}");
        let server = Self { process, url };
        let deadline = Instant::now() + START_DEADLINE;
        while PgConnection::connect(&server.database("postgres"))
            .await
            .is_err()
        {
            assert!(Instant::now() < deadline, "PostgreSQL does not start");
            tokio::task::yield_now().await;
        }
        server
    }

    fn database(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    async fn run(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.database("postgres"))
            .await
            .unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole family ends with its parent.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file system of 32 MiB, mounted for one test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where this user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m,mode=755", "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        println!("did not run: this user may not mount a file system");
        None
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let zeros = vec![0; 64 * 1024];
        let mut filler = fs::File::create(self.filler()).unwrap();
        while std::io::Write::write_all(&mut filler, &zeros).is_ok() {}
    }

    fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn fault<T>(outcome: Result<T, DbError>) -> Option<Fault> {
    outcome.err().map(|error| error.fault().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_until_there_is_room_again() {
    let Some(shared) = test_servers::url("GAMESERVER_TEST_DATABASE_URL") else {
        return;
    };
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let installation = Installation::of_server(&shared).await;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(&installation, &folder.path().join("cluster")).await;
    let space = disk.0.path().join("space");
    installation.folder(&space);
    let small = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    server.run(small).await;
    server
        .run("CREATE DATABASE game TABLESPACE small".to_owned())
        .await;
    let store = Stores::connect(&server.database("game"), 2).await.unwrap();
    store.migrate().await.unwrap();
    store.check_write(at(0)).await.unwrap();
    disk.fill();
    // What fits into pages that are there is still written.
    let mut found = None;
    for _ in 0..2_000 {
        found = fault(store.accounts.create_guest(new_guest(), None).await);
        if found.is_some() {
            break;
        }
    }
    assert_eq!(found, Some(Fault::Full));
    assert_eq!(fault(store.check_write(at(0)).await), Some(Fault::Full));
    disk.clear();
    store.check_write(at(0)).await.unwrap();
    store.close().await;
}
