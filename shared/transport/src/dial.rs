//! Brings up the transport of one offer, handshakes included. It sends no Hello.

use std::net::SocketAddr;
use std::time::Duration;

use gameserver_contract::session::{TransportKind, TransportOffer};
use quinn::{ClientConfig, Endpoint};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_util::either::Either;

use crate::any_carrier::AnyCarrier;
use crate::certificate::ServerIdentity;
use crate::client_endpoint::ClientEndpoint;
use crate::error::AttemptError;
use crate::limits::{ALPN, ALPN_WEB, STAGGER};
use crate::quic::carrier::QuicCarrier;
use crate::quic::config::client_config;
use crate::quic::datagram_pump::{PumpedConnection, with_pump};
use crate::quic::session::QuicSession;
use crate::quic::webtransport;
use crate::race::race;
use crate::sockets;
use crate::websocket::carrier::WebSocketCarrier;
use crate::websocket::encoding::Encoding;
use crate::websocket::handshake;
use crate::websocket::send_queue::WriterPool;

/// Dials one offer; without a shared endpoint the connection opens its own.
pub(crate) async fn dial_offer(
    offer: &TransportOffer,
    shared: Option<&ClientEndpoint>,
    idle_timeout: Duration,
) -> Result<AnyCarrier, AttemptError> {
    let address = OfferAddress::parse(offer)?;
    let identity = ServerIdentity::from_offer(offer.certificate_sha256.as_deref())?;
    let session = match offer.kind {
        TransportKind::Quic => {
            let dialing = address.dial_quic(ALPN, identity, shared, idle_timeout);
            let (connection, pump) = dialing.await?;
            QuicSession::bare(connection, pump)
        }
        TransportKind::WebTransport => {
            let dialing = address.dial_quic(ALPN_WEB, identity, shared, idle_timeout);
            let (connection, _) = dialing.await?;
            webtransport::connect(connection, &offer.url).await?
        }
        TransportKind::WebSocket => {
            let carrier = address.dial_websocket(&offer.url, identity, shared).await?;
            return Ok(AnyCarrier::WebSocket(carrier));
        }
    };
    Ok(AnyCarrier::Quic(Box::new(QuicCarrier::new(session))))
}

/// An offer's address, taken apart.
struct OfferAddress {
    host: String,
    port: u16,
}

impl OfferAddress {
    fn parse(offer: &TransportOffer) -> Result<Self, AttemptError> {
        let bad = || AttemptError::BadUrl(offer.url.clone());
        let uri: Uri = offer.url.parse().map_err(|_| bad())?;
        let default_port = match (offer.kind, uri.scheme_str()) {
            (TransportKind::Quic, Some("quic")) => None,
            (TransportKind::WebSocket, Some("ws")) => Some(80),
            (TransportKind::WebTransport, Some("https"))
            | (TransportKind::WebSocket, Some("wss")) => Some(443),
            _ => return Err(bad()),
        };
        let port = uri.port_u16().or(default_port).ok_or_else(bad)?;
        // URLs have brackets around IPv6 addresses; resolvers take none.
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Connects over WebSocket.
    async fn dial_websocket(
        &self,
        url: &str,
        identity: ServerIdentity,
        shared: Option<&ClientEndpoint>,
    ) -> Result<WebSocketCarrier, AttemptError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        sockets::tune(&stream)?;
        let peer = stream.peer_addr()?;
        let stream = match shared {
            Some(endpoint) => endpoint.stream(stream),
            None => Either::Left(stream),
        };
        let socket = handshake::connect(url, stream, identity).await?;
        Ok(WebSocketCarrier {
            socket: socket.into(),
            encoding: Encoding::MessagePack,
            peer,
            writers: shared
                .map_or_else(|| WriterPool::spawn(1), |endpoint| endpoint.writers.clone()),
        })
    }

    /// Connects over QUIC to the first of the host's addresses that answers.
    async fn dial_quic(
        &self,
        alpn: &[u8],
        identity: ServerIdentity,
        shared: Option<&ClientEndpoint>,
        idle_timeout: Duration,
    ) -> Result<PumpedConnection, AttemptError> {
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let endpoint = match shared {
            Some(shared) => shared.clone(),
            None => ClientEndpoint::bind()?,
        };
        let config = client_config(identity, alpn, idle_timeout)?;
        let addresses = addresses.collect();
        dial_quic(&endpoint.endpoint, addresses, &self.host, &config).await
    }
}

/// Connects to the first of these addresses that answers. Returns the pump of its driver, too.
pub(crate) async fn dial_quic(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: TransportKind, url: &str) -> Option<(String, u16)> {
        let offer = TransportOffer {
            kind,
            url: url.to_owned(),
            certificate_sha256: None,
        };
        OfferAddress::parse(&offer)
            .ok()
            .map(|address| (address.host, address.port))
    }

    #[test]
    fn offers_name_a_host_and_a_port() {
        let quic = parse(TransportKind::Quic, "quic://[::1]:7777");
        assert_eq!(quic, Some(("::1".to_owned(), 7777)));
        let websocket = parse(TransportKind::WebSocket, "wss://play.example/gs");
        assert_eq!(websocket, Some(("play.example".to_owned(), 443)));
        let web = parse(TransportKind::WebTransport, "https://127.0.0.1:7777/any");
        assert_eq!(web, Some(("127.0.0.1".to_owned(), 7777)));
    }

    #[test]
    fn an_address_of_another_transport_is_refused() {
        assert_eq!(parse(TransportKind::Quic, "ws://127.0.0.1:1"), None);
        assert_eq!(parse(TransportKind::WebSocket, "http://127.0.0.1:1"), None);
        assert_eq!(parse(TransportKind::Quic, "quic://127.0.0.1"), None);
        assert_eq!(parse(TransportKind::Quic, "not an address"), None);
    }
}
