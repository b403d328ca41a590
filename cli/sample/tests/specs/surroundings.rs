//! What the surroundings do to a process: signals, proxies, an address that is taken.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use gameserver_contract::session::CreateSession;

use crate::support::{self, Cluster, PROGRAM, fetch, free_port, guest, run};

/// Nobody listens there.
const NO_PROXY_THERE: [(&str, &str); 2] = [
    ("HTTP_PROXY", "http://127.0.0.1:9"),
    ("ALL_PROXY", "http://127.0.0.1:9"),
];

#[test]
fn a_hang_up_is_an_orderly_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a plain path");
    let arguments = [
        "dev",
        "--ephemeral",
        "--no-bots",
        "--port-http",
        "0",
        "--port-game",
        "0",
    ];
    let mut dev = PROGRAM.start(&arguments, &[("TMPDIR", path)]);
    dev.wait_for_line("Ctrl-C stops");
    dev.signal("HUP");
    assert_eq!(dev.wait_for_exit().code(), Some(0));
    assert_eq!(
        names_in(folder.path()),
        [""; 0],
        "what is temporary is removed"
    );
    let mut cluster = Cluster::start();
    cluster.api.signal("HUP");
    cluster.api.wait_for_line("stopping");
    assert_eq!(cluster.api.wait_for_exit().code(), Some(0));
}

#[test]
fn a_quit_is_a_quick_stop() {
    let mut cluster = Cluster::start();
    for process in [&mut cluster.instance, &mut cluster.api] {
        process.signal("QUIT");
        assert_eq!(process.wait_for_exit().code(), Some(0));
    }
}

/// As `nohup` starts it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_is_to_outlive_its_terminal_does() {
    let (mut dev, api) = PROGRAM.dev_under(&["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    let status = support::status(&dev);
    assert_eq!((status.sigcgt & 1, status.sigign & 1), (0, 1), "of SIGHUP");
    dev.signal("HUP");
    assert_eq!(fetch(&format!("{api}/readyz")).await.status(), 200);
    dev.signal("TERM");
    assert_eq!(dev.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn no_proxy_stands_between_the_parts_of_this_machine() {
    // Not the usual loopback address, where there is another: the one that is bound is asked.
    let host = if cfg!(target_os = "linux") {
        "127.0.0.2"
    } else {
        "127.0.0.1"
    };
    let metrics = format!("{host}:{}", free_port());
    let address = ("GAMESERVER__METRICS__ADDRESS", metrics.as_str());
    let variables = [&NO_PROXY_THERE[..], &[address]].concat();
    let arguments = ["dev", "--ephemeral", "--port-http", "0", "--port-game", "0"];
    let mut dev = PROGRAM.start(&arguments, &variables);
    let line = dev.wait_for_line("REST API");
    let mut words = line.split_whitespace();
    let api = words.find_map(|word| word.strip_suffix("/api/v1"));
    let api = api.expect("the API's address");
    let (code, _, err) = run(&["healthcheck"], &variables);
    assert_eq!(code, 0, "{err}");
    let bots = ["bots", "--players", "2", "--seconds", "1", "--api", api];
    let (code, _, err) = run(&bots, &NO_PROXY_THERE);
    assert_eq!(code, 0, "{err}");
    let ann = guest(api).await;
    support::eventually("the samples are played", || async {
        let sessions = ann.sessions("arena").await.expect("a list");
        let played = sessions.iter().filter(|session| session.players == 4);
        (played.count() == 2).then_some(())
    })
    .await;
}

#[test]
fn a_healthcheck_that_cannot_know_the_port_says_so() {
    let (code, _, err) = run(&["healthcheck"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("metrics.address has port 0"), "{err}");
}

/// Asked from the first moment on, as a script does.
#[tokio::test]
async fn whoever_is_told_that_dev_is_ready_can_open_a_session() {
    let port = free_port();
    let (api, port) = (format!("http://127.0.0.1:{port}"), port.to_string());
    let arguments = [
        "dev",
        "--ephemeral",
        "--no-bots",
        "--port-game",
        "0",
        "--port-http",
        &port,
    ];
    let _dev = PROGRAM.start(&arguments, &[]);
    let http = support::http();
    support::eventually("dev is ready", || async {
        let answer = http.get(format!("{api}/readyz")).send().await;
        answer
            .is_ok_and(|answer| answer.status() == 200)
            .then_some(())
    })
    .await;
    let arena = CreateSession {
        game: "arena".to_owned(),
        ..CreateSession::default()
    };
    let opened = guest(&api).await.create_session(&arena).await;
    assert!(opened.is_ok(), "{opened:?}");
}

#[test]
fn a_start_that_fails_leaves_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a plain path");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for option in ["--port-http", "--port-game"] {
        let other = if option == "--port-http" {
            "--port-game"
        } else {
            "--port-http"
        };
        let arguments = ["dev", "--ephemeral", option, &port, other, "0"];
        let (code, _, err) = run(&arguments, &[("TMPDIR", path)]);
        assert_ne!(code, 0, "{err}");
        assert_eq!(names_in(folder.path()), [""; 0], "{option}");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}
