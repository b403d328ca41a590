//! A WebSocket over plain TCP that any thread may write to without waiting: the protocol is
//! tungstenite's, the stream is tokio's, and no task has to run for a frame to leave.
//!
//! It knows no queues and no link.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    protocol: Mutex<WebSocket<Wire>>,
}

/// Whether the system took everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It did.
    Free,
    /// The rest waits for [`Socket::flushed`].
    Blocked,
}

/// The stream as tungstenite wants it: what cannot be done now is an error.
#[derive(Debug)]
struct Wire(Arc<TcpStream>);

impl Read for Wire {
    /// When less came than there is room for, the system has no more. The stream learns that
    /// without another call which would say so: readiness comes by the edge, and what comes after
    /// this read makes a new one.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut last = None;
        let read = self.0.try_io(Interest::READABLE, || {
            let count = (&*SockRef::from(&*self.0)).read(buffer)?;
            if (1..buffer.len()).contains(&count) {
                last = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        last.map_or(read, Ok)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Takes over a stream whose HTTP handshake is done and that nothing else was read from.
    pub(crate) fn new(stream: TcpStream, role: Role, config: WebSocketConfig) -> Self {
        let stream = Arc::new(stream);
        let wire = Wire(Arc::clone(&stream));
        Self {
            stream,
            protocol: Mutex::new(WebSocket::from_raw_socket(wire, role, Some(config))),
        }
    }

    fn protocol(&self) -> MutexGuard<'_, WebSocket<Wire>> {
        // A panic elsewhere leaves a message half written at worst, which its peer refuses.
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next message.
    pub(crate) async fn next(&self) -> Result<Message, WsError> {
        loop {
            if let Some(message) = unless_blocked(self.protocol().read())? {
                return Ok(message);
            }
            self.stream.readable().await?;
        }
    }

    /// Writes messages, in one piece where that fits. Never waits.
    pub(crate) fn write(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Flow, WsError> {
        let mut protocol = self.protocol();
        for message in messages {
            // What the system does not take stays in tungstenite's bounded buffer.
            unless_blocked(protocol.write(message))?;
        }
        flush(&mut protocol)
    }

    /// Waits until the system has taken everything.
    pub(crate) async fn flushed(&self) -> Result<(), WsError> {
        while flush(&mut self.protocol())? == Flow::Blocked {
            self.stream.writable().await?;
        }
        Ok(())
    }

    /// Writes messages and waits until the system has taken them.
    pub(crate) async fn send(&self, message: Message) -> Result<(), WsError> {
        match self.write([message])? {
            Flow::Free => Ok(()),
            Flow::Blocked => self.flushed().await,
        }
    }
}

fn flush(protocol: &mut WebSocket<Wire>) -> Result<Flow, WsError> {
    let flushed = unless_blocked(protocol.flush())?;
    Ok(flushed.map_or(Flow::Blocked, |()| Flow::Free))
}

/// None when the system asks to come again later.
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
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::error::ProtocolError;

    use super::*;

    /// A socket and the bare stream at its other end.
    async fn connected() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let config = WebSocketConfig::default().read_buffer_size(64);
        (
            Socket::new(near.unwrap(), Role::Client, config),
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
        // Both are there, and one readiness was all that was told of them.
        socket.stream.readable().await.unwrap();
        assert_eq!(
            socket.next().await.unwrap(),
            Message::binary(&b"last words"[..])
        );
        let end = socket.next().await.unwrap_err();
        let expected = ProtocolError::ResetWithoutClosingHandshake;
        assert!(matches!(end, WsError::Protocol(why) if why == expected));
    }
}
