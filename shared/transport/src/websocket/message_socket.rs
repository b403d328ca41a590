//! A WebSocket that any thread may write to without waiting: the protocol is tungstenite's, and no
//! task has to run for a message to leave. It knows no queues and no link.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

use crate::limits::{WEBSOCKET_UNFINISHED_MAX, WRITE_BYTES_MIN, WRITE_DEADLINE};
use crate::websocket::byte_stream::{ByteStream, ClientStream, PeerFault, StreamReadiness};

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct MessageSocket {
    readiness: StreamReadiness,
    protocol: Mutex<WebSocket<ByteStream>>,
}

/// Whether everything was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It was.
    Free,
    /// The rest waits for [`MessageSocket::flushed`].
    Blocked,
}

impl MessageSocket {
    /// Takes over a TCP stream whose HTTP handshake is done and that nothing else was read from.
    pub(crate) fn tcp(stream: TcpStream, role: Role, config: WebSocketConfig) -> Self {
        let stream = ByteStream::tcp(stream, unfinished_max(&config));
        Self::new(stream, role, config)
    }

    /// The same of a client's stream, encrypted or not.
    pub(crate) fn client(stream: MaybeTlsStream<ClientStream>, config: WebSocketConfig) -> Self {
        let stream = ByteStream::client(stream, unfinished_max(&config));
        Self::new(stream, Role::Client, config)
    }

    fn new(stream: ByteStream, role: Role, config: WebSocketConfig) -> Self {
        Self {
            readiness: stream.readiness(),
            protocol: Mutex::new(WebSocket::from_raw_socket(stream, role, Some(config))),
        }
    }

    fn protocol(&self) -> MutexGuard<'_, WebSocket<ByteStream>> {
        // A panic elsewhere leaves a message half written at worst, which its peer refuses.
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends both directions for good, whoever still holds this.
    pub(crate) fn shut_down(&self) {
        self.protocol().get_mut().shut_down();
    }

    /// Waits for the next message.
    pub(crate) async fn next(&self) -> Result<Message, WsError> {
        loop {
            if let Some(message) = self.read()? {
                return Ok(message);
            }
            self.readiness.readable().await?;
        }
    }

    fn read(&self) -> Result<Option<Message>, WsError> {
        let mut protocol = self.protocol();
        let message = unless_blocked(protocol.read())?;
        if message.is_some() {
            protocol.get_mut().unfinished = 0;
        }
        Ok(message)
    }

    /// Writes messages as long as they are taken. The rest stays where it is. Never waits.
    pub(crate) fn write_while_free(
        &self,
        messages: impl Iterator<Item = Message>,
    ) -> Result<Flow, WsError> {
        let mut protocol = self.protocol();
        // One that is not taken is in tungstenite's buffer, and no other one should be.
        for message in messages {
            if unless_blocked(protocol.write(message))?.is_none() {
                return Ok(Flow::Blocked);
            }
        }
        flush(&mut protocol)
    }

    /// Writes messages, in one piece where that fits. Never waits.
    pub(crate) fn write(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Flow, WsError> {
        let mut protocol = self.protocol();
        for message in messages {
            // What is not taken stays in tungstenite's bounded buffer.
            unless_blocked(protocol.write(message))?;
        }
        flush(&mut protocol)
    }

    /// Waits until everything was taken, as long as enough of it is: a peer that takes less than
    /// [`WRITE_BYTES_MIN`] in [`WRITE_DEADLINE`] is given up.
    pub(crate) async fn flushed(&self) -> Result<(), WsError> {
        loop {
            let before = self.written();
            if let Ok(flushed) = timeout(WRITE_DEADLINE, self.flushed_at_last()).await {
                return flushed;
            }
            if self.written() - before < WRITE_BYTES_MIN as u64 {
                return Err(io::Error::other(PeerFault::TakesTooLittle).into());
            }
        }
    }

    fn written(&self) -> u64 {
        self.protocol().get_ref().written
    }

    async fn flushed_at_last(&self) -> Result<(), WsError> {
        while flush(&mut self.protocol())? == Flow::Blocked {
            self.readiness.writable().await?;
        }
        Ok(())
    }

    /// Writes a message and waits until it was taken.
    pub(crate) async fn send(&self, message: Message) -> Result<(), WsError> {
        match self.write([message])? {
            Flow::Free => Ok(()),
            Flow::Blocked => self.flushed().await,
        }
    }
}

/// Bytes that may be read before a message has to be complete.
fn unfinished_max(config: &WebSocketConfig) -> usize {
    let message_max = config.max_message_size.unwrap_or(usize::MAX);
    message_max.saturating_mul(WEBSOCKET_UNFINISHED_MAX)
}

fn flush(protocol: &mut WebSocket<ByteStream>) -> Result<Flow, WsError> {
    let flushed = unless_blocked(protocol.flush())?;
    Ok(flushed.map_or(Flow::Blocked, |()| Flow::Free))
}

/// None when the stream asks to come again later.
fn unless_blocked<T>(done: Result<T, WsError>) -> Result<Option<T>, WsError> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::error::ProtocolError;

    use super::*;

    /// A socket and the bare stream at its other end.
    async fn connected() -> (MessageSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let config = WebSocketConfig::default().read_buffer_size(64);
        (
            MessageSocket::tcp(near.unwrap(), Role::Client, config),
            far.unwrap().0,
        )
    }

    /// A binary message as a server sends it.
    fn message(payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0x82, length], payload].concat()
    }

    #[tokio::test]
    async fn every_message_is_read_however_it_arrives() {
        let (socket, mut peer) = connected().await;
        // Two at once, then one that is larger than the buffer, then one in two parts.
        let sent = [&b"first"[..], b"second", &[7; 100], b"in two parts"];
        let bytes: Vec<_> = sent.iter().map(|payload| message(payload)).collect();
        peer.write_all(&bytes[..3].concat()).await.unwrap();
        for payload in &sent[..3] {
            assert_eq!(
                socket.next().await.unwrap(),
                Message::binary(payload.to_vec())
            );
        }
        let (begin, rest) = bytes[3].split_at(5);
        peer.write_all(begin).await.unwrap();
        let (next, ()) = tokio::join!(socket.next(), async {
            tokio::task::yield_now().await;
            peer.write_all(rest).await.unwrap();
        });
        assert_eq!(next.unwrap(), Message::binary(sent[3].to_vec()));
    }

    #[tokio::test]
    async fn an_end_that_comes_together_with_a_message_is_heard() {
        let (socket, mut peer) = connected().await;
        peer.write_all(&message(b"last words")).await.unwrap();
        drop(peer);
        // Both are there, and one readiness announced them.
        socket.readiness.readable().await.unwrap();
        assert_eq!(
            socket.next().await.unwrap(),
            Message::binary(&b"last words"[..])
        );
        let end = socket.next().await.unwrap_err();
        let expected = ProtocolError::ResetWithoutClosingHandshake;
        assert!(matches!(end, WsError::Protocol(why) if why == expected));
    }
}
