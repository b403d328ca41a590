//! Opens QUIC connections from the client's end. It knows no WebTransport and no Hello.

use std::net::SocketAddr;

use quinn::{ClientConfig, Endpoint};

use crate::error::AttemptError;
use crate::limits::STAGGER;
use crate::quic::datagram_pump::{PumpedConnection, with_pump};
use crate::race::race;

/// Connects to the first of these addresses that answers. Returns the pump of its driver, too.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    addresses: Vec<SocketAddr>,
    host: &str,
    config: &ClientConfig,
) -> Result<PumpedConnection, AttemptError> {
    let attempts = addresses.into_iter().map(|address| {
        let config = config.clone();
        async move {
            let (connecting, pump) = with_pump(|| endpoint.connect_with(config, address, host));
            let connecting = connecting.map_err(|error| AttemptError::Quic(error.to_string()))?;
            let connection = connecting.await;
            let connection = connection.map_err(|error| AttemptError::Quic(error.to_string()))?;
            Ok((connection, pump))
        }
    });
    let (connection, pump) = race(STAGGER, attempts).await.map_err(AttemptError::first)?;
    if connection.max_datagram_size().is_none() {
        return Err(AttemptError::Quic(
            "the server takes no datagrams".to_owned(),
        ));
    }
    Ok((connection, pump))
}
