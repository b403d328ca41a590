//! A WebSocket over plain TCP that any thread may write to without waiting: the protocol is
//! tungstenite's, the stream is tokio's, and no task has to run for a frame to leave.
//!
//! It knows no queues and no link.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

use crate::limits::{WEBSOCKET_UNFINISHED_MAX, WRITE_BYTES_MIN, WRITE_DEADLINE};

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    protocol: Mutex<WebSocket<Wire>>,
}

/// What a peer did wrong that is no fault of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Abuse {
    /// It takes too little of what is sent.
    #[error("what was sent was not taken in time")]
    TakesTooLittle,
    /// It begins messages that do not end.
    #[error("a message did not end")]
    NeverEnds,
}

impl Abuse {
    /// What is wrong, if it is one of these.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
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
struct Wire {
    stream: Arc<TcpStream>,
    /// Bytes that the system took, ever.
    written: u64,
    /// Bytes read since the last message was complete, and how many may be.
    unfinished: usize,
    unfinished_max: usize,
}

impl Read for Wire {
    /// When less came than there is room for, the system has no more. The stream learns that
    /// without another call which would say so: readiness comes by the edge, and what comes after
    /// this read makes a new one.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unfinished > self.unfinished_max {
            return Err(io::Error::other(Abuse::NeverEnds));
        }
        let mut last = None;
        let read = self.stream.try_io(Interest::READABLE, || {
            let count = (&*SockRef::from(&*self.stream)).read(buffer)?;
            if (1..buffer.len()).contains(&count) {
                last = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        let read = last.map_or(read, Ok);
        self.unfinished += read.as_ref().map_or(0, |count| *count);
        read
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.try_write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Takes over a stream whose HTTP handshake is done and that nothing else was read from.
    pub(crate) fn new(stream: TcpStream, role: Role, config: WebSocketConfig) -> Self {
        let stream = Arc::new(stream);
        let message_max = config.max_message_size.unwrap_or(usize::MAX);
        let wire = Wire {
            stream: Arc::clone(&stream),
            written: 0,
            unfinished: 0,
            unfinished_max: message_max.saturating_mul(WEBSOCKET_UNFINISHED_MAX),
        };
        Self {
            stream,
            protocol: Mutex::new(WebSocket::from_raw_socket(wire, role, Some(config))),
        }
    }

    fn protocol(&self) -> MutexGuard<'_, WebSocket<Wire>> {
        // A panic elsewhere leaves a message half written at worst, which its peer refuses.
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends both directions for good, whoever still holds this. A peer that goes on writing is
    /// reset.
    pub(crate) fn shut_down(&self) {
        // It fails when the peer was quicker.
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
    }

    /// Waits for the next message.
    pub(crate) async fn next(&self) -> Result<Message, WsError> {
        loop {
            if let Some(message) = self.read()? {
                return Ok(message);
            }
            self.stream.readable().await?;
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

    /// Writes messages as long as the system takes them. The rest stays where it is. Never waits.
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
            // What the system does not take stays in tungstenite's bounded buffer.
            unless_blocked(protocol.write(message))?;
        }
        flush(&mut protocol)
    }

    /// Waits until the system has taken everything, as long as it takes enough: a peer that takes
    /// less than [`WRITE_BYTES_MIN`] in [`WRITE_DEADLINE`] is given up.
    pub(crate) async fn flushed(&self) -> Result<(), WsError> {
        loop {
            let before = self.written();
            if let Ok(flushed) = timeout(WRITE_DEADLINE, self.flushed_at_last()).await {
                return flushed;
            }
            if self.written() - before < WRITE_BYTES_MIN as u64 {
                return Err(io::Error::other(Abuse::TakesTooLittle).into());
            }
        }
    }

    fn written(&self) -> u64 {
        self.protocol().get_ref().written
    }

    async fn flushed_at_last(&self) -> Result<(), WsError> {
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
