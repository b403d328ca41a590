//! The QUIC carrier, both ends: the Hello on the first stream, then datagrams and reliable frames
//! between a link and its session, be that WebTransport's or a bare connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use quinn::SendDatagramError;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use web_transport_quinn::{SessionError, WebTransportError};

use crate::any_sender::AnySender;
use crate::carrier::{Carrier, LinkLife};
use crate::close::{CloseCode, CloseReason};
use crate::error::{ConnectError, ReadFrameError};
use crate::events::DropReason;
use crate::frame::{Answer, Hello, Mode, Refused};
use crate::limits::{ANSWER_DEADLINE, QUIC_PACKETS_PER_S_MAX};
use crate::link::{Link, LinkConfig, LinkEnd};
use crate::quic::datagram_pump::DatagramExchange;
use crate::quic::hello_stream::{self, HelloStream};
use crate::quic::sender::QuicSender;
use crate::quic::session::QuicSession;

/// A session, and the stream of its Hello once there is one.
#[derive(Debug)]
pub(crate) struct QuicCarrier {
    session: QuicSession,
    stream: Option<HelloStream>,
}

impl QuicCarrier {
    pub(crate) fn new(session: QuicSession) -> Self {
        Self {
            session,
            stream: None,
        }
    }
}

impl Carrier for QuicCarrier {
    fn kind(&self) -> TransportKind {
        self.session.kind()
    }

    fn peer(&self) -> SocketAddr {
        self.session.connection().remote_address()
    }

    fn datagram_size_max(&self) -> usize {
        self.session.datagram_size_max()
    }

    async fn read_hello(&mut self) -> Result<Hello, ReadFrameError> {
        let accepted = self.session.session().accept_bi().await;
        let (send, receive) = accepted.map_err(|_| ReadFrameError::Lost)?;
        let stream = self.stream.insert(HelloStream { send, receive });
        let bytes = hello_stream::read_hello_frame(&mut stream.receive).await?;
        Hello::decode(&bytes).map_err(ReadFrameError::Malformed)
    }

    /// The stream stays open in thin mode.
    async fn send_hello(&mut self, hello: Vec<u8>, mode: Mode) -> Result<Answer, ConnectError> {
        let opened = self.session.session().open_bi().await;
        let (send, receive) =
            opened.map_err(|error| ConnectError::Lost(self.session.close_reason(&error)))?;
        let stream = self.stream.insert(HelloStream { send, receive });
        // Whether it arrives shows in the answer.
        let _ = hello_stream::write_frames(&mut stream.send, [hello.into()]).await;
        if mode == Mode::Native {
            let _ = stream.send.finish();
        }
        match hello_stream::read_hello_frame(&mut stream.receive).await {
            Ok(answer) => Answer::decode(&answer).map_err(ConnectError::MalformedResponse),
            Err(ReadFrameError::Lost) => Err(ConnectError::Lost(self.session.lost().await)),
            Err(ReadFrameError::Malformed(error)) => Err(ConnectError::MalformedResponse(error)),
        }
    }

    async fn refuse(self, refused: &Refused, answer: Vec<u8>) {
        if let Some(stream) = self.stream {
            // A client that has closed needs no answer.
            let delivery = hello_stream::deliver(stream.send, answer.into());
            let _ = timeout(ANSWER_DEADLINE, delivery).await;
        }
        let code = refused.code.close_code();
        self.session.close(code, &refused.text).await;
    }

    async fn leave(self) {
        self.session.close(CloseCode::Consented, "").await;
    }

    fn open(
        self,
        config: LinkConfig,
        life: LinkLife,
    ) -> (Arc<Link>, impl Future<Output = ()> + Send + 'static) {
        let sender = Arc::new(QuicSender::new(&self.session, &config.events));
        let link = Link::new(config, AnySender::Quic(Arc::clone(&sender)));
        let task = LinkTask {
            session: self.session,
            link: Arc::clone(&link),
            sender,
        };
        (link, task.run(self.stream, life.first, life.stop))
    }
}

/// Serves a link.
struct LinkTask {
    session: QuicSession,
    link: Arc<Link>,
    sender: Arc<QuicSender>,
}

impl LinkTask {
    /// Moves datagrams and reliable frames between the session and the link until either ends. What
    /// has to be sent first goes ahead of all frames.
    async fn run(self, stream: Option<HelloStream>, first: Option<Bytes>, stop: CancellationToken) {
        let link = &self.link;
        let _pumped = self.sender.pump.as_ref().map(|pump| {
            let (link, sender) = (Arc::clone(link), Arc::clone(&self.sender));
            pump.attach(Box::new(Exchange { link, sender }))
        });
        let reason = tokio::select! {
            // In this order, so that frames which came before the end are read before it.
            biased;
            reason = link.wait_closed() => reason,
            () = stop.cancelled() => link.end(CloseReason::stopping()),
            reason = self.serve_stream(stream, first) => link.end(reason),
            reason = self.receive() => link.end(reason),
            reason = self.transmit() => link.end(reason),
            reason = link.reliable_overdue() => link.end(reason),
            reason = self.flooded() => link.end(reason),
        };
        self.session.close(reason.code, &reason.text).await;
    }

    async fn serve_stream(&self, stream: Option<HelloStream>, first: Option<Bytes>) -> CloseReason {
        let Some(stream) = stream else {
            return std::future::pending().await;
        };
        match stream.serve(first, &self.link).await {
            Some(reason) => reason,
            None => self.session.lost().await,
        }
    }

    /// Ends when a client sends more packets than anybody may, whatever is in them.
    async fn flooded(&self) -> CloseReason {
        if self.link.config().end == LinkEnd::Client {
            return std::future::pending().await;
        }
        let mut looks = interval(Duration::from_secs(1));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        loop {
            looks.tick().await;
            let now = self.session.connection().stats().udp_rx.datagrams;
            if now - before.replace(now).unwrap_or(now) > QUIC_PACKETS_PER_S_MAX {
                return CloseReason::flooded();
            }
        }
    }

    async fn receive(&self) -> CloseReason {
        if self.sender.pump.is_some() {
            return self.session.lost().await;
        }
        loop {
            match self.session.session().read_datagram().await {
                Ok(payload) => self.link.deliver_admitted(payload),
                // A datagram of another session than this one; HTTP/3 would allow several.
                Err(SessionError::WebTransportError(WebTransportError::UnknownSession)) => {}
                Err(error) => return self.session.close_reason(&error),
            }
        }
    }

    async fn transmit(&self) -> CloseReason {
        if self.sender.pump.is_some() {
            return std::future::pending().await;
        }
        loop {
            let payload = self.sender.queue.next().await;
            let size = payload.len();
            match self.session.session().send_datagram_wait(payload).await {
                Ok(()) => self.link.count_sent(size),
                Err(SessionError::SendDatagramError(error)) => {
                    refused_datagram(&self.link, &error);
                }
                Err(error) => return self.session.close_reason(&error),
            }
        }
    }
}

/// A link, and what it exchanges datagrams with.
#[derive(Debug)]
struct Exchange {
    link: Arc<Link>,
    sender: Arc<QuicSender>,
}

impl DatagramExchange for Exchange {
    fn send_waiting(&self) {
        while self.sender.queue.next_size().is_some() {
            let room = self.sender.connection.datagram_send_buffer_space();
            let Some(payload) = self.sender.queue.pop_within(room) else {
                return;
            };
            let size = payload.len();
            match self.sender.connection.send_datagram(payload) {
                Ok(()) => self.link.count_sent(size),
                Err(error) => refused_datagram(&self.link, &error),
            }
        }
    }

    fn can_send(&self) -> bool {
        let waiting = self.sender.queue.next_size();
        waiting.is_some_and(|size| size <= self.sender.connection.datagram_send_buffer_space())
    }

    fn receive_arrived(&self) {
        loop {
            let reading = pin!(self.sender.connection.read_datagram());
            // Nobody has to be woken: the driver runs when something comes.
            match reading.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(payload)) => self.link.deliver_admitted(payload),
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }
}

/// Accounts for a datagram that QUIC did not take.
fn refused_datagram(link: &Link, error: &SendDatagramError) {
    match error {
        SendDatagramError::TooLarge => link.count_drops(DropReason::OutgoingTooLarge, 1),
        SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => {
            link.close(CloseCode::ProtocolMismatch, "the peer takes no datagrams");
        }
        // The link's task notices how the connection ended.
        SendDatagramError::ConnectionLost(_) => {}
    }
}
