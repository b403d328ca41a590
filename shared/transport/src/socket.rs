//! A WebSocket over plain TCP that any thread may write to without waiting: the protocol is
//! tungstenite's, the stream is tokio's, and no task has to run for a frame to leave.
//!
//! It knows no queues and no link.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
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
