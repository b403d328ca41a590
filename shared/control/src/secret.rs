//! The secret that instances and web-api know each other by.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Shortest secret in bytes that is accepted.
pub const SECRET_LENGTH_MIN: usize = 16;

/// Adds the secret to every call, or demands it of every call.
#[derive(Clone)]
pub struct ControlSecret {
    header: Arc<MetadataValue<Ascii>>,
}

impl fmt::Debug for ControlSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSecret").finish_non_exhaustive()
    }
}

/// A secret that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the control secret must be at least {SECRET_LENGTH_MIN} visible ASCII characters")]
pub struct InvalidSecret;

impl ControlSecret {
    /// Takes the secret from the configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] when it is too short or has characters that a header cannot carry.
    pub fn new(secret: &str) -> Result<Self, InvalidSecret> {
        if secret.len() < SECRET_LENGTH_MIN || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidSecret);
        }
        let header = format!("Bearer {secret}")
            .parse()
            .map_err(|_| InvalidSecret)?;
        Ok(Self {
            header: Arc::new(header),
        })
    }

    /// The client's side: adds the secret to every call.
    #[must_use]
    pub fn attach(&self) -> AttachSecret {
        AttachSecret(self.clone())
    }

    /// The server's side: refuses every call without the secret.
    #[must_use]
    pub fn demand(&self) -> DemandSecret {
        DemandSecret(self.clone())
    }
}

/// Interceptor of a client, made by [`ControlSecret::attach`].
#[derive(Debug, Clone)]
pub struct AttachSecret(ControlSecret);

impl Interceptor for AttachSecret {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", (*self.0.header).clone());
        Ok(request)
    }
}

/// Interceptor of a server, made by [`ControlSecret::demand`].
#[derive(Debug, Clone)]
pub struct DemandSecret(ControlSecret);

impl Interceptor for DemandSecret {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get("authorization");
        // Hashes are compared, so that the time taken says nothing about the secret.
        let digest = |value: &MetadataValue<Ascii>| Sha256::digest(value.as_bytes());
        match given {
            Some(given) if digest(given) == digest(&self.0.header) => Ok(request),
            _ => Err(Status::unauthenticated(
                "the control secret is missing or wrong",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_passes_with_the_same_secret_only() {
        let ours = ControlSecret::new("correct horse battery").is_err();
        assert!(ours, "a space cannot stand in the secret");
        let secret = ControlSecret::new("correct-horse-battery").unwrap();
        let other = ControlSecret::new("correct-horse-staple!").unwrap();
        let call = |from: &ControlSecret| from.attach().call(Request::new(())).unwrap();
        assert!(secret.demand().call(call(&secret)).is_ok());
        assert!(secret.demand().call(call(&other)).is_err());
        assert!(secret.demand().call(Request::new(())).is_err());
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(ControlSecret::new("short").unwrap_err(), InvalidSecret);
    }
}
