//! A private, throw-away PostgreSQL and Redis for the tests.
//!
//! They listen on 127.0.0.1 on free ports, keep their data in a temporary folder and vanish with
//! this process however it ends; see [`supervised`].

mod install;
mod postgres;
mod redis;
mod supervised;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;
use std::{env, io};

pub(crate) use install::Installation;
use supervised::Supervised;

use crate::failure::Failure;
use crate::packages::Packages;
use crate::step::Runner;

const REPEAT: &str = "cargo xtask servers";
/// A free port can be taken by someone else before the server binds it.
const START_ATTEMPTS_MAX: u32 = 5;

/// Both servers, running. Dropping it stops them and removes their data.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: Supervised,
    redis: Supervised,
}

impl Servers {
    /// Starts both and waits until they answer.
    pub(crate) fn start(runner: &Runner<'_>, installation: &Installation) -> Result<Self, Failure> {
        let started = Instant::now();
        let postgres = start_on_a_free_port("start PostgreSQL", |port| {
            postgres::start(installation, port, &runner.interrupts)
        })?;
        let redis = start_on_a_free_port("start Redis", |port| {
            redis::start(installation, port, &runner.interrupts)
        })?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "PostgreSQL on port {}, Redis on port {}: {seconds:.1} s",
            postgres.port, redis.port
        );
        Ok(Self { postgres, redis })
    }

    /// How the tests find them; with these set, a test that needs a server must not skip itself.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let [database, cache] = self.urls();
        vec![
            ("GAMESERVER_TEST_DATABASE_URL", database),
            ("GAMESERVER_TEST_REDIS_URL", cache),
            ("GAMESERVER_TEST_REQUIRE_SERVERS", "1".to_owned()),
        ]
    }

    fn urls(&self) -> [String; 2] {
        [
            format!(
                "postgres://postgres@127.0.0.1:{}/postgres",
                self.postgres.port
            ),
            format!("redis://127.0.0.1:{}/0", self.redis.port),
        ]
    }
}

/// `cargo xtask servers`: for running single tests by hand.
pub(crate) fn run_until_interrupted(runner: &Runner<'_>) -> Result<(), Failure> {
    let installation = Installation::find_or_install(&Packages::new(runner))?;
    let servers = Servers::start(runner, &installation)?;
    let [database, cache] = servers.urls();
    println!("export GAMESERVER_TEST_DATABASE_URL={database}");
    println!("export GAMESERVER_TEST_REDIS_URL={cache}");
    println!("Ctrl-C stops them and removes their data");
    runner.interrupts.wait();
    Ok(())
}

fn start_on_a_free_port(
    step: &str,
    start: impl Fn(u16) -> io::Result<Supervised>,
) -> Result<Supervised, Failure> {
    let mut last = io::Error::other("no free port");
    for _ in 0..START_ATTEMPTS_MAX {
        match free_port().and_then(&start) {
            Ok(server) => return Ok(server),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(Failure::new(step, error, REPEAT)),
        }
    }
    Err(Failure::new(step, last, REPEAT))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A new folder for one server's data.
fn data_folder(server: &str, port: u16) -> io::Result<std::path::PathBuf> {
    let name = format!("gameserver-test-{server}-{}-{port}", std::process::id());
    let folder = env::temp_dir().join(name);
    std::fs::create_dir(&folder)?;
    Ok(folder)
}
