//! QUIC's configuration, both ends, with every limit set: quinn's defaults allow about 250 MB a
//! connection. It opens nothing.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{AckFrequencyConfig, ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};

use crate::certificate::{IdentityError, ServerCertificate, ServerIdentity};
use crate::limits::{
    ACK_AFTER_PACKETS, ACK_DELAY_MAX, ALPN, ALPN_WEB, KEEP_ALIVE, QUIC_CONNECTION_WINDOW,
    QUIC_CRYPTO_BUFFER, QUIC_DATAGRAM_RECEIVE_BUFFER, QUIC_DATAGRAM_SEND_BUFFER,
    QUIC_INCOMING_BUFFER, QUIC_INCOMING_BUFFER_TOTAL, QUIC_INCOMING_MAX, QUIC_SEND_WINDOW,
    QUIC_STREAM_WINDOW, QUIC_STREAMS_MAX,
};
use crate::quic::ack_delay::DeclaresAckDelay;
use crate::quic::congestion::Floored;

/// The server's side of the configuration.
pub(crate) fn server_config(
    certificate: &ServerCertificate,
    idle_timeout: Duration,
) -> Result<ServerConfig, IdentityError> {
    let crypto = server_crypto(certificate)?;
    let mut transport = transport_config(idle_timeout);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        // Pages cannot ask their browser to keep a quiet connection alive.
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = ServerConfig::with_crypto(crypto);
    config
        .transport_config(Arc::new(transport))
        .max_incoming(QUIC_INCOMING_MAX)
        .incoming_buffer_size(QUIC_INCOMING_BUFFER)
        .incoming_buffer_size_total(QUIC_INCOMING_BUFFER_TOTAL);
    Ok(config)
}

/// The part of it that depends on the certificate.
pub(crate) fn server_crypto(
    certificate: &ServerCertificate,
) -> Result<Arc<DeclaresAckDelay<QuicServerConfig>>, IdentityError> {
    let tls = QuicServerConfig::try_from(certificate.tls_config(&[ALPN, ALPN_WEB])?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(DeclaresAckDelay::new(tls))
}

/// The client's side: the server may open no stream but those of HTTP/3, and the client keeps the
/// link alive.
pub(crate) fn client_config(
    identity: ServerIdentity,
    alpn: &[u8],
    idle_timeout: Duration,
) -> Result<ClientConfig, IdentityError> {
    let tls = QuicClientConfig::try_from(identity.tls_config(Some(alpn))?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut transport = transport_config(idle_timeout);
    let streams_max = if alpn == ALPN_WEB {
        QUIC_STREAMS_MAX
    } else {
        0
    };
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(streams_max))
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = ClientConfig::new(DeclaresAckDelay::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn transport_config(idle_timeout: Duration) -> TransportConfig {
    let idle_timeout_ms = u32::try_from(idle_timeout.as_millis()).unwrap_or(u32::MAX);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_timeout_ms))))
        .stream_receive_window(VarInt::from_u32(QUIC_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(QUIC_CONNECTION_WINDOW))
        .send_window(QUIC_SEND_WINDOW)
        .crypto_buffer_size(QUIC_CRYPTO_BUFFER)
        .congestion_controller_factory(Arc::new(Floored::default()))
        .ack_frequency_config(Some(ack_frequency()))
        .datagram_receive_buffer_size(Some(QUIC_DATAGRAM_RECEIVE_BUFFER))
        .datagram_send_buffer_size(QUIC_DATAGRAM_SEND_BUFFER);
    config
}

/// How the peer is asked to acknowledge, where it knows how (draft-ietf-quic-ack-frequency): what
/// both sides send all the time carries the acknowledgements, and few packets are sent for them
/// alone.
fn ack_frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config
        .ack_eliciting_threshold(VarInt::from_u32(ACK_AFTER_PACKETS))
        .max_ack_delay(Some(ACK_DELAY_MAX));
    config
}
