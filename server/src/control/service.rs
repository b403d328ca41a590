//! What web-api can ask of an instance.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::ids::{GameId, MatchId};
use gameserver_control::instance_control_server::InstanceControl;
use gameserver_control::{
    KickPlayerRequest, KickPlayerResponse, ReadReplayRequest, ReadReplayResponse,
    StartMatchRequest, StartMatchResponse, StopMatchRequest, StopMatchResponse,
};
use gameserver_shared::flow::MatchSettings;
use tonic::{Request, Response, Status};

use super::replay::Replays;
use crate::host::{HostError, MatchHost, MatchSpec};

/// The service.
#[derive(Debug)]
pub struct ControlService {
    host: Arc<MatchHost>,
    replays: Replays,
}

impl ControlService {
    /// Serves this host, and the logs in this folder.
    #[must_use]
    pub fn new(host: Arc<MatchHost>, log_folder: Option<PathBuf>) -> Self {
        Self {
            host,
            replays: Replays::new(log_folder),
        }
    }

    fn spec(&self, request: StartMatchRequest) -> Result<MatchSpec, Status> {
        let game = GameId::new(request.game).map_err(|_| invalid("game"))?;
        let hosted = self.host.games().get(&game).ok_or(HostError::UnknownGame);
        let descriptor = &hosted.map_err(status)?.descriptor;
        let mode = descriptor
            .mode(Some(&request.mode))
            .ok_or_else(|| invalid("mode"))?;
        let players_max = u16::try_from(request.players_max).map_err(|_| invalid("players_max"))?;
        Ok(MatchSpec {
            id: parse(&request.match_id, "match_id")?,
            session: parse(&request.session_id, "session_id")?,
            settings: MatchSettings {
                mode: mode.id.clone(),
                players_min: mode.players_min.min(players_max),
                players_max,
                tick_rate_hz: descriptor.tick_rate_hz,
                seed: request.seed,
            },
            game,
            result_key: request
                .result_key
                .try_into()
                .map_err(|_| invalid("result_key"))?,
            watch_delay: Duration::from_secs(request.spectators_delay_s.into()),
        })
    }
}

#[tonic::async_trait]
impl InstanceControl for ControlService {
    async fn start_match(
        &self,
        request: Request<StartMatchRequest>,
    ) -> Result<Response<StartMatchResponse>, Status> {
        let spec = self.spec(request.into_inner())?;
        self.host.start_match(spec).map_err(status)?;
        Ok(Response::new(StartMatchResponse {}))
    }

    async fn stop_match(
        &self,
        request: Request<StopMatchRequest>,
    ) -> Result<Response<StopMatchResponse>, Status> {
        let id: MatchId = parse(&request.get_ref().match_id, "match_id")?;
        let stopped = self.host.stop_match(id).map_err(status)?;
        Ok(Response::new(StopMatchResponse { stopped }))
    }

    async fn kick_player(
        &self,
        request: Request<KickPlayerRequest>,
    ) -> Result<Response<KickPlayerResponse>, Status> {
        let request = request.into_inner();
        let id: MatchId = parse(&request.match_id, "match_id")?;
        let player = parse(&request.player_id, "player_id")?;
        let kicked = self.host.kick(id, player, request.reason).map_err(status)?;
        Ok(Response::new(KickPlayerResponse { kicked }))
    }

    async fn read_replay(
        &self,
        request: Request<ReadReplayRequest>,
    ) -> Result<Response<ReadReplayResponse>, Status> {
        let request = request.into_inner();
        let id: MatchId = parse(&request.match_id, "match_id")?;
        let read = self.replays.read(id, request.offset, request.length_max);
        match read.await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(error) => {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "log not read"
                );
                Err(Status::internal("the log cannot be read"))
            }
        }
    }
}

fn parse<T: FromStr>(text: &str, field: &str) -> Result<T, Status> {
    text.parse().map_err(|_| invalid(field))
}

fn invalid(field: &str) -> Status {
    Status::invalid_argument(format!("{field} cannot be used"))
}

fn status(error: HostError) -> Status {
    let text = format!("failed to {error}");
    match error {
        HostError::UnknownGame => Status::not_found(text),
        HostError::Full | HostError::Busy => Status::resource_exhausted(text),
        HostError::Draining => Status::unavailable(text),
    }
}
