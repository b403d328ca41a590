//! Frames on a QUIC stream, each after its length as u16, big-endian: the Hello and its answer,
//! then the reliable frames of thin mode. It knows no message and no datagram.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::time::timeout;
use web_transport_quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};

use crate::close::{CloseCode, CloseReason, Side};
use crate::error::ReadFrameError;
use crate::frame::{FrameError, Mode};
use crate::limits::{ANSWER_DEADLINE, FRAME_BYTES_MAX, WRITE_BYTES_MIN, WRITE_DEADLINE};
use crate::link::Link;

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 2;

impl From<ReadExactError> for ReadFrameError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::ReadError(ReadError::SessionError(_)) => Self::Lost,
            ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => {
                Self::Malformed(FrameError::Malformed { field: "frame" })
            }
        }
    }
}

/// Reads a Hello or an answer.
pub(crate) async fn read_hello_frame(stream: &mut RecvStream) -> Result<Bytes, ReadFrameError> {
    read_frame(stream, FRAME_BYTES_MAX)
        .await?
        .ok_or(ReadFrameError::Malformed(FrameError::Malformed {
            field: "frame",
        }))
}

/// Reads a frame; none when the stream is finished between two frames.
async fn read_frame(
    stream: &mut RecvStream,
    size_max: usize,
) -> Result<Option<Bytes>, ReadFrameError> {
    let mut length = [0; LENGTH_BYTES];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let length = usize::from(u16::from_be_bytes(length));
    if length > size_max {
        return Err(ReadFrameError::Malformed(FrameError::TooLong));
    }
    let mut bytes = BytesMut::zeroed(length);
    stream.read_exact(&mut bytes).await?;
    Ok(Some(bytes.freeze()))
}

/// Writes frames. Their bytes are shared, not copied.
pub(crate) async fn write_frames(
    stream: &mut SendStream,
    frames: impl IntoIterator<Item = Bytes>,
) -> Result<(), WriteError> {
    let mut lengths = BytesMut::new();
    let mut chunks = Vec::new();
    for frame in frames {
        // Everybody who queues a frame checks its size.
        lengths.put_u16(u16::try_from(frame.len()).unwrap_or(u16::MAX));
        chunks.extend([lengths.split().freeze(), frame]);
    }
    stream.write_all_chunks(&mut chunks).await
}

/// Writes a last frame and waits until the peer has all of it.
pub(crate) async fn deliver(mut stream: SendStream, frame: Bytes) -> Result<(), WriteError> {
    write_frames(&mut stream, [frame]).await?;
    wait_taken(stream).await;
    Ok(())
}

/// Finishes the stream and waits until the peer has all of it.
async fn wait_taken(mut stream: SendStream) {
    let _ = stream.finish();
    let _ = stream.stopped().await;
}

/// Both directions of the stream that the Hello came by, or went out by.
#[derive(Debug)]
pub(crate) struct HelloStream {
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
}

impl HelloStream {
    /// Sends the answer, if there is one, and moves reliable frames in thin mode. It returns when
    /// the connection has to be closed; none means that the connection is lost.
    pub(crate) async fn serve(self, answer: Option<Bytes>, link: &Link) -> Option<CloseReason> {
        match link.config().mode {
            Mode::Native => {
                drop(self.receive);
                if let Some(answer) = answer
                    && timeout(ANSWER_DEADLINE, deliver(self.send, answer))
                        .await
                        .is_err()
                {
                    return Some(not_taken());
                }
                std::future::pending().await
            }
            Mode::Thin => {
                tokio::select! {
                    end = write(self.send, answer, link) => end,
                    end = read(self.receive, link) => end,
                }
            }
        }
    }
}

fn not_taken() -> CloseReason {
    let text = "the answer was not taken in time";
    CloseReason::new(CloseCode::Timeout, text, Side::Us)
}

fn slow() -> CloseReason {
    let text = "reliable frames were not taken in time";
    CloseReason::new(CloseCode::SlowConsumer, text, Side::Us)
}

/// How long it may take to hand over so many bytes.
fn write_deadline(bytes: usize) -> Duration {
    let pieces = u32::try_from(bytes.div_ceil(WRITE_BYTES_MIN)).unwrap_or(u32::MAX);
    WRITE_DEADLINE.saturating_mul(pieces.max(1))
}

async fn write(mut stream: SendStream, answer: Option<Bytes>, link: &Link) -> Option<CloseReason> {
    if let Some(answer) = answer {
        match timeout(ANSWER_DEADLINE, write_frames(&mut stream, [answer])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return broken(&error),
            Err(_) => return Some(not_taken()),
        }
    }
    loop {
        match link.next_reliable().await {
            Ok(frames) => {
                let sizes: Vec<usize> = frames.iter().map(Bytes::len).collect();
                let deadline = write_deadline(sizes.iter().sum());
                match timeout(deadline, write_frames(&mut stream, frames)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return broken(&error),
                    Err(_) => return Some(slow()),
                }
                for size in sizes {
                    link.count_sent_reliable(size);
                }
            }
            Err(end) => {
                wait_taken(stream).await;
                return Some(end);
            }
        }
    }
}

fn broken(error: &WriteError) -> Option<CloseReason> {
    let lost = matches!(error, WriteError::SessionError(_));
    let text = "the stream of the reliable frames was stopped";
    (!lost).then(|| CloseReason::new(CloseCode::ProtocolError, text, Side::Us))
}

async fn read(mut stream: RecvStream, link: &Link) -> Option<CloseReason> {
    let size_max = link.config().reliable_in_max();
    loop {
        match read_frame(&mut stream, size_max).await {
            Ok(Some(frame)) if !link.admits(frame.len()) => return Some(CloseReason::flooded()),
            Ok(Some(frame)) => link.deliver_reliable(frame).await,
            // A peer that has nothing reliable to send may finish its side.
            Ok(None) => return std::future::pending().await,
            Err(ReadFrameError::Lost) => return None,
            Err(ReadFrameError::Malformed(error)) => {
                let text = format!("a reliable frame cannot be read: {error}");
                return Some(CloseReason::new(CloseCode::ProtocolError, &text, Side::Us));
            }
        }
    }
}
