//! Whichever carrier a client came or connects by. It decides nothing but which one is called.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use gameserver_contract::session::TransportKind;

use crate::carrier::{Carrier, LinkLife};
use crate::error::{ConnectError, ReadFrameError};
use crate::frame::{Answer, Hello, Mode, Refused};
use crate::link::{Link, LinkConfig};
use crate::quic::carrier::QuicCarrier;
use crate::websocket::carrier::WebSocketCarrier;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Debug)]
pub(crate) enum AnyCarrier {
    /// QUIC and WebTransport.
    Quic(Box<QuicCarrier>),
    WebSocket(WebSocketCarrier),
}

/// Calls a method of the carrier there is.
macro_rules! delegate {
    ($any:ident.$method:ident($($argument:ident),*) $($after:tt)*) => {
        match $any {
            Self::Quic(carrier) => carrier.$method($($argument),*) $($after)*,
            Self::WebSocket(carrier) => carrier.$method($($argument),*) $($after)*,
        }
    };
}

impl Carrier for AnyCarrier {
    fn kind(&self) -> TransportKind {
        delegate!(self.kind())
    }

    fn peer(&self) -> SocketAddr {
        delegate!(self.peer())
    }

    fn datagram_size_max(&self) -> usize {
        delegate!(self.datagram_size_max())
    }

    async fn read_hello(&mut self) -> Result<Hello, ReadFrameError> {
        delegate!(self.read_hello().await)
    }

    async fn send_hello(&mut self, hello: Vec<u8>, mode: Mode) -> Result<Answer, ConnectError> {
        delegate!(self.send_hello(hello, mode).await)
    }

    async fn refuse(self, refused: &Refused, answer: Vec<u8>) {
        delegate!(self.refuse(refused, answer).await);
    }

    async fn leave(self) {
        delegate!(self.leave().await);
    }

    fn open(
        self,
        config: LinkConfig,
        life: LinkLife,
    ) -> (Arc<Link>, impl Future<Output = ()> + Send + 'static) {
        // Boxed, so that the smaller task does not take the room of the larger.
        match self {
            Self::Quic(carrier) => {
                let (link, task) = carrier.open(config, life);
                (link, Box::pin(task) as Task)
            }
            Self::WebSocket(carrier) => {
                let (link, task) = carrier.open(config, life);
                (link, Box::pin(task) as Task)
            }
        }
    }
}
