//! Runs the real binary as a user would and reads what it prints.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use gameserver_client_sim::lobby::{Lobby, LoggedIn};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Longest wait for anything that a process prints or does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Lines that wait to be read; what is printed beyond is dropped by the process.
const LINES_MAX: usize = 10_000;
const DEV: [&str; 6] = ["dev", "--ephemeral", "--port-http", "0", "--port-game", "0"];
pub(crate) const CONTROL_SECRET: &str = "a-control-secret-for-tests";

/// The variables of all ports.
const ADDRESSES: [&str; 5] = [
    "GAMESERVER__HTTP__ADDRESS",
    "GAMESERVER__CONTROL__ADDRESS",
    "GAMESERVER__GAME__ADDRESS",
    "GAMESERVER__METRICS__ADDRESS",
    "GAMESERVER__INSTANCE__CONTROL_ADDRESS",
];

/// A running `gameserver`, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Its working folder, removed at the end.
    _folder: TempDir,
}

impl Process {
    /// Starts the binary in an empty folder, all ports free ones.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(command(arguments, variables))
    }

    fn spawn(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = command
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (tell, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| tell.send(line).is_ok()) {}
        });
        Self {
            child,
            lines,
            _folder: folder,
        }
    }

    /// The same with the ports that its settings file names.
    pub(crate) fn start_without_ports(arguments: &[&str]) -> Self {
        let mut command = command(arguments, &[]);
        for name in ADDRESSES {
            command.env_remove(name);
        }
        Self::spawn(command)
    }

    /// `gameserver dev --ephemeral` and what else, ready.
    pub(crate) fn dev(arguments: &[&str]) -> (Self, String) {
        Self::start(&[&DEV[..], arguments].concat(), &[]).greeted()
    }

    /// The same without samples, begun by another program: its words come before the binary's.
    pub(crate) fn dev_under(starter: &[&str]) -> (Self, String) {
        let own = command(&[&DEV[..], &["--no-bots"]].concat(), &[]);
        let mut all = Command::new(starter[0]);
        all.args(&starter[1..])
            .arg(own.get_program())
            .args(own.get_args());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => all.env(name, value),
                None => all.env_remove(name),
            };
        }
        Self::spawn(all).greeted()
    }

    /// Waits for the greeting of `dev`, and takes the API's address from it.
    fn greeted(self) -> (Self, String) {
        let mut process = self;
        let line = process.wait_for_line("REST API");
        let base = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let api = base
            .and_then(|url| url.strip_suffix("/api/v1"))
            .expect("the API's address");
        (process, api.to_owned())
    }

    /// The first line from now on that contains this text.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            assert!(line.is_ok(), "no line with {text:?} was printed");
            let line = line.unwrap_or_default();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// All lines up to the first that contains this text.
    pub(crate) fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.wait_for_line("");
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its threads: name, `nice` and scheduling policy of each, as the system tells.
    #[cfg(target_os = "linux")]
    pub(crate) fn threads(&self) -> Vec<(String, i64, Option<u32>)> {
        let id = i32::try_from(self.child.id()).expect("an id");
        let tasks = procfs::process::Process::new(id).and_then(|process| process.tasks());
        tasks
            .expect("a running process")
            .filter_map(|task| task.and_then(|task| task.stat()).ok())
            .map(|stat| (stat.comm, stat.nice, stat.policy))
            .collect()
    }

    /// What the system says of it.
    #[cfg(target_os = "linux")]
    pub(crate) fn status(&self) -> procfs::process::Status {
        let id = i32::try_from(self.child.id()).expect("an id");
        let status = procfs::process::Process::new(id).and_then(|process| process.status());
        status.expect("a running process")
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process did not end");
            // The output is read on, so that the process never waits for us.
            let _ = self.lines.recv_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with these arguments, every port a free one and no setting from outside.
pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gameserver"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GAMESERVER")) {
        command.env_remove(name);
    }
    for name in ADDRESSES {
        command.env(name, "127.0.0.1:0");
    }
    // Nor what else the surroundings may hold.
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "NO_COLOR",
    ] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        // Specs share the machine with compilers, and what these use counts for nobody's matches.
        .env("GAMESERVER__INSTANCE__BUDGET_MAX_PERCENT", "0")
        .env("GAMESERVER__LOG__FORMAT", "json")
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .env_remove("PORT")
        .env_remove("RUST_LOG")
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
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

/// Runs a command of the binary to its end: (exit code, stdout, stderr).
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut child = command(arguments, variables)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let (mut out, mut err) = (String::new(), String::new());
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut out)
        .expect("text");
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut err)
        .expect("text");
    let status = child.wait().expect("a child");
    (status.code().unwrap_or(-1), out, err)
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
        let mut api = Process::start(&["api"], &[secret, ("DATABASE_URL", "sqlite:api.sqlite")]);
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
    let mut instance = Process::start(&["instance"], &[&common[..], variables].concat());
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
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
