//! The console's files, the list of games, and which pages may call.

use axum::http::Method;
use gameserver_contract::game::GameDescriptor;

use crate::config::WebApiConfig;
use crate::tests::instance::arena_descriptor;
use crate::tests::world::{Answer, World, config};

async fn get(world: &World, path: &str) -> Answer {
    world.call(Method::GET, path).send().await
}

#[tokio::test]
async fn the_console_stands_at_the_root_and_the_sdk_beside_it() {
    let world = World::new().await;
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/sdk/src/index.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = get(&world, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), media_type);
        assert_eq!(
            answer.header("content-length"),
            answer.bytes.len().to_string()
        );
        assert!(!answer.bytes.is_empty());
    }
}

#[tokio::test]
async fn the_page_may_load_nothing_from_elsewhere() {
    let world = World::new().await;
    let answer = get(&world, "/").await;
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let world = World::new().await;
    let tag = get(&world, "/").await.header("etag").to_owned();
    let call = world.call(Method::GET, "/").header("if-none-match", &tag);
    let again = call.send().await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    let head = world.call(Method::HEAD, "/").send().await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_ne!(head.header("content-length"), "0");
}

#[tokio::test]
async fn nothing_but_the_console_is_there() {
    let world = World::new().await;
    for path in [
        "/nothing",
        "/sdk",
        "/sdk/",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/sdk/../../Cargo.toml",
        "/..%2fgames/arena/game.toml",
        "//etc/passwd",
        "/api/v1/index.html",
    ] {
        get(&world, path).await.refused(404, "route.not_found");
    }
    let posted = world.call(Method::POST, "/index.html").send().await;
    posted.refused(404, "route.not_found");
}

#[tokio::test]
async fn a_service_without_a_console_shows_none() {
    let config = WebApiConfig {
        console: false,
        ..config()
    };
    let world = World::without_instance(config).await;
    for path in ["/", "/index.html", "/sdk/src/index.js"] {
        get(&world, path).await.refused(404, "route.not_found");
    }
}

#[tokio::test]
async fn anybody_learns_which_games_are_hosted_now() {
    let world = World::without_instance(config()).await;
    let empty = get(&world, "games").await.json();
    assert_eq!(empty, serde_json::json!({"items": []}));
    world.register().await;
    // Whoever waited for the instance sees its games at once.
    let answer = get(&world, "games").await;
    let games = answer.json()["items"].clone();
    let games: Vec<GameDescriptor> = serde_json::from_value(games).unwrap();
    assert_eq!(games, [arena_descriptor()]);
    // What was read a moment ago is answered again, also when the lease has ended since.
    world.clock.advance(std::time::Duration::from_secs(4));
    assert_eq!(get(&world, "games").await.json(), answer.json());
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(get(&world, "games").await.json(), empty);
    assert_eq!(answer.header("cache-control"), "public, max-age=5");
}

#[tokio::test]
async fn only_pages_of_allowed_origins_may_read_answers() {
    let world = World::new().await;
    for (origin, allowed) in [
        ("https://play.example.com", "https://play.example.com"),
        ("https://elsewhere.example.com", ""),
        ("http://play.example.com", ""),
        ("null", ""),
    ] {
        let call = world.call(Method::GET, "games").header("origin", origin);
        let answer = call.send().await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let asked = world
            .call(Method::OPTIONS, "sessions/events")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization, range");
        let asked = asked.send().await;
        assert_eq!(asked.header("access-control-allow-origin"), allowed);
    }
}
