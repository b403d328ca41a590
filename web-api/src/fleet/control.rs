//! Calls to the `InstanceControl` service of instances: one lazily connected channel each, a
//! deadline on every call, no retry (the callers decide).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gameserver_control::instance_control_client::InstanceControlClient;
use gameserver_control::secret::{AttachSecret, ControlSecret};
use gameserver_control::{
    KickPlayerRequest, KickPlayerResponse, ReadReplayRequest, ReadReplayResponse,
    StartMatchRequest, StartMatchResponse, StopMatchRequest, StopMatchResponse,
};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::config::{INSTANCE_CALL_DEADLINE, INSTANCES_MAX};
use crate::fleet::InstanceRecord;

type Client = InstanceControlClient<InterceptedService<Channel, AttachSecret>>;

/// Calls instances.
#[derive(Debug)]
pub(crate) struct ControlClients {
    secret: ControlSecret,
    channels: Mutex<HashMap<String, Channel>>,
}

/// A call to an instance that brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The instance registered a URL that cannot be called.
    #[error("call the instance: its control URL is not valid")]
    Url(#[source] tonic::transport::Error),
    /// The instance refused, or could not be reached.
    #[error("call the instance")]
    Refused(#[source] Box<Status>),
    /// No answer within the deadline.
    #[error("call the instance within {INSTANCE_CALL_DEADLINE:?}")]
    Deadline,
}

impl ControlError {
    /// True when the instance answered that it has no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::ResourceExhausted)
    }

    /// True when the instance answered that it will not do it, and asking again changes nothing.
    pub(crate) fn is_final(&self) -> bool {
        let final_codes = [
            Code::ResourceExhausted,
            Code::InvalidArgument,
            Code::NotFound,
            Code::Unimplemented,
        ];
        matches!(self, Self::Refused(status) if final_codes.contains(&status.code()))
    }
}

impl ControlClients {
    /// Calls with this secret.
    pub(crate) fn new(secret: ControlSecret) -> Self {
        Self {
            secret,
            channels: Mutex::default(),
        }
    }

    /// Asks an instance to host a match.
    pub(crate) async fn start_match(
        &self,
        instance: &InstanceRecord,
        request: StartMatchRequest,
    ) -> Result<StartMatchResponse, ControlError> {
        let mut client = self.client(instance)?;
        within_deadline(client.start_match(request)).await
    }

    /// Asks an instance to end a match.
    pub(crate) async fn stop_match(
        &self,
        instance: &InstanceRecord,
        request: StopMatchRequest,
    ) -> Result<StopMatchResponse, ControlError> {
        let mut client = self.client(instance)?;
        within_deadline(client.stop_match(request)).await
    }

    /// Asks an instance to close a player's connection.
    pub(crate) async fn kick_player(
        &self,
        instance: &InstanceRecord,
        request: KickPlayerRequest,
    ) -> Result<KickPlayerResponse, ControlError> {
        let mut client = self.client(instance)?;
        within_deadline(client.kick_player(request)).await
    }

    /// Reads a piece of a match's log.
    pub(crate) async fn read_replay(
        &self,
        instance: &InstanceRecord,
        request: ReadReplayRequest,
    ) -> Result<ReadReplayResponse, ControlError> {
        let mut client = self.client(instance)?;
        within_deadline(client.read_replay(request)).await
    }

    fn client(&self, instance: &InstanceRecord) -> Result<Client, ControlError> {
        let channel = self.channel(&instance.control_url)?;
        Ok(InstanceControlClient::with_interceptor(
            channel,
            self.secret.attach(),
        ))
    }

    fn channel(&self, url: &str) -> Result<Channel, ControlError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(url) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(ControlError::Url)?;
        let channel = endpoint
            .connect_timeout(INSTANCE_CALL_DEADLINE)
            .connect_lazy();
        // Instances come and go under new URLs; connecting anew is cheaper than counting uses.
        if channels.len() >= INSTANCES_MAX {
            channels.clear();
        }
        channels.insert(url.to_owned(), channel.clone());
        Ok(channel)
    }
}

async fn within_deadline<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ControlError> {
    match tokio::time::timeout(INSTANCE_CALL_DEADLINE, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(ControlError::Refused(Box::new(status))),
        Err(_) => Err(ControlError::Deadline),
    }
}
