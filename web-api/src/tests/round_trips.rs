//! How often common requests wait for the database and the cache. Fewer is welcome; more is a
//! decision.

use std::sync::Arc;

use gameserver_contract::account::LoginResponse;
use gameserver_contract::clock::{ManualClock, SystemClock};
use gameserver_contract::entropy::SystemEntropy;
use gameserver_contract::session::Session;
use serde_json::json;

use crate::kit::cache::Cache;
use crate::kit::db::Db;
use crate::server::Deps;
use crate::tests::cable::Cable;
use crate::tests::redis_process::RedisProcess;
use crate::tests::subject::Subject;
use crate::tests::world::{World, config, report};

/// How many players join.
const JOINS: usize = 8;

/// How often each request is made.
const TIMES: usize = 20;

/// What a request costs: statements and operations of the database, commands of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    statements: usize,
    commands: usize,
}

/// A service that reaches its database and its cache through cables.
struct Measured {
    world: World,
    database: Cable,
    cache: Cable,
}

impl Measured {
    async fn new(subject: &Subject, redis: &RedisProcess) -> Self {
        let url = subject.url.as_ref().unwrap();
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let database = Cable::to(&server).await;
        let cache = Cable::to(&redis.address()).await;
        let through = url.replace(&server, &database.address.to_string());
        let deps = Deps {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            // One connection, so that a statement is prepared once.
            db: Db::connect(&through, 1).await.unwrap(),
            cache: Cache::redis(&format!("redis://{}", cache.address), "test")
                .await
                .unwrap(),
            metrics: None,
        };
        let world = World::with_deps(config(), deps, ManualClock::at_ms(0)).await;
        Self {
            world,
            database,
            cache,
        }
    }

    async fn make(&self, request: Request<'_>) {
        match request {
            Request::Get(path, guest) => {
                assert_eq!(self.world.get(path, guest).await.status, 200);
            }
            Request::NewGuest => drop(self.world.guest().await),
        }
    }

    /// What a request of one operation costs once it has been made before. The pool may test the
    /// connection once an operation, when it comes back.
    async fn cost(&self, request: Request<'_>) -> Cost {
        self.make(request).await;
        let (asked, commands) = (
            self.database.asked_of_postgres(),
            self.cache.commands_to_redis(),
        );
        for _ in 0..TIMES {
            self.make(request).await;
        }
        let now = self.database.asked_of_postgres();
        let tests = now.tests - asked.tests;
        assert!(tests <= TIMES + 1, "{tests} tests of the connection");
        Cost {
            statements: (now.statements - asked.statements) / TIMES,
            commands: (self.cache.commands_to_redis() - commands) / TIMES,
        }
    }
}

impl Measured {
    /// What a join costs a player who has called before.
    async fn join_cost(&self) -> Cost {
        let world = &self.world;
        world.register().await;
        let host = world.guest().await;
        let body = json!({"game": "arena", "players_max": 16});
        let session: Session = world.post("sessions", &host, body).await.expect(201);
        let mut players = Vec::new();
        for _ in 0..=JOINS {
            let player = world.guest().await;
            assert_eq!(world.get("me", &player).await.status, 200);
            players.push(player);
        }
        world.heartbeat(&[report(&session, "filling", &[])]).await;
        let first = players.pop().unwrap();
        world.join(&session, &first).await;
        let asked = self.database.asked_of_postgres().statements;
        let commands = self.cache.commands_to_redis();
        for player in &players {
            world.join(&session, player).await;
        }
        Cost {
            statements: (self.database.asked_of_postgres().statements - asked).div_ceil(JOINS),
            commands: (self.cache.commands_to_redis() - commands).div_ceil(JOINS),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Request<'a> {
    Get(&'a str, &'a LoginResponse),
    NewGuest,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn common_requests_wait_for_few_answers() {
    let Some(subject) = Subject::postgres().await else {
        return;
    };
    subject.run(count_round_trips).await;
}

async fn count_round_trips(subject: Subject) {
    let Some(redis) = RedisProcess::start().await else {
        return;
    };
    let measured = Measured::new(&subject, &redis).await;
    let guest = measured.world.guest().await;
    // One command tells whether the login has ended and how often the player has called.
    let one = Cost {
        statements: 1,
        commands: 1,
    };
    assert_eq!(measured.cost(Request::Get("me", &guest)).await, one);
    assert_eq!(measured.cost(Request::Get("sessions", &guest)).await, one);
    // BEGIN, the player, the device, the login, its token, COMMIT.
    let six = Cost {
        statements: 6,
        commands: 1,
    };
    assert_eq!(measured.cost(Request::NewGuest).await, six);
    // The login and the rate; the session with its player; the seat; the message to listeners.
    let four = Cost {
        statements: 2,
        commands: 2,
    };
    assert_eq!(measured.join_cost().await, four);
}
