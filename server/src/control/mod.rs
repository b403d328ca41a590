//! The instance's side of the control plane: registers with web-api, tells it what is hosted,
//! hands in results, and does what it is asked.

mod registration;
mod replay;
mod results;
mod service;

pub use registration::{Announcement, run as keep_registered};
pub use results::run as hand_in_results;
pub use service::ControlService;

use gameserver_control::registry_client::RegistryClient;
use gameserver_control::secret::{AttachSecret, ControlSecret};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// How long web-api may take to answer.
const CALL_DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);

/// A client of web-api's registry.
pub type Registry = RegistryClient<InterceptedService<Channel, AttachSecret>>;

/// Makes a client that connects when it is first used, and again whenever it has to.
///
/// # Errors
///
/// The URL is none.
pub fn registry(url: &str, secret: &ControlSecret) -> Result<Registry, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CALL_DEADLINE)
        .timeout(CALL_DEADLINE);
    Ok(RegistryClient::with_interceptor(
        endpoint.connect_lazy(),
        secret.attach(),
    ))
}
