//! Settings as an operator gets them wrong: what is refused before anything starts, and in which
//! words; where ports and players' addresses come from.

use std::fs;

use crate::support::{self, Cluster, PROGRAM, guest, run};
use gameserver_contract::session::{CreateSession, JoinSession};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

fn arena() -> CreateSession {
    CreateSession {
        game: "arena".to_owned(),
        ..CreateSession::default()
    }
}

#[test]
fn an_instance_that_sends_players_to_its_own_machine_warns_when_it_is_open_to_all() {
    let open = ("GAMESERVER__GAME__ADDRESS", "0.0.0.0:0");
    let mut instance = PROGRAM.start(&["instance"], &[open]);
    let line = instance.wait_for_line("set game.public_host");
    assert!(line.contains("\"level\":\"WARN\""), "{line}");
    let host = ("GAMESERVER__GAME__PUBLIC_HOST", "play.example.com");
    let mut named = PROGRAM.start(&["instance"], &[open, host]);
    let lines = named.lines_until("instance is ready");
    assert!(
        !lines.iter().any(|line| line.contains("public_host")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn players_are_sent_to_the_public_address_of_each_transport() {
    let cluster = Cluster::start_with(&[
        ("GAMESERVER__GAME__PUBLIC_HOST", "play.example.com"),
        ("GAMESERVER__GAME__PUBLIC_PORT", "7000"),
        ("GAMESERVER__GAME__PUBLIC_WEBSOCKET_PORT", "443"),
        ("GAMESERVER__GAME__PUBLIC_WEBSOCKET_PATH", "/eu1"),
        ("GAMESERVER__GAME__WEBSOCKET_TLS", "by_proxy"),
    ]);
    let ann = guest(&cluster.url).await;
    let session = ann.create_session(&arena()).await.expect("a session");
    let joined = ann.join(session.id, &JoinSession::default()).await;
    let offers = joined.expect("a seat").transports;
    let urls: Vec<_> = offers.iter().map(|offer| offer.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "quic://play.example.com:7000",
            "https://play.example.com:7000",
            "wss://play.example.com:443/eu1"
        ]
    );
}

#[test]
fn an_address_for_players_that_is_none_is_refused_at_the_start() {
    for host in ["play.example.com:7777", "http://play.example.com"] {
        let host = ("GAMESERVER__GAME__PUBLIC_HOST", host);
        for command in [
            &["instance"][..],
            &["dev", "--ephemeral"],
            &["config", "check"],
        ] {
            let (code, _, err) = run(command, &[host]);
            assert_eq!(code, 2, "{err}");
            assert!(
                err.contains("game.public_host is") && err.contains("alone"),
                "{err}"
            );
        }
    }
}

#[test]
fn a_number_out_of_its_range_is_refused_by_the_check_and_by_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.toml");
    fs::write(
        &file,
        "[instance]\nworkers = 100000\n\n[database]\nconnections_max = 0\n",
    )
    .expect("a file");
    let file = file.to_str().expect("a plain path");
    for command in [&["config", "check"][..], &["api"], &["instance"], &["dev"]] {
        let (code, out, err) = run(&[command, &["--config", file]].concat(), &[]);
        assert_eq!(code, 2, "{out}{err}");
        for told in [
            format!("database.connections_max is 0 ({file}, line 5)"),
            "a whole number from 1 to 1000".to_owned(),
            format!("instance.workers is 100000 ({file}, line 2)"),
        ] {
            assert_eq!(err.matches(&told).count(), 1, "{told}: {err}");
        }
    }
}

#[test]
fn a_mode_that_does_not_exist_is_refused_in_plain_words() {
    let (code, _, err) = run(&["config", "check"], &[("GAMESERVER__MODE", "prod")]);
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "gameserver: mode is \"prod\" (variable GAMESERVER__MODE): it must be development or \
         production\n"
    );
}

#[test]
fn a_region_that_looks_like_a_number_stays_as_it_is() {
    let (code, out, err) = run(
        &["config", "print"],
        &[("GAMESERVER__INSTANCE__REGION", "01")],
    );
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("instance.region = \"01\""), "{out}");
}

#[test]
fn a_port_that_is_taken_is_told_with_its_setting_its_purpose_and_its_holder() {
    let (dev, api) = PROGRAM.dev(&["--no-bots"]);
    let port = api.rsplit(':').next().expect("a port");
    let arguments = ["dev", "--ephemeral", "--port-http", port];
    let (code, _, err) = run(&arguments, &[]);
    assert_eq!(code, 1, "{err}");
    for told in [
        format!("failed to open 127.0.0.1:{port} for the REST API"),
        format!("in use by gameserver (process {})", dev.id()),
        "set http.address".to_owned(),
        "--port-offset".to_owned(),
    ] {
        assert!(err.contains(&told), "{told} is missing in {err}");
    }
    for (setting, purpose) in [
        ("METRICS", "metrics and health"),
        ("CONTROL", "instances that call web-api"),
        ("GAME", "players"),
    ] {
        let name = format!("GAMESERVER__{setting}__ADDRESS");
        let address = format!("127.0.0.1:{port}");
        let variable = (name.as_str(), address.as_str());
        let (code, _, err) = run(&["dev", "--ephemeral"], &[variable]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(purpose), "{err}");
        let told = format!("set {}.address", setting.to_lowercase());
        assert!(err.contains(&told), "{err}");
    }
}

#[test]
fn one_flag_moves_all_ports_of_dev() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.toml");
    let base: Vec<_> = (0..5).map(|_| support::free_address().port()).collect();
    let lowest = 100;
    let at = |index: usize| format!("\"127.0.0.1:{}\"", base[index] - lowest);
    let text = format!(
        "http.address = {}\ngame.address = {}\ncontrol.address = {}\n\
         instance.control_address = {}\nmetrics.address = {}\n",
        at(0),
        at(1),
        at(2),
        at(3),
        at(4)
    );
    fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("a plain path");
    let arguments = [
        "--port-offset",
        "100",
        "--no-bots",
        "--ephemeral",
        "--config",
        file,
    ];
    let mut dev = PROGRAM.start_without_ports(&arguments);
    let lines = dev.lines_until("Ctrl-C stops");
    let greeting = lines.join("\n");
    for index in [0, 1, 4] {
        let address = format!("127.0.0.1:{}", base[index]);
        assert!(greeting.contains(&address), "{address}: {greeting}");
    }
    for port in &base {
        let is_open = std::net::TcpStream::connect(("127.0.0.1", *port));
        assert!(is_open.is_ok(), "{port} is not open");
    }
}

#[test]
fn options_of_dev_need_no_command() {
    let (code, out, _) = run(&["--help"], &[]);
    assert_eq!(code, 0);
    for told in ["bots, load,", "--port-http", "--port-offset"] {
        assert!(out.contains(told), "{told} is missing in {out}");
    }
    let mut dev = PROGRAM.start(&["--port-http", "0", "--no-bots", "--ephemeral"], &[]);
    dev.wait_for_line("GameServer is ready");
    let (code, _, err) = run(&["--port-http", "1", "migrate", "status"], &[]);
    assert_eq!(code, 2);
    assert!(err.contains("behind `dev`"), "{err}");
}

#[test]
fn a_command_that_needs_a_database_says_which_in_development() {
    for command in [&["migrate", "status"][..], &["api"]] {
        let (code, _, err) = run(command, &[]);
        assert_eq!(code, 2);
        assert!(!err.contains("production"), "{err}");
        assert!(err.contains("set database.url or DATABASE_URL"), "{err}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_told_with_its_place_and_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("database");
    fs::create_dir(&file).expect("a folder");
    let closed = support::free_address().port();
    for (url, expected, told) in [
        (
            format!("sqlite:{}", file.display()),
            1,
            [file.display().to_string(), "unable to open".to_owned()],
        ),
        (
            format!("postgres://u:planted-canary@127.0.0.1:{closed}/db"),
            1,
            [
                format!("127.0.0.1, port {closed}"),
                "nobody listens there".to_owned(),
            ],
        ),
        (
            "postgres://u:planted-canary/2@127.0.0.1/db".to_owned(),
            2,
            ["its password is cut off".to_owned(), "/ is %2F".to_owned()],
        ),
        (
            "postgres://u:planted-canary@nowhere.invalid/db".to_owned(),
            1,
            [
                "nowhere.invalid, port 5432".to_owned(),
                "cannot be resolved".to_owned(),
            ],
        ),
    ] {
        let url = ("DATABASE_URL", url.as_str());
        let (code, _, err) = run(&["migrate", "status"], &[url]);
        assert_eq!(code, expected, "{err}");
        for part in told {
            assert!(err.contains(&part), "{part} is missing in {err}");
        }
        assert!(!err.contains("canary"), "{err}");
    }
}

/// What production demands besides the database.
const PRODUCTION: [(&str, &str); 6] = [
    ("GAMESERVER__MODE", "production"),
    ("GAMESERVER__CONTROL__SECRET", support::CONTROL_SECRET),
    (
        "GAMESERVER__KEYS__ACCESS_TOKEN",
        "ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs",
    ),
    (
        "GAMESERVER__KEYS__TICKET",
        "PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0",
    ),
    (
        "GAMESERVER__KEYS__REFRESH",
        "Ln0sA6lQeuJl7PW1NWiFpTOTogKdJBOUmXJloaJa78Y",
    ),
    (
        "GAMESERVER__KEYS__CURSOR",
        "GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ",
    ),
];

#[tokio::test]
async fn a_database_of_a_later_build_is_refused_with_both_versions() {
    const LATER: &str = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) \
        SELECT 99, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("db.sqlite").display());
    let database = ("DATABASE_URL", url.as_str());
    let (code, _, err) = run(&["migrate", "up"], &[database]);
    assert_eq!(code, 0, "{err}");
    let production = [&PRODUCTION[..], &[database]].concat();
    let (code, _, err) = run(&["config", "check"], &production);
    assert_eq!(code, 0, "{err}");
    let mut connection = SqliteConnection::connect(&url).await.expect("a database");
    connection.execute(LATER).await.expect("a row");
    connection.close().await.expect("the end");
    for (command, variables) in [
        (&["api"][..], &production[..]),
        (&["api"], &[database]),
        (&["migrate", "up"], &[database]),
        (&["migrate", "status"], &production[..]),
    ] {
        let (code, _, err) = run(command, variables);
        assert_eq!(code, 1, "{command:?}: {err}");
        assert!(
            err.contains("its newest migration is 99, and this build knows up to "),
            "{command:?}: {err}"
        );
    }
}
