//! The WebSocket carrier, both ends, for networks where UDP is blocked: one payload is one message,
//! binary, or text for clients that asked for JSON.

use std::net::SocketAddr;
use std::sync::Arc;

use gameserver_contract::session::TransportKind;
use tokio::time::timeout;

use crate::any_sender::AnySender;
use crate::carrier::{Carrier, LinkLife};
use crate::close::{CloseCode, Side};
use crate::error::{ConnectError, ReadFrameError};
use crate::frame::{Answer, FrameError, Hello, Mode, Refused};
use crate::limits::{CLOSE_DEADLINE, DATAGRAM_SIZE_MAX};
use crate::link::{Link, LinkConfig};
use crate::websocket::close::{close_and_drain, close_message, close_reason};
use crate::websocket::connection_task::ConnectionTask;
use crate::websocket::encoding::Encoding;
use crate::websocket::message_socket::MessageSocket;
use crate::websocket::received::next_frame;
use crate::websocket::send_queue::{SendQueue, WriterPool};

/// A socket whose handshake is over, and what its messages are made of.
#[derive(Debug)]
pub(crate) struct WebSocketCarrier {
    pub(crate) socket: Arc<MessageSocket>,
    pub(crate) encoding: Encoding,
    pub(crate) peer: SocketAddr,
    /// What writes its datagrams.
    pub(crate) writers: Arc<WriterPool>,
}

impl Carrier for WebSocketCarrier {
    fn kind(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn datagram_size_max(&self) -> usize {
        DATAGRAM_SIZE_MAX
    }

    async fn read_hello(&mut self) -> Result<Hello, ReadFrameError> {
        let malformed = |field| ReadFrameError::Malformed(FrameError::Malformed { field });
        match next_frame(&self.socket, self.encoding).await {
            Ok(bytes) => {
                let hello = Hello::decode(&bytes).map_err(ReadFrameError::Malformed)?;
                // What native mode sends is no frame and has no equal in JSON.
                if self.encoding == Encoding::Json && hello.mode == Mode::Native {
                    return Err(malformed("mode"));
                }
                Ok(hello)
            }
            Err(reason) if reason.by == Side::Us => Err(malformed("message")),
            Err(_) => Err(ReadFrameError::Lost),
        }
    }

    async fn send_hello(&mut self, hello: Vec<u8>, _mode: Mode) -> Result<Answer, ConnectError> {
        let hello = self.encoding.message(hello.into());
        let sent = self.socket.send(hello.map_err(ConnectError::Lost)?).await;
        sent.map_err(|error| ConnectError::Lost(close_reason(&error)))?;
        let answer = next_frame(&self.socket, self.encoding).await;
        Answer::decode(&answer.map_err(ConnectError::Lost)?)
            .map_err(ConnectError::MalformedResponse)
    }

    async fn refuse(self, refused: &Refused, answer: Vec<u8>) {
        let code = refused.code.close_code();
        let Ok(answer) = self.encoding.message(answer.into()) else {
            return;
        };
        let delivery = async {
            self.socket.send(answer).await?;
            close_and_drain(&self.socket, code, &refused.text).await
        };
        // A client that has closed needs no answer.
        let _ = timeout(CLOSE_DEADLINE, delivery).await;
    }

    async fn leave(self) {
        // Nobody waits for a peer that does not read, and the server closes by itself as well.
        tokio::spawn(async move {
            let closing = self.socket.send(close_message(CloseCode::Consented, ""));
            let _ = timeout(CLOSE_DEADLINE, closing).await;
        });
    }

    fn open(
        self,
        config: LinkConfig,
        life: LinkLife,
    ) -> (Arc<Link>, impl Future<Output = ()> + Send + 'static) {
        let queue = SendQueue::new(
            self.socket,
            self.encoding,
            self.writers,
            Arc::clone(&config.events),
        );
        let link = Link::new(config, AnySender::WebSocket(Arc::clone(&queue)));
        let task = ConnectionTask::new(Arc::clone(&link), queue);
        (link, task.run(life))
    }
}
