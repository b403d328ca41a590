//! The services as processes of their own: refusals at the start, loss of an instance, metrics,
//! migrations, settings.

use std::fs;
use std::path::Path;

use crate::support::{self, Cluster, PROGRAM, guest, run};
use gameserver_client_sim::lobby::LobbyError;
use gameserver_contract::session::{CreateSession, JoinSession, SessionState};
use gameserver_server::simulation::TickPart;

fn arena() -> CreateSession {
    CreateSession {
        game: "arena".to_owned(),
        ..CreateSession::default()
    }
}

#[tokio::test]
async fn rest_stays_up_and_says_so_when_an_instance_is_killed() {
    let cluster = Cluster::start();
    let ann = guest(&cluster.url).await;
    let session = ann.create_session(&arena()).await.expect("a session");
    ann.join(session.id, &JoinSession::default())
        .await
        .expect("a seat");
    cluster.instance.signal("KILL");
    let refusal = support::eventually("joins are refused", || async {
        match ann.join(session.id, &JoinSession::default()).await {
            Err(LobbyError::Refused(refusal)) => Some(refusal.problem.code),
            Ok(_) => None,
            Err(other) => panic!("REST does not stay up: {other}"),
        }
    })
    .await;
    assert_eq!(refusal, "session.instance_lost");
    support::eventually("the session fails", || async {
        let session = ann.session(session.id).await.expect("REST stays up");
        (session.state == SessionState::Failed).then_some(())
    })
    .await;
    match ann.create_session(&arena()).await {
        Err(LobbyError::Refused(refusal)) => assert_eq!(refusal.problem.code, "fleet.no_capacity"),
        other => panic!("a session without an instance: {other:?}"),
    }
}

#[tokio::test]
async fn the_metrics_of_the_contract_are_scraped() {
    let (_dev, api) = PROGRAM.dev(&[]);
    let ann = guest(&api).await;
    support::eventually("matches run", || async {
        let sessions = ann.sessions("arena").await.expect("a list");
        let running = |state| state == SessionState::Running;
        (sessions
            .iter()
            .filter(|session| running(session.state))
            .count()
            == 2)
            .then_some(())
    })
    .await;
    let scraped = support::fetch(&format!("{api}/metrics")).await;
    let text = scraped.text().await.expect("text");
    for name in [
        "gs_tick_seconds_bucket{game=\"arena\",le=",
        "gs_tick_overruns_total",
        "gs_matches{state=\"running\"} 2",
        "gs_connections{protocol=\"native\",role=\"player\",transport=\"quic\"} 8",
        "gs_entities ",
        "gs_tasks ",
        "gs_net_bytes_total{direction=\"in\"}",
        "gs_net_bytes_total{direction=\"out\"}",
        "gs_http_request_seconds_bucket{",
        "gs_system_errors_total 0",
        "gs_match_panics_total 0",
    ] {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
    let players = text
        .lines()
        .filter(|line| line.contains("player_id"))
        .count();
    assert_eq!(players, 0, "no label names a player");
    assert_parts_make_up_the_ticks(&text);
}

/// The page is written while matches run: a tick may be in one number and not yet in another.
fn assert_parts_make_up_the_ticks(text: &str) {
    let value = |name: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        let value = line.and_then(|value| value.trim().parse().ok());
        assert!(value.is_some(), "{name} is missing in:\n{text}");
        value.unwrap_or(f64::NAN)
    };
    let whole = |kind| value(format!("gs_tick_seconds_{kind}{{game=\"arena\"}}"));
    let ticks = whole("count");
    let mut sum = 0.0;
    for part in TickPart::ALL {
        let part = part.name();
        let value = |kind| value(format!("gs_tick_part_seconds_{kind}{{part=\"{part}\"}}"));
        assert!((value("count") - ticks).abs() <= 2.0, "{part} of {ticks}");
        sum += value("sum");
    }
    let share = sum / whole("sum");
    assert!((0.9..1.01).contains(&share), "{share} of the ticks' time");
}

/// Waiting threads of the network and of SQLite that went first would interrupt ticks.
#[cfg(target_os = "linux")]
#[test]
fn only_the_threads_that_step_matches_do_not_give_way() {
    // Relative to the tests' own, which may have been started with a `nice` value.
    let own = procfs::process::Process::myself().and_then(|process| process.stat());
    let own = own.expect("a running process");
    let normal = (own.nice, own.policy);
    let batch = ((own.nice + 10).min(19), Some(3));
    let (dev, _) = PROGRAM.dev(&["--no-bots"]);
    let threads = support::threads(&dev);
    for start in [
        "match-worker-",
        "match-logs",
        "tokio-rt-worker",
        "sqlx-sqlite-wor",
    ] {
        let found = threads.iter().any(|(name, ..)| name.starts_with(start));
        assert!(found, "no {start} among {threads:?}");
    }
    for (name, nice, policy) in threads {
        // The main thread only waits.
        let goes_first = name.starts_with("match-worker-") || name.starts_with("gameserver");
        let expected = if goes_first { normal } else { batch };
        assert_eq!((nice, policy), expected, "{name}");
    }
}

#[tokio::test]
async fn an_instance_that_is_asked_to_stop_ends_with_0() {
    let mut cluster = Cluster::start();
    cluster.instance.signal("TERM");
    assert_eq!(cluster.instance.wait_for_exit().code(), Some(0));
    cluster.api.signal("TERM");
    assert_eq!(cluster.api.wait_for_exit().code(), Some(0));
}

/// Another certificate in the place of the one that is there.
fn put_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(folder.join("chain.pem"), made.cert.pem()).expect("a file");
}

#[test]
fn an_instance_reads_its_certificate_again_on_sighup_and_keeps_the_old_one_if_it_must() {
    let folder = tempfile::tempdir().expect("a folder");
    put_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let variables = [
        ("GAMESERVER__GAME__CERTIFICATE_CHAIN", path("chain.pem")),
        ("GAMESERVER__GAME__CERTIFICATE_KEY", path("key.pem")),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut instance = PROGRAM.start(&["instance"], &variables);
    instance.wait_for_line("instance is ready");
    put_certificate(folder.path());
    instance.signal("HUP");
    instance.wait_for_line("another certificate is served");
    fs::write(path("chain.pem"), "nothing").expect("a file");
    instance.signal("HUP");
    instance.wait_for_line("the certificate was not replaced");
    instance.signal("TERM");
    assert_eq!(instance.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn an_expired_certificate_is_told_and_its_end_is_a_metric() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("key.pem"), key.serialize_pem()).expect("a file");
    fs::write(path("chain.pem"), made.pem()).expect("a file");
    let metrics = support::free_address();
    let variables = [
        ("GAMESERVER__GAME__CERTIFICATE_CHAIN", path("chain.pem")),
        ("GAMESERVER__GAME__CERTIFICATE_KEY", path("key.pem")),
        ("GAMESERVER__METRICS__ADDRESS", metrics.to_string()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut instance = PROGRAM.start(&["instance"], &variables);
    let line = instance.wait_for_line("the certificate of the game port has expired");
    assert!(line.contains("\"level\":\"ERROR\""), "{line}");
    let url = format!("http://{metrics}/metrics");
    let told = support::eventually("the metric", || async {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("gs_certificate_expires_at_seconds "));
        line.map(ToOwned::to_owned)
    })
    .await;
    assert_eq!(told, "1577836800");
}

#[test]
fn production_refuses_to_start_without_secrets() {
    let production = ("GAMESERVER__MODE", "production");
    let (code, _, err) = run(&["api"], &[production, ("DATABASE_URL", "sqlite::memory:")]);
    assert_eq!(code, 2);
    assert!(
        err.contains(
            "production mode needs control.secret, keys.access_token, keys.ticket, keys.refresh, \
             keys.cursor;"
        ),
        "{err}"
    );
    let secret = ("GAMESERVER__CONTROL__SECRET", support::CONTROL_SECRET);
    let (code, _, err) = run(&["api"], &[production, secret]);
    assert_eq!(code, 2);
    assert!(err.contains("production mode needs keys."), "{err}");
}

#[test]
fn an_unknown_setting_is_an_error_that_names_it() {
    let (code, _, err) = run(&["config", "check"], &[("GAMESERVER__HTTP__ADRESS", "x")]);
    assert_eq!(code, 2);
    assert!(err.contains("adress"), "{err}");
}

#[test]
fn an_origin_that_no_browser_would_send_is_an_error_that_names_the_setting() {
    let origin = ("GAMESERVER__GAME__ORIGINS", "https://play.example/");
    let (code, _, err) = run(&["instance"], &[origin]);
    assert_eq!(code, 2);
    assert!(
        err.contains("game.origins is \"https://play.example/\" (variable"),
        "{err}"
    );
}

#[test]
fn settings_are_printed_with_their_source_and_without_secrets() {
    let secret = ("GAMESERVER__CONTROL__SECRET", "planted-canary-0123456789");
    let origins = (
        "GAMESERVER__GAME__ORIGINS",
        "https://a.example,https://b.example",
    );
    let (code, out, _) = run(&["config", "print"], &[secret, origins]);
    assert_eq!(code, 0);
    assert!(
        out.contains("control.secret = (hidden)  # variable GAMESERVER__CONTROL__SECRET"),
        "{out}"
    );
    assert!(
        out.contains("game.origins = [\"https://a.example\", \"https://b.example\"]  # variable"),
        "{out}"
    );
    assert!(
        out.contains("instance.region = \"local\"  # default"),
        "{out}"
    );
    assert!(!out.contains("canary"), "{out}");
}

#[test]
fn the_schema_goes_up_and_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("db.sqlite").display());
    let migrate = |direction| {
        let (code, out, err) = run(&["migrate", direction], &[("DATABASE_URL", url.as_str())]);
        assert_eq!(code, 0, "{err}");
        out
    };
    assert!(migrate("status").contains("waiting"));
    migrate("up");
    assert!(!migrate("status").contains("waiting"));
    assert!(migrate("down").contains("is undone"));
    assert!(migrate("status").contains("waiting"));
}
