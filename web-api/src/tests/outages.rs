//! Parts that fail while a match runs: matches go on, and readiness says what is wrong. Real
//! servers, and the clock of the machine.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::clock::{ManualClock, SharedClock, SystemClock};
use gameserver_contract::entropy::SystemEntropy;
use gameserver_contract::session::{Session, SessionState};
use gameserver_control::MatchStatus;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{INSTANCE_LEASE, INSTANCE_LOST_GRACE};
use crate::kit::cache::Cache;
use crate::kit::db::Db;
use crate::kit::fault::Fault;
use crate::server::Deps;
use crate::sessions::job;
use crate::tests::cable::Cable;
use crate::tests::redis_process::RedisProcess;
use crate::tests::world::{World, config, memory_db, report};

/// Long enough for every lease and every grace to end, and a look at the leases to follow.
const OUTAGE: Duration = INSTANCE_LEASE
    .saturating_add(INSTANCE_LOST_GRACE)
    .saturating_add(Duration::from_secs(2));

/// How often an instance reports.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A service on the machine's clock, with a match that somebody plays.
struct Running {
    world: World,
    host: LoginResponse,
    session: Session,
    _background: DropGuard,
}

impl Running {
    async fn with(cache: Cache) -> Self {
        let world = world(memory_db().await, cache).await;
        let background = look_after(&world);
        world.register().await;
        let host = world.guest().await;
        let session = world.session(&host).await;
        let running = Self {
            world,
            host,
            session,
            _background: background,
        };
        running.beat().await;
        running
    }

    fn matches(&self) -> Vec<MatchStatus> {
        vec![report(&self.session, "running", &[(0, &self.host)])]
    }

    async fn beat(&self) {
        beat(&self.world, &self.matches()).await;
    }

    /// The instance beats as it always does.
    async fn play_for(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut next = tokio::time::interval(HEARTBEAT);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < until {
            next.tick().await;
            self.beat().await;
        }
    }

    /// What readiness says of the cache; empty when it is ready.
    async fn cache_fault(&self) -> String {
        let answer = self.world.call(Method::GET, "/readyz").send().await;
        if answer.status == 200 {
            return String::new();
        }
        let problem = answer.refused(503, "server.not_ready");
        problem["details"]["cache"].as_str().unwrap().to_owned()
    }

    async fn expect_that_the_match_goes_on(&self) {
        self.play_for(INSTANCE_LEASE + INSTANCE_LOST_GRACE).await;
        assert_eq!(self.cache_fault().await, "");
        let session = self.world.session_now(&self.session, &self.host).await;
        assert_eq!(session.state, SessionState::Running);
        assert_eq!(session.players, 1);
    }
}

async fn world(db: Db, cache: Cache) -> World {
    let clock: SharedClock = Arc::new(SystemClock);
    let deps = Deps {
        clock,
        entropy: Arc::new(SystemEntropy),
        db,
        cache,
        metrics: None,
    };
    World::with_deps(config(), deps, ManualClock::at_ms(0)).await
}

/// What looks for lost instances, until the guard is dropped.
fn look_after(world: &World) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(job::run(world.services.sessions.clone(), stop.clone()));
    stop.drop_guard()
}

/// Does what an instance does: it beats, registers when it is unknown, and obeys.
async fn beat(world: &World, matches: &[MatchStatus]) {
    let heartbeat = world.instance.heartbeat(matches.to_vec());
    // An instance that gets no answer goes on.
    let Ok(answer) = world.services.sessions.heartbeat(heartbeat).await else {
        return;
    };
    assert_eq!(answer.stop_match_ids, [""; 0], "the live match was aborted");
    if !answer.known {
        let _ = world
            .services
            .sessions
            .register(world.instance.registration())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_while_redis_is_full() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    running.play_for(OUTAGE).await;
    assert_eq!(running.cache_fault().await, "full");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    running.expect_that_the_match_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_while_redis_is_read_only() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    running.play_for(OUTAGE).await;
    assert_eq!(running.cache_fault().await, "read_only");
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    running.expect_that_the_match_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_while_redis_is_slow() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    // Each beat takes a while, so the pause outlasts the time that is played in it.
    let pause = OUTAGE + Duration::from_secs(4);
    let pause_ms = pause.as_millis().to_string();
    redis.command(&["CLIENT", "PAUSE", &pause_ms, "ALL"]).await;
    running.play_for(OUTAGE).await;
    assert_eq!(running.cache_fault().await, "slow");
    running.expect_that_the_match_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_when_redis_is_emptied_again_and_again() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    let until = Instant::now() + OUTAGE;
    while Instant::now() < until {
        redis.command(&["FLUSHALL"]).await;
        running.play_for(HEARTBEAT / 2).await;
    }
    running.expect_that_the_match_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_while_redis_is_gone_and_comes_back_empty() {
    let Some(mut redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    redis.kill();
    running.play_for(OUTAGE).await;
    assert_eq!(running.cache_fault().await, "unreachable");
    redis.run().await;
    running.expect_that_the_match_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_died_while_redis_was_full_is_noticed_afterwards() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let running = Running::with(redis.cache().await).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    running.play_for(INSTANCE_LEASE).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let deadline = Instant::now() + 4 * (INSTANCE_LEASE + INSTANCE_LOST_GRACE);
    let mut again = tokio::time::interval(HEARTBEAT);
    loop {
        again.tick().await;
        let session = running
            .world
            .session_now(&running.session, &running.host)
            .await;
        if session.state == SessionState::Failed {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the instance is still believed in"
        );
    }
}

/// Two replicas, one of which loses its way to Redis; the instance is connected to that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_goes_on_when_only_the_replica_of_its_instance_lost_redis() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("shared.db").display());
    let near = Db::connect(&url, 4).await.unwrap();
    near.migrate().await.unwrap();
    let far = Db::connect(&url, 4).await.unwrap();
    let cable = Cable::to(&redis.address()).await;
    let through = format!("redis://{}", cable.address);
    let cut_off = world(near, Cache::redis(&through, "test").await.unwrap()).await;
    let other = world(far, redis.cache().await).await;
    let _background = (look_after(&cut_off), look_after(&other));
    cut_off.register().await;
    let host = cut_off.guest().await;
    let session = cut_off.session(&host).await;
    let matches = [report(&session, "running", &[(0, &host)])];
    beat(&cut_off, &matches).await;
    cable.cut();
    let until = Instant::now() + OUTAGE;
    let mut next = tokio::time::interval(HEARTBEAT);
    while Instant::now() < until {
        next.tick().await;
        beat(&cut_off, &matches).await;
    }
    let session = other.session_now(&session, &host).await;
    assert_eq!(session.state, SessionState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_ended_stays_ended_when_redis_is_emptied() {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let world = world(memory_db().await, redis.cache().await).await;
    let guest = world.guest().await;
    assert_eq!(world.get("me", &guest).await.status, 200);
    let body = json!({ "refresh_token": guest.refresh_token });
    let call = world.call(Method::POST, "auth/logout").json(&body);
    assert_eq!(call.send().await.status, 204);
    for _ in 0..2 {
        redis.command(&["FLUSHALL"]).await;
        // The second look finds what the first one remembered.
        for _ in 0..2 {
            let answer = world.get("me", &guest).await;
            answer.refused(401, "auth.invalid_token");
        }
    }
}

/// A write is refused on the connection that the service has, and taken on a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_to_a_demoted_redis_is_given_up() {
    let (Some(old), Some(new)) = (RedisProcess::start().await, RedisProcess::start().await) else {
        return;
    };
    let cable = Cable::to(&old.address()).await;
    let through = format!("redis://{}", cable.address);
    let cache = Cache::redis(&through, "test").await.unwrap();
    cache.check_write().await.unwrap();
    old.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    cable.lead_to(&new.address());
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = cache.check_write().await {
        assert_eq!(error.fault(), Fault::ReadOnly);
        assert!(Instant::now() < deadline, "it holds on to the old server");
    }
}
