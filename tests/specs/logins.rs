//! Bots that play for longer than an access token lives: their login is renewed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gameserver_client_sim::lobby::Lobby;
use gameserver_contract::clock::{Clock as _, ManualClock, SharedClock, SystemClock};
use gameserver_contract::entropy::SeededEntropy;
use gameserver_web_api::Cache;
use gameserver_web_api::Db;
use gameserver_web_api::{Deps, Keys, WebApi, WebApiConfig};

/// Longer than an access token lives, with the leeway of clocks.
const AN_HOUR: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_login_outlives_its_access_tokens() {
    let manual = ManualClock::at_ms(SystemClock.now_ms());
    let clock: SharedClock = manual.clone();
    let entropy = SeededEntropy::new(7);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let secret = "a-secret-of-this-spec-alone".into();
    let mut config = WebApiConfig::new(Keys::generate(&*entropy), secret);
    (config.http_address, config.grpc_address) = (anywhere, anywhere);
    let store = Db::connect("sqlite::memory:", 1).await;
    let store = store.expect("a database in memory");
    store.migrate().await.expect("a new database");
    let deps = Deps {
        clock: clock.clone(),
        entropy,
        db: store,
        cache: Cache::memory(clock, 1_000),
        metrics: None,
    };
    let api = WebApi::start(config, deps).await.expect("free ports");
    let lobby = Lobby::new(&format!("http://{}", api.http_address)).expect("an HTTP client");
    let player = Arc::new(lobby.log_in_as_guest().await.expect("a guest"));
    for _ in 0..3 {
        manual.advance(AN_HOUR);
        // Several at once, of which one renews the login for all.
        let read = || player.stats(player.player);
        let (first, second) = tokio::join!(read(), read());
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    }
    api.shutdown().await;
}
