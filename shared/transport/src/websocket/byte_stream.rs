//! The bytes below a WebSocket, read and written without waiting: plain TCP, where the system is
//! asked directly, or anything else that tokio polls, such as TLS. What cannot be done now is
//! `WouldBlock`, as tungstenite wants it. It knows no messages.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio_tungstenite::MaybeTlsStream;
use tokio_util::either::Either;

/// A client's stream: TCP, or the end of a relay when something is between it and the network.
pub(crate) type ClientStream = Either<TcpStream, DuplexStream>;

/// What a peer did wrong that is no fault of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerFault {
    /// It takes too little of what is sent.
    #[error("what was sent was not taken in time")]
    TakesTooLittle,
    /// It begins messages that do not end.
    #[error("a message did not end")]
    EndlessMessage,
}

impl PeerFault {
    /// What is wrong, if it is one of these.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct ByteStream {
    stream: InnerStream,
    /// Bytes that were taken from us, ever.
    pub(crate) written: u64,
    /// Bytes read since the last message was complete, and how many may be.
    pub(crate) unfinished: usize,
    unfinished_max: usize,
}

#[derive(Debug)]
enum InnerStream {
    Tcp(Arc<TcpStream>),
    Polled(Polled),
}

/// A stream that wakes what waits for its [`StreamReadiness`].
#[derive(Debug)]
struct Polled {
    /// None once it was shut down.
    stream: Option<Box<MaybeTlsStream<ClientStream>>>,
    signals: Arc<WakeSignals>,
}

/// Waits until a stream can go on, without the lock that it is behind.
#[derive(Debug)]
pub(crate) enum StreamReadiness {
    Tcp(Arc<TcpStream>),
    Polled(Arc<WakeSignals>),
}

#[derive(Debug, Default)]
pub(crate) struct WakeSignals {
    readable: Arc<WakeSignal>,
    writable: Arc<WakeSignal>,
}

#[derive(Debug, Default)]
struct WakeSignal(Notify);

impl Wake for WakeSignal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

impl WakeSignal {
    async fn wait(&self) {
        self.0.notified().await;
        // A stream asks to be polled again when its task's budget is used up: let others run.
        consume_budget().await;
    }
}

impl StreamReadiness {
    /// Waits until there is something to read, or until there may be.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Polled(signals) => {
                signals.readable.wait().await;
                Ok(())
            }
        }
    }

    /// Waits until something can be written, or until it may be.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Polled(signals) => {
                signals.writable.wait().await;
                Ok(())
            }
        }
    }
}

impl ByteStream {
    /// Plain TCP. No message may need more than so many bytes.
    pub(crate) fn tcp(stream: TcpStream, unfinished_max: usize) -> Self {
        Self::new(InnerStream::Tcp(Arc::new(stream)), unfinished_max)
    }

    /// A client's end, whatever it runs on.
    pub(crate) fn client(stream: MaybeTlsStream<ClientStream>, unfinished_max: usize) -> Self {
        let stream = match stream {
            MaybeTlsStream::Plain(Either::Left(stream)) => InnerStream::Tcp(Arc::new(stream)),
            polled @ (MaybeTlsStream::Plain(_) | MaybeTlsStream::Rustls(_) | _) => {
                InnerStream::Polled(Polled::new(polled))
            }
        };
        Self::new(stream, unfinished_max)
    }

    fn new(stream: InnerStream, unfinished_max: usize) -> Self {
        Self {
            stream,
            written: 0,
            unfinished: 0,
            unfinished_max,
        }
    }

    pub(crate) fn readiness(&self) -> StreamReadiness {
        match &self.stream {
            InnerStream::Tcp(stream) => StreamReadiness::Tcp(Arc::clone(stream)),
            InnerStream::Polled(polled) => StreamReadiness::Polled(Arc::clone(&polled.signals)),
        }
    }

    /// Ends both directions for good. A peer that goes on writing is reset.
    pub(crate) fn shut_down(&mut self) {
        match &mut self.stream {
            InnerStream::Tcp(stream) => {
                // It fails when the peer was quicker.
                let _ = SockRef::from(&**stream).shutdown(Shutdown::Both);
            }
            InnerStream::Polled(polled) => polled.stream = None,
        }
    }
}

impl Read for ByteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unfinished > self.unfinished_max {
            return Err(io::Error::other(PeerFault::EndlessMessage));
        }
        let read = match &mut self.stream {
            InnerStream::Tcp(stream) => read_tcp(stream, buffer),
            InnerStream::Polled(polled) => polled.read(buffer),
        }?;
        self.unfinished += read;
        Ok(read)
    }
}

/// When less came than there is room for, the system has no more. The stream learns that without
/// another call which would report it: readiness comes by the edge, and what comes after this read
/// makes a new one.
fn read_tcp(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut last = None;
    let read = stream.try_io(Interest::READABLE, || {
        let count = (&*SockRef::from(stream)).read(buffer)?;
        if (1..buffer.len()).contains(&count) {
            last = Some(count);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    });
    last.map_or(read, Ok)
}

impl Write for ByteStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.stream {
            InnerStream::Tcp(stream) => stream.try_write(bytes),
            InnerStream::Polled(polled) => polled.write(bytes),
        }?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            InnerStream::Tcp(_) => Ok(()),
            InnerStream::Polled(polled) => polled.flush(),
        }
    }
}

impl Polled {
    fn new(stream: MaybeTlsStream<ClientStream>) -> Self {
        Self {
            stream: Some(Box::new(stream)),
            signals: Arc::default(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let mut buffer = ReadBuf::new(buffer);
        let waker = Arc::clone(&self.signals.readable).into();
        let context = &mut Context::from_waker(&waker);
        now(Pin::new(&mut **stream).poll_read(context, &mut buffer))?;
        Ok(buffer.filled().len())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let waker = Arc::clone(&self.signals.writable).into();
        let context = &mut Context::from_waker(&waker);
        now(Pin::new(&mut **stream).poll_write(context, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let waker = Arc::clone(&self.signals.writable).into();
        let context = &mut Context::from_waker(&waker);
        now(Pin::new(&mut **stream).poll_flush(context))
    }
}

/// The result, if it is there already.
fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
