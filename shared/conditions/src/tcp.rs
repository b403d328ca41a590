//! A TCP connection whose bytes suffer the conditions. TCP hides losses from whoever reads, and
//! all that is left of them is time: a lost segment is there after a retransmission, and what was
//! sent behind it waits too. So bytes are only held back here, in order; duplicates and overtaking
//! packets have no effect, because TCP undoes them without a wait.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gameserver_transport::limits::CLOSE_DEADLINE;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::conditioner::Conditioner;
use crate::counts::PacketCounters;
use crate::path::{NetworkPath, RATE_QUEUE_MAX};

/// Bytes that are lost or not as one: what Ethernet leaves to a TCP segment with timestamps.
const SEGMENT_BYTES_MAX: usize = 1_448;
/// Segments under way in one direction of one connection: 1.5 MB, a second of twelve megabits.
/// When full, whoever writes has to wait, as for a full window.
const SEGMENTS_MAX: usize = 1_024;
/// Bytes between us and the WebSocket: one of its buffers each way.
const HANDOVER_BYTES: usize = gameserver_transport::limits::WEBSOCKET_BUFFER;

/// The end of a stream that has conditions. The other end is a task's, which lives until either
/// side of the connection has ended, and a little longer for the last words.
pub(crate) fn relay<S>(stream: S, conditioner: &Conditioner) -> DuplexStream
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (ours, theirs) = duplex(HANDOVER_BYTES);
    let paths = [conditioner.path(), conditioner.path()];
    let [up, down] = paths.map(|path| Direction {
        path,
        segments: VecDeque::new(),
        counters: Arc::clone(&conditioner.counters),
    });
    tokio::spawn(async move {
        let (from_network, to_network) = split(stream);
        let (from_client, to_client) = split(theirs);
        let up = up.carry(from_client, to_network);
        let down = down.carry(from_network, to_client);
        tokio::pin!(up, down);
        tokio::select! {
            // One side has ended; the other has the time that a close may take.
            () = &mut up => { let _ = timeout(CLOSE_DEADLINE, down).await; }
            () = &mut down => { let _ = timeout(CLOSE_DEADLINE, up).await; }
        }
    });
    ours
}

/// One direction.
struct Direction {
    path: NetworkPath,
    segments: VecDeque<Segment>,
    counters: Arc<PacketCounters>,
}

struct Segment {
    due: Instant,
    /// None when TCP has given up by then.
    bytes: Option<Vec<u8>>,
}

impl Direction {
    /// Carries bytes until there are no more and the last are delivered, or nobody takes them.
    async fn carry(mut self, from: impl AsyncRead, to: impl AsyncWrite) {
        tokio::pin!(from, to);
        let mut buffer = vec![0; SEGMENT_BYTES_MAX];
        loop {
            let wait = self.path.backlog(Instant::now());
            let read = read_after(wait.saturating_sub(RATE_QUEUE_MAX), &mut from, &mut buffer);
            let due = self.segments.front().map(|first| first.due);
            tokio::select! {
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if !self.deliver_first(&mut to).await {
                        return;
                    }
                }
                read = read, if self.segments.len() < SEGMENTS_MAX => match read {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.enter(&buffer[..count]),
                },
            }
        }
        // An end that has left waits for no retransmissions; what is not there in time is lost with
        // the connection.
        let _ = timeout(CLOSE_DEADLINE, self.deliver_rest(&mut to)).await;
        let _ = to.shutdown().await;
    }

    fn enter(&mut self, bytes: &[u8]) {
        let delivery = self.path.deliver(Instant::now(), bytes.len());
        self.counters.packets.add(1);
        self.counters.lost.add(delivery.lost);
        let before = self.segments.back().map(|last| last.due);
        self.segments.push_back(Segment {
            // Behind what was sent before, however late that is.
            due: delivery.at.max(before.unwrap_or(delivery.at)),
            bytes: delivery.arrives.then(|| bytes.to_vec()),
        });
    }

    /// Delivers what is under way, as far as somebody takes it.
    async fn deliver_rest(&mut self, to: &mut (impl AsyncWrite + Unpin)) {
        while let Some(first) = self.segments.front() {
            sleep_until(first.due).await;
            if !self.deliver_first(to).await {
                return;
            }
        }
    }

    /// False when nobody takes it, or TCP has given up.
    async fn deliver_first(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> bool {
        let first = self.segments.pop_front();
        let Some(bytes) = first.and_then(|first| first.bytes) else {
            return false;
        };
        to.write_all(&bytes).await.is_ok()
    }
}

/// Reads once the rate's queue has room.
async fn read_after(
    wait: Duration,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
) -> io::Result<usize> {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    from.read(buffer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_conditions::NetworkConditions;

    /// A relay under these conditions, and the network's end of it.
    fn relayed(conditions: &str) -> (DuplexStream, DuplexStream) {
        let conditions: NetworkConditions = conditions.parse().unwrap();
        let (network, far) = duplex(64 * 1024);
        (relay(network, &Conditioner::new(conditions, 1)), far)
    }

    async fn elapsed_until_read(from: &mut DuplexStream, count: usize) -> Duration {
        let began = Instant::now();
        let mut buffer = vec![0; count];
        from.read_exact(&mut buffer).await.unwrap();
        began.elapsed()
    }

    /// Writes a part every millisecond.
    async fn write_in_parts(to: &mut DuplexStream, bytes: &[u8]) {
        for part in bytes.chunks(97) {
            to.write_all(part).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_come_late_by_the_delay_in_both_directions() {
        let (mut near, mut far) = relayed("delay=40ms");
        near.write_all(b"up").await.unwrap();
        assert_eq!(elapsed_until_read(&mut far, 2).await.as_millis(), 40);
        far.write_all(b"down").await.unwrap();
        assert_eq!(elapsed_until_read(&mut near, 4).await.as_millis(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_stay_in_order_whatever_the_jitter_and_the_losses() {
        let conditions = "delay=20ms,jitter=20ms,loss=30%,reorder=20%,duplicate=20%";
        let (mut near, mut far) = relayed(conditions);
        let sent: Vec<u8> = (0..50_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let mut received = vec![0; sent.len()];
        let write = write_in_parts(&mut near, &sent);
        let (read, ()) = tokio::join!(far.read_exact(&mut received), write);
        read.unwrap();
        assert!(sent == received);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_segment_holds_up_what_was_sent_behind_it() {
        let (mut near, mut far) = relayed("delay=10ms,loss=50%");
        let mut waits = Vec::new();
        for _ in 0..50 {
            near.write_all(b"x").await.unwrap();
            waits.push(elapsed_until_read(&mut far, 1).await.as_millis());
        }
        assert!(waits.contains(&10), "{waits:?}");
        // 200 ms and the round trip for the first attempt, twice that for the second.
        assert!(waits.contains(&230), "{waits:?}");
        assert!(waits.contains(&670), "{waits:?}");
        assert!(waits.iter().all(|wait| (wait - 10) % 220 == 0), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_faster_than_the_rate() {
        let (mut near, mut far) = relayed("rate=100kB/s");
        let count = 200_000;
        let write = async {
            near.write_all(&vec![0; count]).await.unwrap();
        };
        let (took, ()) = tokio::join!(elapsed_until_read(&mut far, count), write);
        assert!((1_950..2_100).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_words_of_who_leaves_arrive() {
        let (mut near, mut far) = relayed("delay=500ms");
        near.write_all(b"bye").await.unwrap();
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"bye");
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_ends_with_its_client_although_nothing_arrives() {
        let (mut near, mut far) = relayed("loss=100%");
        near.write_all(b"lost").await.unwrap();
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert!(received.is_empty());
    }
}
