//! Output that nobody reads: a reader that stops, one that comes back, one that is gone. Nothing of
//! the service waits for it.

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, pipe};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use gameserver_client_sim::lobby::LoggedIn;
use gameserver_contract::session::CreateSession;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{PATIENCE, command, fetch, guest, http, run};

/// Much of every request is logged, so that a pipe is soon full.
const MUCH: (&str, &str) = (
    "RUST_LOG",
    "info,gameserver_web_api=trace,hyper=trace,hyper_util=trace,sqlx=debug",
);
/// Requests under way at once while a pipe is filled.
const CALLERS: usize = 8;
/// Longer than an end may take whose output nobody reads: a second for each stream, and what the
/// service itself needs.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// `dev`, whose output is read as far as a test reads it.
struct Dev {
    child: Killed,
    output: BufReader<PipeReader>,
    api: String,
}

/// A process that does not outlive a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Dev {
    /// Read up to the end of the greeting.
    fn start(variables: &[(&str, &str)]) -> Self {
        let (reader, writer) = pipe().expect("a pipe");
        let errors = writer.try_clone().expect("the pipe again");
        let child = spawn_dev(variables, writer, errors);
        let mut dev = Self {
            child,
            output: BufReader::new(reader),
            api: String::new(),
        };
        let line = dev.read_to("REST API");
        let mut words = line.split_whitespace();
        let url = words.find_map(|word| word.strip_suffix("/api/v1"));
        url.expect("the API's address").clone_into(&mut dev.api);
        dev.read_to("Ctrl-C stops");
        dev
    }

    /// The next line that contains this text.
    fn read_to(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("text");
            assert!(read > 0, "the output ended before {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Makes the service log until lines are dropped.
    async fn log_until_lines_are_dropped(&self) {
        let deadline = Instant::now() + 3 * PATIENCE;
        while self.dropped("stdout").await == 0 {
            assert!(Instant::now() < deadline, "no line is ever dropped");
            let calls = (0..CALLERS).map(|_| tokio::spawn(call_often(self.api.clone())));
            for call in calls.collect::<Vec<_>>() {
                call.await.expect("the service answers");
            }
        }
    }

    async fn dropped(&self, stream: &str) -> u64 {
        let metrics = fetch(&format!("{}/metrics", self.api)).await;
        let metrics = metrics.text().await.expect("text");
        let name = format!("gs_output_lines_dropped_total{{stream=\"{stream}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse().ok()).expect("a count")
    }

    fn stop(mut self) -> ExitStatus {
        send(self.child.0.id(), Signal::TERM);
        wait(&mut self.child.0)
    }
}

async fn call_often(api: String) {
    let http = http();
    for _ in 0..200 {
        let answer = http.get(format!("{api}/api/v1/me")).send().await;
        answer.expect("an answer");
    }
}

fn spawn_dev(variables: &[(&str, &str)], out: PipeWriter, err: PipeWriter) -> Killed {
    let arguments = ["dev", "--ephemeral", "--no-bots"];
    let ports = ["--port-http", "0", "--port-game", "0"];
    let child = command(&[&arguments[..], &ports].concat(), variables)
        .stdout(out)
        .stderr(err)
        .spawn();
    Killed(child.expect("the binary runs"))
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), signal).expect("it runs");
}

/// Waits for the child, whose output nobody reads meanwhile.
fn wait(child: &mut Child) -> ExitStatus {
    let (tell, ended) = sync_channel(1);
    let pid = child.id();
    std::thread::scope(|scope| {
        scope.spawn(|| tell.send(child.wait()));
        let status = ended.recv_timeout(END_PATIENCE);
        if status.is_err() {
            send(pid, Signal::KILL);
        }
        let status = status.expect("it ends though nobody reads");
        status.expect("a child")
    })
}

async fn session_is_opened(ann: &LoggedIn) {
    let arena = CreateSession {
        game: "arena".to_owned(),
        ..CreateSession::default()
    };
    ann.create_session(&arena).await.expect("a session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_stops_nothing() {
    let dev = Dev::start(&[MUCH]);
    dev.log_until_lines_are_dropped().await;
    assert_eq!(fetch(&format!("{}/livez", dev.api)).await.status(), 200);
    session_is_opened(&guest(&dev.api).await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let report = report.to_str().expect("a plain path").to_owned();
    let arguments = [
        "bots",
        "--players",
        "2",
        "--seconds",
        "4",
        "--api",
        &dev.api,
    ];
    let (code, _, err) = run(&[&arguments[..], &["--report", &report]].concat(), &[]);
    assert_eq!(code, 0, "{err}");
    let report = std::fs::read(report).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["disconnects"], 0, "{report}");
    let rate = report["snapshots_per_s"].as_f64();
    assert!(rate.is_some_and(|rate| rate > 10.0), "{report}");
    assert_eq!(dev.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_is_told_how_much_it_missed() {
    let mut dev = Dev::start(&[MUCH]);
    dev.log_until_lines_are_dropped().await;
    let line = dev.read_to("lines were dropped");
    let line: Value = serde_json::from_str(&line).expect("a JSON line");
    assert!(line["lines"].as_u64() > Some(0), "{line}");
    assert_eq!(line["stream"], "stdout");
    // Whoever reads on gets the rest.
    let Dev {
        mut child, output, ..
    } = dev;
    let reading = std::thread::spawn(move || output.lines().map_while(Result::ok).last());
    send(child.0.id(), Signal::TERM);
    assert_eq!(wait(&mut child.0).code(), Some(0));
    assert!(reading.join().expect("no panic").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_ends_nothing() {
    let Dev {
        mut child,
        output,
        api,
    } = Dev::start(&[MUCH]);
    drop(output);
    session_is_opened(&guest(&api).await).await;
    send(child.0.id(), Signal::TERM);
    assert_eq!(wait(&mut child.0).code(), Some(0));
}

/// Both ends of a pipe that takes not one byte more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe that does not wait");
    let filled = loop {
        if let Err(error) = rustix::io::write(&writer, b"-") {
            break error;
        }
    };
    assert_eq!(filled, Errno::AGAIN);
    rustix::io::ioctl_fionbio(&writer, false).expect("a pipe that waits");
    (reader, writer)
}

#[test]
fn a_failure_that_nobody_reads_ends_with_its_exit_code() {
    let (_unread, full) = full_pipe();
    let mut child = command(&["api"], &[("GAMESERVER__HTTP__ADRESS", "x")])
        .stdout(Stdio::null())
        .stderr(full)
        .spawn()
        .expect("the binary runs");
    assert_eq!(wait(&mut child).code(), Some(2));
}

#[test]
fn a_command_whose_reader_is_gone_has_done_its_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("db.sqlite").display());
    for arguments in [
        &["config", "print"][..],
        &["migrate", "status"],
        &["--help"],
    ] {
        let [out, err] = [pipe(), pipe()].map(|made| {
            let (reader, writer) = made.expect("a pipe");
            drop(reader);
            writer
        });
        let mut child = command(arguments, &[("DATABASE_URL", url.as_str())])
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("the binary runs");
        assert_eq!(wait(&mut child).code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn text_logs_that_no_terminal_shows_have_no_colours() {
    let mut dev = Dev::start(&[("GAMESERVER__LOG__FORMAT", "text")]);
    send(dev.child.0.id(), Signal::TERM);
    let reading = std::thread::spawn(move || {
        let lines = dev.output.lines().map_while(Result::ok);
        (lines.collect::<Vec<_>>(), dev.child.0.wait())
    });
    let (lines, status) = reading.join().expect("no panic");
    assert_eq!(status.expect("a child").code(), Some(0));
    assert!(
        lines.iter().any(|line| line.contains("draining")),
        "{lines:?}"
    );
    let coloured = lines.iter().find(|line| line.contains('\u{1b}'));
    assert_eq!(coloured, None);
}
