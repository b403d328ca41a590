//! Declares to the peer that our acknowledgements may take a while, so that they can travel with
//! what is sent anyway.
//!
//! quinn asks its peer to acknowledge within a round trip or 25 ms, whichever is longer, whatever
//! its configuration says; unless the peer declared that it needs longer. On a near server every
//! snapshot had an acknowledgement of its own beside it, which was half of all packets. quinn has
//! no setting for what it declares, so that is changed on its way into the TLS session, the only
//! place where it can be had. Nothing else of the session is touched.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{ClientConfig, Keys, ServerConfig, Session, UnsupportedVersion};
use quinn::{ConnectError, Side, VarInt};
use quinn_proto::ConnectionId;
use quinn_proto::coding::{Codec, UnexpectedEnd};
use quinn_proto::transport_parameters::TransportParameters;

use crate::limits::ACK_DELAY_MAX;

/// `max_ack_delay` in milliseconds: RFC 9000, section 18.2.
const MAX_ACK_DELAY: u64 = 0x0b;
/// `min_ack_delay` in microseconds: draft-ietf-quic-ack-frequency-07, section 3.
const MIN_ACK_DELAY: u64 = 0xff04_de1b;

/// A TLS configuration whose sessions declare [`ACK_DELAY_MAX`].
#[derive(Debug)]
pub(crate) struct DeclaresAckDelay<C>(Arc<C>);

impl<C> DeclaresAckDelay<C> {
    pub(crate) fn new(config: C) -> Arc<Self> {
        Arc::new(Self(Arc::new(config)))
    }
}

impl ServerConfig for DeclaresAckDelay<QuicServerConfig> {
    fn initial_keys(
        &self,
        version: u32,
        client: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        self.0.initial_keys(version, client)
    }

    fn retry_tag(&self, version: u32, client: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.0.retry_tag(version, client, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        parameters: &TransportParameters,
    ) -> Box<dyn Session> {
        let parameters = declaring(parameters, Side::Client);
        Arc::clone(&self.0).start_session(version, &parameters)
    }
}

impl ClientConfig for DeclaresAckDelay<QuicClientConfig> {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        parameters: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let parameters = declaring(parameters, Side::Server);
        Arc::clone(&self.0).start_session(version, server_name, &parameters)
    }
}

/// These parameters with [`ACK_DELAY_MAX`], valid for this side to read.
fn declaring(parameters: &TransportParameters, reader: Side) -> TransportParameters {
    let mut bytes = Vec::new();
    parameters.write(&mut bytes);
    let declaring = with_delay(&bytes, ACK_DELAY_MAX);
    let declaring = declaring.map(|bytes| TransportParameters::read(reader, &mut bytes.as_slice()));
    if let Ok(Ok(declaring)) = declaring {
        return declaring;
    }
    // More packets are sent, and all works as well.
    tracing::error!("QUIC's parameters were not understood: acknowledgements will not wait");
    *parameters
}

/// Encoded parameters, in which both delays are this one.
fn with_delay(mut bytes: &[u8], delay: Duration) -> Result<Vec<u8>, UnexpectedEnd> {
    let mut result = Vec::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let (id, value) = take_parameter(&mut bytes)?;
        if id != MAX_ACK_DELAY && id != MIN_ACK_DELAY {
            put_parameter(&mut result, id, value);
        }
    }
    let delays = [
        (MAX_ACK_DELAY, delay.as_millis()),
        (MIN_ACK_DELAY, delay.as_micros()),
    ];
    for (id, delay) in delays {
        let mut value = Vec::new();
        put_number(&mut value, u64::try_from(delay).unwrap_or(u64::MAX));
        put_parameter(&mut result, id, &value);
    }
    Ok(result)
}

fn take_parameter<'bytes>(bytes: &mut &'bytes [u8]) -> Result<(u64, &'bytes [u8]), UnexpectedEnd> {
    let id = VarInt::decode(bytes)?.into_inner();
    let length = VarInt::decode(bytes)?.into_inner();
    let length = usize::try_from(length).map_err(|_| UnexpectedEnd)?;
    let (value, rest) = bytes.split_at_checked(length).ok_or(UnexpectedEnd)?;
    *bytes = rest;
    Ok((id, value))
}

fn put_parameter(result: &mut Vec<u8>, id: u64, value: &[u8]) {
    put_number(result, id);
    put_number(result, value.len() as u64);
    result.extend_from_slice(value);
}

fn put_number(result: &mut Vec<u8>, number: u64) {
    VarInt::from_u64(number)
        .unwrap_or(VarInt::MAX)
        .encode(result);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `initial_max_data` of 5 and a `min_ack_delay` of 1 ms.
    const DECLARED: &[u8] = &[
        0x04, 1, 5, 0xc0, 0, 0, 0, 0xff, 0x04, 0xde, 0x1b, 2, 0x43, 0xe8,
    ];

    #[test]
    fn both_delays_are_ours_and_all_else_stays() {
        let declaring = with_delay(DECLARED, Duration::from_millis(60)).unwrap();
        let delays = [
            0x0b, 1, 60, 0xc0, 0, 0, 0, 0xff, 0x04, 0xde, 0x1b, 4, 0x80, 0x00, 0xea, 0x60,
        ];
        assert_eq!(declaring, [&DECLARED[..3], &delays].concat());
    }

    #[test]
    fn parameters_that_break_off_are_not_understood() {
        for length in [1, 2, 9, 13] {
            assert!(with_delay(&DECLARED[..length], ACK_DELAY_MAX).is_err());
        }
    }
}
