//! Strangers at the instance's sockets: they speak UDP and WebSocket, but not our protocol, or
//! only its beginning.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use gameserver_contract::session::JoinResponse;
use gameserver_transport::close::CloseCode;
use gameserver_transport::frame::{Answer, Credential};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::patience::within;
use crate::stage::Stage;

/// Sends datagrams to an instance's UDP port.
///
/// # Panics
///
/// When there is no free port.
pub async fn send_datagrams(address: SocketAddr, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await;
    let socket = socket.expect("a free port");
    for datagram in datagrams {
        // The system may have no room for so many; what is lost here is no loss.
        let _ = socket.send_to(datagram, address).await;
    }
}

/// A WebSocket without our client behind it.
#[derive(Debug)]
pub struct BareWebSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl BareWebSocket {
    /// Connects and says nothing.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> Self {
        let connected = Box::pin(within(connect_async(format!("ws://{address}")))).await;
        Self {
            stream: connected.expect("the instance listens").0,
        }
    }

    /// Connects and is welcomed.
    ///
    /// # Panics
    ///
    /// When the instance does not let them in.
    pub async fn join(stage: &Stage, answer: &JoinResponse) -> Self {
        let mut bare = Self::connect(stage.address()).await;
        let credential = Credential::Ticket(answer.ticket.clone());
        let hello = stage.hello(credential).encode();
        let hello = Message::binary(hello.expect("a short Hello"));
        bare.send(hello).await;
        let welcome = bare.answer().await;
        assert!(matches!(welcome, Answer::Welcome(_)), "{welcome:?}");
        bare
    }

    /// Sends a message, or loses it when the instance has closed.
    pub async fn send(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// Waits for the answer to a Hello.
    ///
    /// # Panics
    ///
    /// When there comes something else.
    pub async fn answer(&mut self) -> Answer {
        let message = within(self.stream.next()).await.expect("an answer");
        let bytes = message.expect("an answer").into_data();
        Answer::decode(&bytes).expect("a readable answer")
    }

    /// Waits for the end and its code; none when the code did not come through, as when the
    /// instance hangs up in the middle of what it was sent.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        while let Some(Ok(message)) = within(self.stream.next()).await {
            if let Message::Close(frame) = message {
                return Some(CloseCode::from_websocket_code(frame?.code.into()));
            }
        }
        None
    }
}
