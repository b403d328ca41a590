//! A UDP socket that takes what is sent at once, and asks the system whether it may only after it
//! could not. quinn asks before each datagram, which is a lock and a look at what the system last
//! said; but a socket is as good as never full.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// The socket.
#[derive(Debug)]
pub(crate) struct EagerSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    /// It took the last datagram of somebody not, and nobody has seen room since.
    is_full: AtomicBool,
}

/// One who sends.
#[derive(Debug)]
struct Sender {
    socket: Arc<EagerSocket>,
    /// Waits for room, once there was none.
    waiting: Option<Pin<Box<dyn UdpPoller>>>,
}

impl EagerSocket {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_full: AtomicBool::new(false),
        })
    }
}

impl AsyncUdpSocket for EagerSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Sender {
            socket: self,
            waiting: None,
        })
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let sent = self.inner.try_send(transmit);
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.is_full.store(true, Ordering::Release);
        }
        sent
    }

    fn poll_recv(
        &self,
        context: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(context, buffers, meta)
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

impl UdpPoller for Sender {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        if !self.socket.is_full.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let Self { socket, waiting } = &mut *self;
        let waiting = waiting.get_or_insert_with(|| Arc::clone(&socket.inner).create_io_poller());
        let room = ready!(waiting.as_mut().poll_writable(context));
        socket.is_full.store(false, Ordering::Release);
        Poll::Ready(room)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::Waker;

    use super::*;

    /// A socket of which the test says whether it has room.
    #[derive(Debug, Default)]
    struct Narrow {
        is_full: AtomicBool,
        asked: AtomicU32,
    }

    #[derive(Debug)]
    struct NarrowPoller(Arc<Narrow>);

    impl UdpPoller for NarrowPoller {
        fn poll_writable(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            if self.0.is_full.load(Ordering::Relaxed) {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        }
    }

    impl AsyncUdpSocket for Narrow {
        fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
            Box::pin(NarrowPoller(self))
        }

        fn try_send(&self, _: &Transmit) -> io::Result<()> {
            if self.is_full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        }

        fn poll_recv(
            &self,
            _: &mut Context,
            _: &mut [IoSliceMut<'_>],
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(([127, 0, 0, 1], 1).into())
        }
    }

    #[test]
    fn a_sender_waits_only_while_the_socket_takes_nothing() {
        let narrow = Arc::<Narrow>::default();
        let socket = EagerSocket::new(narrow.clone());
        let mut senders = [socket.clone(), socket.clone()].map(AsyncUdpSocket::create_io_poller);
        let mut may_send = |sender: usize| {
            let sender = senders[sender].as_mut();
            let asking = sender.poll_writable(&mut Context::from_waker(Waker::noop()));
            asking.is_ready()
        };
        let asked = || narrow.asked.load(Ordering::Relaxed);
        let transmit = Transmit {
            destination: ([127, 0, 0, 1], 2).into(),
            ecn: None,
            contents: b"state",
            segment_size: None,
            src_ip: None,
        };
        assert!(may_send(0) && socket.try_send(&transmit).is_ok());
        assert_eq!(asked(), 0);
        narrow.is_full.store(true, Ordering::Relaxed);
        assert!(may_send(0) && socket.try_send(&transmit).is_err());
        assert!(!may_send(0) && !may_send(1), "both wait to be woken");
        narrow.is_full.store(false, Ordering::Relaxed);
        assert!(may_send(1) && may_send(0));
        assert_eq!(asked(), 3, "the first who sees room tells the others");
    }
}
