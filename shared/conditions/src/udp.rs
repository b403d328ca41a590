//! A UDP socket whose packets suffer the conditions, both ways, before QUIC sees them or after it
//! sent them. Its own recovery, congestion control and discovery of the path work on what is left.
//!
//! quinn's endpoint polls the socket for what came in, and with that everything here moves on: no
//! task of its own, nothing to stop. Times are as exact as tokio's timers, which is a millisecond.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Instant, Sleep, sleep};

use crate::conditioner::Conditioner;
use crate::counts::PacketCounters;
use crate::delay_queue::DelayQueue;
use crate::path::Fate;
use crate::paths::NetworkPaths;

/// The socket.
#[derive(Debug)]
pub(crate) struct ConditionedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
}

#[derive(Debug)]
struct Outgoing {
    direction: Direction,
    /// Waits for room in the system's buffer.
    poller: Pin<Box<dyn UdpPoller>>,
    /// The task that sends what is due.
    driver: Option<Waker>,
}

#[derive(Debug)]
struct Incoming {
    direction: Direction,
    /// Until the next packet of either direction is due.
    timer: Pin<Box<Sleep>>,
}

/// One direction.
#[derive(Debug)]
struct Direction {
    paths: NetworkPaths,
    queue: DelayQueue<Packet>,
    /// Buffers of packets that have passed: as many as were under way at once.
    spare: Vec<Vec<u8>>,
    counters: Arc<PacketCounters>,
}

#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    envelope: Envelope,
}

/// What a packet has besides its bytes.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    peer: SocketAddr,
    local: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
}

/// What is held by us is always taken.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ConditionedSocket {
    /// Puts conditions on a socket. In a tokio runtime.
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>, conditioner: &Conditioner) -> Self {
        Self {
            outgoing: Mutex::new(Outgoing {
                direction: Direction::new(conditioner),
                poller: Arc::clone(&inner).create_io_poller(),
                driver: None,
            }),
            incoming: Mutex::new(Incoming {
                direction: Direction::new(conditioner),
                timer: Box::pin(sleep(Duration::ZERO)),
            }),
            inner,
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due. When the next is, unless the system has no room; then the task is woken
    /// when it has.
    fn send_due(&self, cx: &mut Context<'_>) -> Option<Instant> {
        let outgoing = &mut *self.outgoing();
        outgoing.driver = Some(cx.waker().clone());
        let now = Instant::now();
        while let Some(packet) = outgoing.direction.queue.first_due(now) {
            let sent = self.inner.try_send(&packet.transmit());
            // Another error is what a lost packet is, and nobody is left to be informed.
            let is_full = sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            if !is_full {
                outgoing.direction.release();
            } else if outgoing.poller.as_mut().poll_writable(cx).is_pending() {
                return None;
            }
        }
        outgoing.direction.queue.next_due()
    }
}

impl AsyncUdpSocket for ConditionedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        let before = outgoing.direction.queue.next_due();
        let envelope = Envelope {
            peer: transmit.destination,
            local: transmit.src_ip,
            ecn: transmit.ecn,
        };
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        for packet in transmit.contents.chunks(size.max(1)) {
            outgoing.direction.enter(packet, envelope);
        }
        let next = outgoing.direction.queue.next_due();
        let is_earlier = next.is_some() && before.is_none_or(|before| next < Some(before));
        if is_earlier && let Some(driver) = outgoing.driver.take() {
            drop(outgoing);
            driver.wake();
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let send_next = self.send_due(cx);
            let more = match self.inner.poll_recv(cx, buffers, metas) {
                Poll::Ready(received) => {
                    incoming.direction.enter_all(buffers, metas, received?);
                    true
                }
                Poll::Pending => false,
            };
            let count = incoming.direction.hand_out(buffers, metas);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if more {
                continue;
            }
            let next = [send_next, incoming.direction.queue.next_due()];
            let Some(next) = next.into_iter().flatten().min() else {
                return Poll::Pending;
            };
            incoming.timer.as_mut().reset(next);
            if incoming.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    // One by one: packets that leave together would share their fate.
    fn max_transmit_segments(&self) -> usize {
        1
    }

    // The system may deliver several at once; there has to be room for them.
    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl Direction {
    fn new(conditioner: &Conditioner) -> Self {
        Self {
            paths: NetworkPaths::new(conditioner),
            queue: DelayQueue::new(),
            spare: Vec::new(),
            counters: Arc::clone(&conditioner.counters),
        }
    }

    /// Decides what becomes of a packet, and holds it as long.
    fn enter(&mut self, packet: &[u8], envelope: Envelope) {
        self.counters.packets.add(1);
        match self.paths.of(packet).decide(Instant::now(), packet.len()) {
            Fate::Lost => self.counters.lost.add(1),
            Fate::OverRate => self.counters.over_rate.add(1),
            Fate::Arrives {
                at,
                overtakes,
                again,
            } => {
                self.counters.overtook.add(overtakes.into());
                self.counters.duplicated.add(again.is_some().into());
                self.hold(at, packet, envelope);
                if let Some(again) = again {
                    self.hold(again, packet, envelope);
                }
            }
        }
    }

    fn hold(&mut self, until: Instant, packet: &[u8], envelope: Envelope) {
        if !self.queue.has_room() {
            return self.counters.no_room.add(1);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(packet);
        self.queue.push(until, Packet { bytes, envelope });
    }

    /// Lets the first go.
    fn release(&mut self) {
        if let Some(Packet { mut bytes, .. }) = self.queue.pop() {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Takes what the system has put into so many of the buffers.
    fn enter_all(&mut self, buffers: &[IoSliceMut<'_>], metas: &[RecvMeta], count: usize) {
        for (buffer, meta) in buffers.iter().zip(metas).take(count) {
            let envelope = Envelope {
                peer: meta.addr,
                local: meta.dst_ip,
                ecn: meta.ecn,
            };
            let received = buffer.get(..meta.len).unwrap_or_default();
            for packet in received.chunks(meta.stride.max(1)) {
                self.enter(packet, envelope);
            }
        }
    }

    /// Puts what is due into the buffers, one packet each. How many there were.
    fn hand_out(&mut self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> usize {
        let now = Instant::now();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(packet) = self.queue.first_due(now) else {
                break;
            };
            let len = packet.bytes.len();
            // It came out of such a buffer.
            if let Some(room) = buffer.get_mut(..len) {
                room.copy_from_slice(&packet.bytes);
                *meta = packet.meta();
                count += 1;
            }
            self.release();
        }
        count
    }
}

impl Packet {
    fn transmit(&self) -> Transmit<'_> {
        Transmit {
            destination: self.envelope.peer,
            ecn: self.envelope.ecn,
            contents: &self.bytes,
            segment_size: None,
            src_ip: self.envelope.local,
        }
    }

    fn meta(&self) -> RecvMeta {
        RecvMeta {
            addr: self.envelope.peer,
            len: self.bytes.len(),
            stride: self.bytes.len(),
            ecn: self.envelope.ecn,
            dst_ip: self.envelope.local,
        }
    }
}
