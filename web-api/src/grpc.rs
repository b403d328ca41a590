//! The gRPC face: `Registry`, which instances call. Thin: it reads nothing and decides nothing.

use std::sync::Arc;

use gameserver_control::registry_server::Registry;
use gameserver_control::{
    HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse, ResultReport,
    ResultResponse,
};
use tonic::{Request, Response, Status};

use crate::compose::SharedApp;
use crate::matches::results::ResultError;
use crate::sessions::hosting::RegistryError;

/// Serves the registry. Every call runs to its end even when the instance hangs up.
#[derive(Debug, Clone)]
pub(crate) struct RegistryService(pub(crate) SharedApp);

#[tonic::async_trait]
impl Registry for RegistryService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let app = Arc::clone(&self.0);
        let work = async move { app.register(request.into_inner()).await };
        answer(self.0.run_to_end(work).await.map_err(registry_status))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let app = Arc::clone(&self.0);
        let work = async move { app.heartbeat(request.into_inner()).await };
        answer(self.0.run_to_end(work).await.map_err(registry_status))
    }

    async fn report_result(
        &self,
        request: Request<ResultReport>,
    ) -> Result<Response<ResultResponse>, Status> {
        let app = Arc::clone(&self.0);
        let work = async move { app.report_result(request.into_inner()).await };
        answer(self.0.run_to_end(work).await.map_err(result_status))
    }
}

fn answer<T>(outcome: Result<T, Status>) -> Result<Response<T>, Status> {
    outcome.map(Response::new)
}

fn registry_status(error: RegistryError) -> Status {
    match error {
        RegistryError::Malformed(_) => Status::invalid_argument(error.to_string()),
        RegistryError::Store(_) => unavailable(&error),
    }
}

fn result_status(error: ResultError) -> Status {
    let text = error.to_string();
    match error {
        ResultError::Malformed | ResultError::Implausible(_) => Status::invalid_argument(text),
        ResultError::UnknownMatch => Status::not_found(text),
        ResultError::BadSignature => Status::permission_denied(text),
        ResultError::Store(_) => unavailable(&error),
    }
}

/// The cause stays in our log; the caller learns only that trying again is right.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error, "failed to serve an instance");
    Status::unavailable("a store of the service is not reachable")
}
