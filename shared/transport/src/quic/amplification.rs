//! A server's UDP socket that cannot be used against others: an address that is not proven is sent
//! at most three times the bytes that came from it (RFC 9000, section 8.1).
//!
//! quinn counts too, but lets a whole packet go as long as anything is left: with what is sent
//! again after a second, a stranger got 3.19 times what they had sent in another's name. Here
//! handshakes are counted. What quinn sends under the connection's own keys before the proof cannot
//! be: from outside it looks like what others at that address are sent. Room is left for it. A
//! client has proven its address when it uses the connection id that was sent there. It knows no
//! keys and no connection.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use quinn_proto::ConnectionId;
use tokio::time::Instant;

use crate::limits::{AMPLIFICATION_MAX, IDLE_TIMEOUT, UNCOUNTED_BYTES, UNPROVEN_COUNTED_MAX};

/// Of the first byte: a long header, as handshakes have.
const LONG_HEADER: u8 = 0x80;
/// Of the first byte of a long header: what kind it is; 0 begins a connection.
const KIND: u8 = 0x30;
/// Longest connection id of QUIC version 1.
const ID_LENGTH_MAX: usize = 20;
/// Where the connection ids of a long header are: after the first byte and the version.
const IDS: usize = 5;

/// The socket.
#[derive(Debug)]
pub(crate) struct AmplificationLimit {
    inner: Arc<dyn AsyncUdpSocket>,
    peers: Mutex<UnprovenPeers>,
}

/// What went to and fro, by address that is not proven.
#[derive(Debug, Default)]
struct UnprovenPeers(HashMap<SocketAddr, UnprovenPeer>);

#[derive(Debug)]
struct UnprovenPeer {
    since: Instant,
    received: usize,
    sent: usize,
    /// The id that the server sent there.
    server_id: Option<ConnectionId>,
}

/// The header of a handshake's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LongHeader {
    begins: bool,
    destination: ConnectionId,
    source: ConnectionId,
}

impl LongHeader {
    /// None for a packet that is of no handshake.
    fn read(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        if first & LONG_HEADER == 0 {
            return None;
        }
        let (destination, rest) = connection_id(packet.get(IDS..)?)?;
        let (source, _) = connection_id(rest)?;
        Some(Self {
            begins: first & KIND == 0,
            destination,
            source,
        })
    }
}

/// The id that comes, after its length, and what follows.
fn connection_id(bytes: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    (id.len() <= ID_LENGTH_MAX).then(|| (ConnectionId::new(id), rest))
}

impl UnprovenPeers {
    /// A packet of so many bytes came.
    fn received(&mut self, from: SocketAddr, header: LongHeader, bytes: usize) {
        if let Some(peer) = self.0.get_mut(&from) {
            peer.received += bytes;
            if peer.server_id == Some(header.destination) {
                self.0.remove(&from);
            }
        } else if header.begins && self.has_room() {
            let peer = UnprovenPeer {
                since: Instant::now(),
                received: bytes,
                sent: 0,
                server_id: None,
            };
            self.0.insert(from, peer);
        }
    }

    /// Room for one more, if need be of those that have been silent for long.
    fn has_room(&mut self) -> bool {
        if self.0.len() >= UNPROVEN_COUNTED_MAX {
            self.0.retain(|_, peer| peer.since.elapsed() < IDLE_TIMEOUT);
        }
        self.0.len() < UNPROVEN_COUNTED_MAX
    }

    /// How many of these bytes may be sent there: whole packets only.
    fn allowed(&self, to: SocketAddr, bytes: usize, packet: usize) -> usize {
        let Some(peer) = self.0.get(&to) else {
            return bytes;
        };
        let limit = (peer.received * AMPLIFICATION_MAX).saturating_sub(UNCOUNTED_BYTES);
        let left = limit.saturating_sub(peer.sent);
        if bytes <= left {
            return bytes;
        }
        left / packet.max(1) * packet
    }

    fn sent(&mut self, to: SocketAddr, header: LongHeader, bytes: usize) {
        if let Some(peer) = self.0.get_mut(&to) {
            peer.sent += bytes;
            peer.server_id = Some(header.source);
        }
    }
}

impl AmplificationLimit {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            peers: Mutex::default(),
        })
    }

    fn count_received(&self, packets: &[u8], meta: &RecvMeta) {
        for packet in packets.chunks(meta.stride.max(1)) {
            if let Some(header) = LongHeader::read(packet) {
                self.peers().received(meta.addr, header, packet.len());
            }
        }
    }

    fn peers(&self) -> MutexGuard<'_, UnprovenPeers> {
        // A panic elsewhere cannot leave them half changed.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncUdpSocket for AmplificationLimit {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let Some(header) = LongHeader::read(transmit.contents) else {
            return self.inner.try_send(transmit);
        };
        let (to, bytes) = (transmit.destination, transmit.contents.len());
        let packet = transmit.segment_size.unwrap_or(bytes);
        let allowed = self.peers().allowed(to, bytes, packet);
        if allowed == 0 {
            // As if it were lost, which QUIC makes good once it receives more.
            return Ok(());
        }
        self.inner.try_send(&Transmit {
            destination: to,
            ecn: transmit.ecn,
            contents: &transmit.contents[..allowed],
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        })?;
        self.peers().sent(to, header, allowed);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(context, buffers, meta))?;
        for (buffer, meta) in buffers.iter().zip(meta.iter()).take(count) {
            self.count_received(&buffer[..meta.len], meta);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "203.0.113.7:1000";

    fn client() -> SocketAddr {
        CLIENT.parse().unwrap()
    }

    fn header(begins: bool, destination: u8, source: u8) -> LongHeader {
        LongHeader {
            begins,
            destination: ConnectionId::new(&[destination; 8]),
            source: ConnectionId::new(&[source; 8]),
        }
    }

    #[test]
    fn an_address_that_is_not_proven_is_sent_three_times_what_came_and_no_more() {
        let mut peers = UnprovenPeers::default();
        peers.received(client(), header(true, 1, 2), 1200);
        assert_eq!(peers.allowed(client(), 2400, 1200), 2400);
        peers.sent(client(), header(true, 2, 3), 1200);
        // quinn sends a whole packet where something is left.
        let left = 2400 - UNCOUNTED_BYTES;
        assert_eq!(peers.allowed(client(), left + 1, left + 1), 0);
        assert_eq!(peers.allowed(client(), 2400, 1200), 1200);
        peers.sent(client(), header(true, 2, 3), left);
        assert_eq!(peers.allowed(client(), 1, 1), 0);
        peers.received(client(), header(true, 1, 2), 1200);
        assert_eq!(peers.allowed(client(), 3600, 1200), 3600);
    }

    #[test]
    fn who_uses_the_servers_id_has_proven_where_they_are() {
        let mut peers = UnprovenPeers::default();
        peers.received(client(), header(true, 1, 2), 1200);
        peers.sent(client(), header(true, 2, 3), 3600);
        peers.received(client(), header(false, 9, 2), 10);
        assert_eq!(peers.allowed(client(), 1200, 1200), 0);
        peers.received(client(), header(false, 3, 2), 10);
        assert_eq!(peers.allowed(client(), 9000, 1200), 9000);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_addresses_are_counted_and_then_the_newest_that_are_left() {
        let mut peers = UnprovenPeers::default();
        let address = |number: usize| {
            let bits = u32::try_from(number).unwrap() + (1 << 24);
            SocketAddr::from((std::net::Ipv4Addr::from_bits(bits), 1))
        };
        for number in 0..=UNPROVEN_COUNTED_MAX {
            peers.received(address(number), header(true, 1, 2), 1200);
        }
        assert_eq!(peers.0.len(), UNPROVEN_COUNTED_MAX);
        tokio::time::advance(IDLE_TIMEOUT).await;
        peers.received(client(), header(true, 1, 2), 1200);
        assert_eq!(peers.0.len(), 1);
    }

    #[test]
    fn headers_are_read_as_far_as_they_go() {
        let packet = [0xc3, 0, 0, 0, 1, 2, 7, 7, 1, 8, 0];
        let read = LongHeader::read(&packet).unwrap();
        let (ours, theirs) = (ConnectionId::new(&[7, 7]), ConnectionId::new(&[8]));
        assert_eq!((read.destination, read.source), (ours, theirs));
        assert!(read.begins);
        for length in 0..packet.len() - 1 {
            assert_eq!(LongHeader::read(&packet[..length]), None);
        }
        assert_eq!(LongHeader::read(&[0x40; 30]), None);
        assert_eq!(LongHeader::read(&[0xff; 30]), None);
    }
}
