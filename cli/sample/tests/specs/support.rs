//! The program that these specs run, and what several of them do with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gameserver_client_sim::lobby::{Lobby, LoggedIn};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use gameserver_tests::program::{PATIENCE, Process, Program};

/// The program with the sample games.
pub(crate) const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_gameserver"));
pub(crate) const CONTROL_SECRET: &str = "a-control-secret-for-tests";

/// The program with these arguments, every port a free one and no setting from outside.
pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    PROGRAM.command(arguments, variables)
}

/// Runs a command of the program to its end: (exit code, stdout, stderr).
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    PROGRAM.run(arguments, variables)
}

/// The threads of a process: name, `nice` and scheduling policy of each, as the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn threads(process: &Process) -> Vec<(String, i64, Option<u32>)> {
    let id = i32::try_from(process.id()).expect("an id");
    let tasks = procfs::process::Process::new(id).and_then(|process| process.tasks());
    tasks
        .expect("a running process")
        .filter_map(|task| task.and_then(|task| task.stat()).ok())
        .map(|stat| (stat.comm, stat.nice, stat.policy))
        .collect()
}

/// What the system reports of a process.
#[cfg(target_os = "linux")]
pub(crate) fn status(process: &Process) -> procfs::process::Status {
    let id = i32::try_from(process.id()).expect("an id");
    let status = procfs::process::Process::new(id).and_then(|process| process.status());
    status.expect("a running process")
}

/// A client that no proxy of the surroundings stands before.
pub(crate) fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("an HTTP client")
}

/// What an address answers.
pub(crate) async fn fetch(url: &str) -> reqwest::Response {
    http().get(url).send().await.expect("an answer")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// `gameserver api` and `gameserver instance` as two processes on one SQLite file.
pub(crate) struct Cluster {
    pub(crate) api: Process,
    pub(crate) instance: Process,
    pub(crate) url: String,
    registry: String,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these settings of the instance.
    pub(crate) fn start_with(instance: &[(&str, &str)]) -> Self {
        let secret = ("GAMESERVER__CONTROL__SECRET", CONTROL_SECRET);
        let mut api = PROGRAM.start(&["api"], &[secret, ("DATABASE_URL", "sqlite:api.sqlite")]);
        let line = api.wait_for_line("web-api is ready");
        let log: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
        let address = |field: &str| format!("http://{}", log[field].as_str().expect("an address"));
        let (url, registry) = (address("http"), address("control"));
        let instance = registered_instance(&registry, instance);
        Self {
            api,
            instance,
            url,
            registry,
        }
    }

    /// In place of the one that was there.
    pub(crate) fn start_another_instance(&mut self, variables: &[(&str, &str)]) {
        self.instance = registered_instance(&self.registry, variables);
    }
}

/// `gameserver instance` that this registry knows.
pub(crate) fn registered_instance(registry: &str, variables: &[(&str, &str)]) -> Process {
    let common = [
        ("GAMESERVER__CONTROL__SECRET", CONTROL_SECRET),
        ("GAMESERVER__INSTANCE__REGISTRY_URL", registry),
    ];
    let mut instance = PROGRAM.start(&["instance"], &[&common[..], variables].concat());
    instance.wait_for_line("registered with web-api");
    instance
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// A new guest of this API.
pub(crate) async fn guest(api: &str) -> LoggedIn {
    let lobby = Lobby::new(api).expect("an HTTP client");
    lobby.log_in_as_guest().await.expect("a guest login")
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The turn of the specs that need most of the machine: crowds and browsers do not run side by
/// side, or each finds the other one's work in its figures.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    // On a thread of its own, because specs with and without a runtime wait here.
    let taken = std::thread::spawn(|| TURN.blocking_lock()).join();
    taken.expect("waiting does not panic")
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
