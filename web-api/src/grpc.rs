//! The gRPC API: `Registry`, which instances call. Thin: it reads nothing and decides nothing.

use std::sync::Arc;

use gameserver_control::registry_server::Registry;
use gameserver_control::{
    HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse, ResultReport,
    ResultResponse,
};
use tonic::{Request, Response, Status};

use crate::fleet::report::RegistryError;
use crate::kit::tasks::Tasks;
use crate::matches::Matches;
use crate::matches::results::ResultError;
use crate::sessions::Sessions;

/// Serves the registry. Every call runs to its end even when the instance hangs up.
#[derive(Debug, Clone)]
pub(crate) struct RegistryService {
    pub(crate) tasks: Tasks,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) matches: Arc<Matches>,
}

#[tonic::async_trait]
impl Registry for RegistryService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let sessions = Arc::clone(&self.sessions);
        let work = async move { sessions.register(request.into_inner()).await };
        answer(self.tasks.run_to_end(work).await.map_err(registry_status))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let sessions = Arc::clone(&self.sessions);
        let work = async move { sessions.heartbeat(request.into_inner()).await };
        answer(self.tasks.run_to_end(work).await.map_err(registry_status))
    }

    async fn report_result(
        &self,
        request: Request<ResultReport>,
    ) -> Result<Response<ResultResponse>, Status> {
        let matches = Arc::clone(&self.matches);
        let work = async move { matches.report_result(request.into_inner()).await };
        answer(self.tasks.run_to_end(work).await.map_err(result_status))
    }
}

fn answer<T>(outcome: Result<T, Status>) -> Result<Response<T>, Status> {
    outcome.map(Response::new)
}

fn registry_status(error: RegistryError) -> Status {
    match error {
        RegistryError::Malformed(_) => Status::invalid_argument(error.to_string()),
        RegistryError::Db(_) => unavailable(&error),
    }
}

fn result_status(error: ResultError) -> Status {
    let text = error.to_string();
    match error {
        ResultError::Malformed | ResultError::Implausible(_) => Status::invalid_argument(text),
        ResultError::UnknownMatch => Status::not_found(text),
        ResultError::BadSignature => Status::permission_denied(text),
        ResultError::Db(_) => unavailable(&error),
    }
}

/// The cause stays in our log; the caller learns only that trying again is right.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error, "failed to serve an instance");
    Status::unavailable("a store of the service is not reachable")
}
