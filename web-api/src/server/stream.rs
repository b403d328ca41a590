//! A client's socket that tells its connection's meter when it takes bytes and when it does not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::server::meter::Meter;

/// Bytes in the kernel that are not on their way yet. With more of them a slow client would seem to
/// take nothing for long, and one that takes nothing would cost more.
#[cfg(any(target_os = "linux", target_os = "android"))]
const KERNEL_UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// The socket.
#[derive(Debug)]
pub(super) struct MeasuredStream {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl MeasuredStream {
    pub(super) fn new(stream: TcpStream, meter: Arc<Meter>) -> Self {
        // Small answers should not wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(KERNEL_UNSENT_BYTES_MAX);
        Self { stream, meter }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(length)) if *length > 0 => self.meter.note_written(),
            Poll::Ready(_) => {}
            Poll::Pending => self.meter.note_blocked(),
        }
    }
}

impl Drop for MeasuredStream {
    fn drop(&mut self) {
        if self.meter.is_cut() {
            // Otherwise the kernel would keep what the client does not take.
            let _ = SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

impl AsyncRead for MeasuredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.meter.note_read(&buffer.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for MeasuredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
