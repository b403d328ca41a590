//! An instance for tests: a real gRPC server that records what it is asked and does what it is
//! told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gameserver_contract::game::{GameDescriptor, GameMode, NetcodeModel};
use gameserver_contract::ids::{GameId, InstanceEpoch, InstanceId};
use gameserver_control::instance_control_server::{InstanceControl, InstanceControlServer};
use gameserver_control::secret::ControlSecret;
use gameserver_control::{
    HeartbeatRequest, KickPlayerRequest, KickPlayerResponse, MatchStatus, ReadReplayRequest,
    ReadReplayResponse, RegisterRequest, StartMatchRequest, StartMatchResponse, StopMatchRequest,
    StopMatchResponse, Transport,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A game for tests: modes `ffa` and `team`, each 2–16 players, 4 by default.
pub(crate) fn arena_descriptor() -> GameDescriptor {
    let mode = |id: &str| GameMode {
        id: id.to_owned(),
        players_min: 2,
        players_default: 4,
        players_max: 16,
    };
    GameDescriptor {
        id: GameId::new("arena").unwrap(),
        name: "Arena".to_owned(),
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        netcode: NetcodeModel::StateReplication,
        modes: vec![mode("ffa"), mode("team")],
    }
}

/// What an instance was asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call {
    Start(StartMatchRequest),
    Stop(StopMatchRequest),
    Kick(KickPlayerRequest),
    Read(ReadReplayRequest),
}

/// How an instance answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Willing,
    /// Refuses every call.
    Broken,
    /// Says that it has no room.
    Full,
    /// Answers once the test allows it.
    Slow,
    /// Knows none of the matches that it is asked about.
    Forgetful,
}

#[derive(Debug)]
struct State {
    calls: Vec<Call>,
    mood: Mood,
    sequence: u64,
    log: Option<Log>,
}

/// The log of every match that the instance is asked about.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_complete: bool,
}

/// The instance; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FakeInstance {
    pub(crate) id: InstanceId,
    pub(crate) epoch: InstanceEpoch,
    /// Rings when a slow instance is asked to start a match.
    pub(crate) asked: Arc<Notify>,
    /// Lets a slow instance answer.
    pub(crate) allowed: Arc<Notify>,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeInstance {
    /// Starts its control service on a free port.
    pub(crate) async fn start(id: u128, secret: &ControlSecret) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            calls: Vec::new(),
            mood: Mood::Willing,
            sequence: 0,
            log: None,
        };
        let instance = Self {
            id: InstanceId(Uuid::from_u128(id)),
            epoch: InstanceEpoch(1),
            asked: Arc::default(),
            allowed: Arc::default(),
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(state)),
        };
        let service = InstanceControlServer::new(instance.clone());
        let served = tonic::transport::Server::builder()
            .add_service(InterceptedService::new(service, secret.demand()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(served);
        instance
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub(crate) fn set_log(&self, log: Option<Log>) {
        self.state.lock().unwrap().log = log;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The only call so far that starts a match.
    pub(crate) fn started(&self) -> StartMatchRequest {
        let calls = self.calls();
        let starts: Vec<_> = calls
            .into_iter()
            .filter_map(|call| match call {
                Call::Start(request) => Some(request),
                Call::Stop(_) | Call::Kick(_) | Call::Read(_) => None,
            })
            .collect();
        let [start] = <[_; 1]>::try_from(starts).unwrap();
        start
    }

    pub(crate) fn registration(&self) -> RegisterRequest {
        RegisterRequest {
            instance_id: self.id.to_string(),
            epoch: self.epoch.0,
            region: "local".to_owned(),
            build: "test".to_owned(),
            control_url: format!("http://{}", self.address),
            transports: vec![
                Transport {
                    kind: "quic".to_owned(),
                    url: "quic://127.0.0.1:7777".to_owned(),
                    certificate_sha256: "ab".repeat(32),
                },
                Transport {
                    kind: "websocket".to_owned(),
                    url: "ws://127.0.0.1:7777".to_owned(),
                    certificate_sha256: String::new(),
                },
            ],
            matches_max: 4,
            players_max: 64,
            games_json: vec![serde_json::to_string(&arena_descriptor()).unwrap()],
        }
    }

    /// The next heartbeat with these matches.
    pub(crate) fn heartbeat(&self, matches: Vec<MatchStatus>) -> HeartbeatRequest {
        let mut state = self.state.lock().unwrap();
        state.sequence += 1;
        HeartbeatRequest {
            instance_id: self.id.to_string(),
            epoch: self.epoch.0,
            sequence: state.sequence,
            draining: false,
            tick_budget_used: 0.1,
            matches,
        }
    }

    /// Records a call; true when the instance knows what it is about.
    fn record(&self, call: Call) -> Result<bool, Status> {
        let mut state = self.state.lock().unwrap();
        state.calls.push(call);
        match state.mood {
            Mood::Willing | Mood::Slow => Ok(true),
            Mood::Full => Err(Status::resource_exhausted("full, says the test")),
            Mood::Forgetful => Ok(false),
            Mood::Broken => Err(Status::internal("broken by the test")),
        }
    }
}

#[tonic::async_trait]
impl InstanceControl for FakeInstance {
    async fn start_match(
        &self,
        request: Request<StartMatchRequest>,
    ) -> Result<Response<StartMatchResponse>, Status> {
        self.record(Call::Start(request.into_inner()))?;
        let mood = self.state.lock().unwrap().mood;
        if mood == Mood::Slow {
            self.asked.notify_one();
            self.allowed.notified().await;
        }
        Ok(Response::new(StartMatchResponse {}))
    }

    async fn stop_match(
        &self,
        request: Request<StopMatchRequest>,
    ) -> Result<Response<StopMatchResponse>, Status> {
        let stopped = self.record(Call::Stop(request.into_inner()))?;
        Ok(Response::new(StopMatchResponse { stopped }))
    }

    async fn kick_player(
        &self,
        request: Request<KickPlayerRequest>,
    ) -> Result<Response<KickPlayerResponse>, Status> {
        let kicked = self.record(Call::Kick(request.into_inner()))?;
        Ok(Response::new(KickPlayerResponse { kicked }))
    }

    async fn read_replay(
        &self,
        request: Request<ReadReplayRequest>,
    ) -> Result<Response<ReadReplayResponse>, Status> {
        let request = request.into_inner();
        self.record(Call::Read(request.clone()))?;
        let Some(log) = self.state.lock().unwrap().log.clone() else {
            return Ok(Response::new(ReadReplayResponse::default()));
        };
        let offset = usize::try_from(request.offset).unwrap();
        let rest = log.bytes.get(offset..).unwrap_or_default();
        let length = rest.len().min(request.length_max.try_into().unwrap());
        Ok(Response::new(ReadReplayResponse {
            found: true,
            total: log.bytes.len() as u64,
            complete: log.is_complete,
            bytes: rest[..length].to_vec(),
        }))
    }
}
