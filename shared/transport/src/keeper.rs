//! Keeps a WebSocket over plain TCP: reads it, writes what is reliable, keeps it alive and ends it
//! in order. Datagrams leave by the mailbox, beside this.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::close::{CloseCode, CloseReason, Side, cut};
use crate::encoding::Encoding;
use crate::limits::{CLOSE_DEADLINE, CLOSE_TEXT_LENGTH_MAX, KEEP_ALIVE, WEBSOCKET_BUFFER};
use crate::link::{Link, PostedSocket};
use crate::mailbox::Mailbox;
use crate::pulse::Pulse;
use crate::socket::{Flow, Socket};
use crate::websocket::{after_the_reader, close_reason, take_in};

/// Serves a link until it ends. What has to be said first goes ahead of everything.
pub(crate) async fn keep(
    (socket, encoding): PostedSocket,
    first: Option<Message>,
    link: Arc<Link>,
    idle_timeout: Duration,
    stop: CancellationToken,
) {
    let pulse = Arc::new(Pulse::new());
    // A task of its own, so that a message wakes its reader and nothing else.
    let reading = read(
        Arc::clone(&socket),
        encoding,
        Arc::clone(&link),
        Arc::clone(&pulse),
    );
    let reader = AbortOnDropHandle::new(tokio::spawn(reading));
    let reason = tokio::select! {
        reason = link.wait_closed() => reason,
        reason = reader => link.finish(reason.unwrap_or_else(|_| CloseReason::stopping())),
        reason = write(first, encoding, &link, &pulse) => link.finish(reason),
        reason = fall_silent(&pulse, idle_timeout) => link.finish(reason),
        reason = link.last_words_overdue() => link.finish(reason),
        () = stop.cancelled() => link.finish(CloseReason::stopping()),
    };
    // The peer may be gone or may not read; then the socket is dropped at the deadline.
    let _ = timeout(CLOSE_DEADLINE, finish(&socket, &reason)).await;
    // The link may be held for longer, and the socket with it.
    socket.shut_down();
}

async fn read(
    socket: Arc<Socket>,
    encoding: Encoding,
    link: Arc<Link>,
    pulse: Arc<Pulse>,
) -> CloseReason {
    loop {
        let message = socket.next().await;
        pulse.hear();
        if let Err(reason) = take_in(Some(message), encoding, &link, &pulse).await {
            return reason;
        }
    }
}

/// Ends when nothing was heard for too long.
async fn fall_silent(pulse: &Pulse, idle_timeout: Duration) -> CloseReason {
    while let Some(left) = idle_timeout.checked_sub(pulse.silence()) {
        // At least a little, so that the time does pass.
        sleep(left.max(Duration::from_millis(1))).await;
    }
    let text = "nothing was heard for too long";
    CloseReason::new(CloseCode::Timeout, text, Side::Network)
}

/// Writes pings and reliable frames, and waits for the system where it takes no more.
async fn write(
    first: Option<Message>,
    encoding: Encoding,
    link: &Link,
    pulse: &Pulse,
) -> CloseReason {
    let Some(mailbox) = link.mailbox() else {
        return CloseReason::new(CloseCode::Internal, "no mailbox", Side::Us);
    };
    let mut written = mailbox
        .write(first)
        .map(drop)
        .map_err(|error| close_reason(&error));
    let mut pings = tokio::time::interval(KEEP_ALIVE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let settled = match written {
            Ok(()) => mailbox.settle().await.map_err(|error| close_reason(&error)),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = settled {
            return after_the_reader(reason).await;
        }
        written = tokio::select! {
            // In this order, so that a frame which has to come first does.
            biased;
            _ = pings.tick() => {
                let written = mailbox.write([Message::Ping(pulse.stamp())]);
                written.map(drop).map_err(|error| close_reason(&error))
            }
            frames = link.next_reliable() => match frames {
                Ok(frames) => write_reliable(mailbox, encoding, link, frames).await,
                Err(end) => return end,
            },
            settled = mailbox.wait_for_trouble() => settled,
        };
    }
}

/// Writes reliable frames, as many at once as fit a buffer.
async fn write_reliable(
    mailbox: &Arc<Mailbox>,
    encoding: Encoding,
    link: &Link,
    frames: Vec<Bytes>,
) -> Result<(), CloseReason> {
    let (mut batch, mut sizes, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut frames = frames.into_iter().peekable();
    while let Some(frame) = frames.next() {
        bytes += frame.len();
        sizes.push(frame.len());
        batch.push(encoding.message(frame)?);
        if bytes < WEBSOCKET_BUFFER && frames.peek().is_some() {
            continue;
        }
        bytes = 0;
        let flow = mailbox.write(batch.drain(..));
        if flow.map_err(|error| close_reason(&error))? == Flow::Blocked {
            let settled = mailbox.settle().await;
            settled.map_err(|error| close_reason(&error))?;
        }
        // Until here they count as unsent: they were in a buffer that is not counted.
        for size in sizes.drain(..) {
            link.note_sent_reliable(size);
        }
    }
    Ok(())
}

async fn finish(socket: &Socket, reason: &CloseReason) -> Result<(), WsError> {
    match reason.by {
        Side::Us => part(socket, reason.code, &reason.text).await,
        // tungstenite has the echo of the peer's close frame ready.
        Side::Peer => socket.flushed().await,
        // Whoever can still hear learns why.
        Side::Network => socket.send(close_message(reason.code, &reason.text)).await,
    }
}

/// Sends a close frame and waits for the peer's, so that the socket's last bytes are read and not
/// reset away.
pub(crate) async fn part(socket: &Socket, code: CloseCode, text: &str) -> Result<(), WsError> {
    socket.send(close_message(code, text)).await?;
    while socket.next().await.is_ok() {}
    Ok(())
}

pub(crate) fn close_message(code: CloseCode, text: &str) -> Message {
    let text = cut(text, CLOSE_TEXT_LENGTH_MAX);
    Message::Close(Some(CloseFrame {
        code: code.websocket_code().into(),
        reason: text.into(),
    }))
}
