//! A database of its own for each test, and the verbs that tests speak in.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use gameserver_contract::clock::SystemClock;
use gameserver_contract::entropy::{SystemEntropy, random_bytes};
use gameserver_contract::ids::{
    DeviceId, GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use gameserver_contract::session::{Role, SessionState, SessionVisibility};
use gameserver_contract::spectator::SpectatorsPolicy;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::accounts::store::AccountsStore;
use crate::accounts::store::players::NewGuest;
use crate::config::OpenSessionLimits;
use crate::fleet::store::FleetStore;
use crate::kit::db::{Db, DbError};
use crate::matches::store::MatchesStore;
use crate::sessions::store::SessionsStore;
use crate::sessions::store::openings::{Opened, Opening};
use crate::sessions::store::records::{NewSession, SessionRow};
use crate::sessions::store::seats::{Reservation, SeatRequest};
use crate::sessions::store::sweep::Swept;
use crate::test_servers;

/// Enough for statements of one test to meet in the database.
const CONNECTIONS_MAX: u32 = 8;

/// A migrated database under test.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) store: Stores,
    /// Opens the same database again; `None` in memory.
    pub(crate) url: Option<String>,
    owner: Arc<Owner>,
}

/// The tables of every capability on one database.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) db: Db,
    pub(crate) accounts: AccountsStore,
    pub(crate) fleet: FleetStore,
    pub(crate) matches: MatchesStore,
    pub(crate) sessions: SessionsStore,
}

impl Stores {
    pub(crate) fn on(db: Db) -> Self {
        Self {
            accounts: AccountsStore(db.clone()),
            fleet: FleetStore(db.clone()),
            matches: MatchesStore(db.clone()),
            sessions: SessionsStore(db.clone()),
            db,
        }
    }

    pub(crate) async fn connect(url: &str, connections_max: u32) -> Result<Self, DbError> {
        Db::connect(url, connections_max).await.map(Self::on)
    }

    /// Deletes what has expired in the tables of every capability.
    pub(crate) async fn sweep(&self, now: DateTime<Utc>) -> Result<Swept, DbError> {
        let tokens = self.accounts.sweep(now).await?;
        let records = self.db.sweep_idempotency_records(now).await?;
        self.fleet.sweep(now).await?;
        let swept = self.sessions.sweep_holds(now).await?;
        Ok(Swept {
            rows: tokens + records + swept.rows,
            ..swept
        })
    }
}

impl std::ops::Deref for Stores {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

/// What must be cleared away after the test.
#[derive(Debug)]
enum Owner {
    Memory,
    File { _folder: tempfile::TempDir },
    Server { url: String, database: String },
}

impl Subject {
    /// None when no server is given.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = test_servers::url("GAMESERVER_TEST_DATABASE_URL")?;
        let database = unique_name("gameserver_test");
        administer(&server, format!("CREATE DATABASE {database}")).await;
        let options: sqlx::postgres::PgConnectOptions = server.parse().unwrap();
        let url = options.database(&database).to_url_lossy().to_string();
        let owner = Owner::Server {
            url: server,
            database,
        };
        Some(Self::open(&url, Some(url.clone()), owner).await)
    }

    pub(crate) async fn sqlite_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self::open(&url, Some(url.clone()), Owner::File { _folder: folder }).await
    }

    pub(crate) async fn sqlite_memory() -> Self {
        Self::open("sqlite::memory:", None, Owner::Memory).await
    }

    async fn open(url: &str, again: Option<String>, owner: Owner) -> Self {
        let store = Stores::connect(url, CONNECTIONS_MAX).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            url: again,
            owner: Arc::new(owner),
        }
    }

    /// Runs a case and clears the database away, also when the case fails.
    pub(crate) async fn run<F: Future<Output = ()> + Send + 'static>(
        self,
        case: impl FnOnce(Self) -> F,
    ) {
        let outcome = tokio::spawn(case(self.clone())).await;
        self.store.close().await;
        if let Owner::Server { url, database } = &*self.owner {
            administer(url, format!("DROP DATABASE {database} WITH (FORCE)")).await;
        }
        if let Err(error) = outcome {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// Another handle with connections of its own, as another replica has it.
    pub(crate) async fn replica(&self) -> Stores {
        match &self.url {
            Some(url) => Stores::connect(url, CONNECTIONS_MAX).await.unwrap(),
            None => self.store.clone(),
        }
    }

    /// A new guest.
    pub(crate) async fn player(&self) -> PlayerId {
        let guest = new_guest();
        let player = guest.player;
        self.store.accounts.create_guest(guest, None).await.unwrap();
        player
    }

    /// A session that waits for players.
    pub(crate) async fn session(&self, players_max: u16) -> SessionRow {
        self.joinable(NewSession {
            players_max,
            ..new_session()
        })
        .await
    }

    /// Opens a session whose match is not started yet.
    pub(crate) async fn opened(&self, new: NewSession) -> SessionRow {
        match self
            .store
            .sessions
            .open_session(opening(new))
            .await
            .unwrap()
        {
            Opened::New(row) => *row,
            refused @ (Opened::Known(_) | Opened::PlayerLimit(_) | Opened::AddressLimit(_)) => {
                panic!("not opened: {refused:?}")
            }
        }
    }

    /// Opens a session and lets it wait for players.
    pub(crate) async fn joinable(&self, new: NewSession) -> SessionRow {
        let (id, now) = (new.id, new.now);
        self.opened(new).await;
        self.store
            .sessions
            .transition(id, SessionState::Filling, now)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    /// Walks a session through these states, which must all be allowed.
    pub(crate) async fn walk(&self, id: SessionId, states: &[SessionState]) {
        for state in states {
            let moved = self
                .store
                .sessions
                .transition(id, *state, at(0))
                .await
                .unwrap();
            assert!(
                matches!(moved, Some(Ok(_))),
                "not allowed to become {state:?}"
            );
        }
    }

    /// Asks for a seat at second `now` that is held until second `until`.
    pub(crate) async fn reserve(
        &self,
        session: SessionId,
        player: PlayerId,
        now: i64,
        until: i64,
    ) -> Reservation {
        let (now, held_until) = (at(now), at(until));
        let request = SeatRequest {
            session,
            player,
            role: Role::Player,
            login: None,
            now,
            held_until,
        };
        self.store.sessions.reserve_seat(request).await.unwrap()
    }

    /// The player's seat at second `now`.
    pub(crate) async fn seat_of(
        &self,
        session: SessionId,
        player: PlayerId,
        now: i64,
    ) -> Option<Seat> {
        let seat = self.store.sessions.seat_of(session, player, at(now)).await;
        seat.unwrap()
    }

    /// Gives the player's seat back at second `now`; true when there was one.
    pub(crate) async fn release(&self, session: SessionId, player: PlayerId, now: i64) -> bool {
        let sessions = &self.store.sessions;
        let released = sessions.release_seat(session, player, at(now)).await;
        released.unwrap()
    }

    /// The session as it stands at second `now`.
    pub(crate) async fn read(&self, session: SessionId, now: i64) -> SessionRow {
        self.store
            .sessions
            .session(session, at(now))
            .await
            .unwrap()
            .unwrap()
    }
}

/// A name that nothing else on the server has.
pub(crate) fn unique_name(start: &str) -> String {
    let random = u128::from_ne_bytes(random_bytes(&SystemEntropy));
    format!("{start}_{random:032x}")
}

/// Seconds after the beginning of the test's time.
pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_123).unwrap() + TimeDelta::seconds(second)
}

/// A hash that only this number has.
pub(crate) fn key(number: u8) -> [u8; 32] {
    [number; 32]
}

/// A new id of any kind.
macro_rules! new_id {
    ($($name:ident -> $id:ident;)*) => {$(
        pub(crate) fn $name() -> $id {
            $id::generate(&SystemClock, &SystemEntropy)
        }
    )*};
}

new_id! {
    player_id -> PlayerId;
    session_id -> SessionId;
    match_id -> MatchId;
    instance_id -> InstanceId;
    device_id -> DeviceId;
}

/// A guest who is called Ann.
pub(crate) fn new_guest() -> NewGuest {
    NewGuest {
        player: player_id(),
        display_name: "Ann".to_owned(),
        device: device_id(),
        device_secret_hash: key(7),
        now: at(0),
    }
}

/// A public arena for four on an instance of its own.
pub(crate) fn new_session() -> NewSession {
    NewSession {
        id: session_id(),
        game: GameId::new("arena").unwrap(),
        mode: "deathmatch".to_owned(),
        name: "Ann's arena".to_owned(),
        region: "eu-central".to_owned(),
        visibility: SessionVisibility::Public,
        join_code: None,
        tags: Vec::new(),
        players_max: 4,
        spectators: SpectatorsPolicy::default(),
        host: player_id(),
        opened_from: None,
        match_id: match_id(),
        instance: instance_id(),
        epoch: InstanceEpoch(u64::MAX - 5),
        result_key: key(9),
        now: at(0),
    }
}

/// The opening of a session by a request without a key; others may start its match from second 3
/// on.
pub(crate) fn opening(session: NewSession) -> Opening {
    Opening {
        session,
        seed: u64::MAX - 1,
        start_due_at: at(3),
        key: None,
        limits: OpenSessionLimits::OFF,
    }
}

pub(crate) async fn administer(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}
