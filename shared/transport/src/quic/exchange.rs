//! What a pump moves: datagrams between a link and its bare QUIC connection.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quinn::SendDatagramError;

use crate::close::CloseCode;
use crate::events::DropReason;
use crate::link::Link;
use crate::quic::datagram_pump::DatagramExchange;
use crate::quic::sender::QuicSender;

/// A link, and what it exchanges datagrams with.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) link: Arc<Link>,
    pub(crate) sender: Arc<QuicSender>,
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
pub(crate) fn refused_datagram(link: &Link, error: &SendDatagramError) {
    match error {
        SendDatagramError::TooLarge => link.count_drops(DropReason::OutgoingTooLarge, 1),
        SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => {
            link.close(CloseCode::ProtocolMismatch, "the peer takes no datagrams");
        }
        // The link's task notices how the connection ended.
        SendDatagramError::ConnectionLost(_) => {}
    }
}
