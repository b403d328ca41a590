//! Tracks which packets have arrived, both ways, and resends messages until a packet with them has.
//!
//! Does not know what the messages mean.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gameserver_packets::PacketAcks;

/// Packets before the newest one that a header acknowledges.
const ACKS_BEFORE_MAX: u16 = 32;
/// Numbers between the oldest message under way and the newest: the server refuses those that are
/// 256 ahead of a gap.
const WINDOW: u16 = 200;
/// Packets that carried a message and may still be acknowledged.
const PACKETS_KEPT: usize = 4;

/// The packets received so far, for the headers of those that are sent.
#[derive(Debug, Default)]
pub(crate) struct ReceivedPackets {
    newest: Option<u16>,
    before: u32,
    /// Whether something arrived that was not acknowledged yet.
    pub(crate) unacknowledged: bool,
}

impl ReceivedPackets {
    /// Records a packet that arrived.
    pub(crate) fn record(&mut self, packet: u16) {
        let Some(newest) = self.newest else {
            self.newest = Some(packet);
            return;
        };
        let ahead = packet.wrapping_sub(newest);
        if ahead == 0 {
            return;
        }
        if ahead <= i16::MAX.cast_unsigned() {
            let with_newest = self.before << 1 | 1;
            self.before = with_newest.checked_shl(u32::from(ahead) - 1).unwrap_or(0);
            self.newest = Some(packet);
        } else if let age @ 1..=ACKS_BEFORE_MAX = newest.wrapping_sub(packet) {
            self.before |= 1 << (age - 1);
        }
    }

    /// What to acknowledge. Before the first packet it is the number before the first.
    pub(crate) fn acks(&self) -> PacketAcks {
        PacketAcks {
            newest: self.newest.unwrap_or(u16::MAX),
            before: self.before,
        }
    }
}

/// A message that may not have arrived.
#[derive(Debug)]
pub(crate) struct PendingMessage {
    /// Its number on the channel.
    pub(crate) number: u16,
    /// Its contents.
    pub(crate) bytes: Vec<u8>,
    sent_at: Option<Instant>,
    /// The packets that carried it last.
    sent_in: [Option<u16>; PACKETS_KEPT],
}

/// Messages of one channel that have to arrive.
#[derive(Debug, Default)]
pub(crate) struct ReliableMessages {
    next: u16,
    pending: VecDeque<PendingMessage>,
}

impl ReliableMessages {
    /// Queues a message; false when too many are under way.
    pub(crate) fn queue(&mut self, bytes: Vec<u8>) -> bool {
        let oldest = self.pending.front();
        if oldest.is_some_and(|oldest| self.next.wrapping_sub(oldest.number) >= WINDOW) {
            return false;
        }
        self.pending.push_back(PendingMessage {
            number: self.next,
            bytes,
            sent_at: None,
            sent_in: [None; PACKETS_KEPT],
        });
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Forgets what has arrived.
    pub(crate) fn acknowledge(&mut self, acks: PacketAcks) {
        let arrived = |packet: &Option<u16>| packet.is_some_and(|packet| acks.contain(packet));
        self.pending
            .retain(|message| !message.sent_in.iter().any(arrived));
    }

    /// What is new, and what was sent so long ago that it may be lost; the oldest first.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        resend_after: Duration,
    ) -> impl Iterator<Item = &mut PendingMessage> {
        self.pending.iter_mut().filter(move |message| {
            message
                .sent_at
                .is_none_or(|at| now.saturating_duration_since(at) > resend_after)
        })
    }
}

impl PendingMessage {
    /// Records that a packet carries it.
    pub(crate) fn sent(&mut self, packet: u16, now: Instant) {
        self.sent_in.rotate_right(1);
        (self.sent_in[0], self.sent_at) = (Some(packet), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESEND: Duration = Duration::from_millis(30);

    #[test]
    fn a_header_acknowledges_the_newest_packet_and_the_32_before() {
        let mut received = ReceivedPackets::default();
        assert_eq!(received.acks().newest, u16::MAX);
        for packet in [65_534, 65_535, 1, 2, 0] {
            received.record(packet);
        }
        received.record(2);
        let acks = received.acks();
        assert_eq!((acks.newest, acks.before), (2, 0b1111));
        assert!(acks.contain(2) && acks.contain(65_534));
        assert!(!acks.contain(3) && !acks.contain(65_533));
        received.record(34);
        assert!(received.acks().contain(2));
        assert!(!received.acks().contain(1));
        received.record(1_000);
        assert_eq!(received.acks().before, 0);
    }

    #[test]
    fn a_message_is_sent_until_a_packet_with_it_has_arrived() {
        let (mut reliable, start) = (ReliableMessages::default(), Instant::now());
        let sent = |reliable: &mut ReliableMessages, packet, now| {
            let due = reliable.due(now, RESEND);
            due.map(|message| {
                message.sent(packet, now);
                message.number
            })
            .collect::<Vec<_>>()
        };
        assert!(reliable.queue(vec![1]));
        assert_eq!(sent(&mut reliable, 10, start), [0]);
        assert!(reliable.queue(vec![2]));
        let soon = start + RESEND / 2;
        assert_eq!(sent(&mut reliable, 11, soon), [1], "the first is under way");
        let late = start + RESEND * 2;
        assert_eq!(sent(&mut reliable, 12, late), [0, 1], "both may be lost");
        // Packet 10 and 12 were lost, 11 was not.
        let acks = PacketAcks {
            newest: 13,
            before: 0b10,
        };
        reliable.acknowledge(acks);
        assert_eq!(sent(&mut reliable, 14, late + RESEND * 2), [0]);
        let acks = PacketAcks {
            newest: 14,
            before: 0,
        };
        reliable.acknowledge(acks);
        assert_eq!(reliable.due(late + RESEND * 9, RESEND).count(), 0);
    }

    #[test]
    fn a_gap_stops_new_messages_before_the_server_refuses_them() {
        let (mut reliable, now) = (ReliableMessages::default(), Instant::now());
        let mut queued = 0;
        while reliable.queue(Vec::new()) {
            queued += 1;
        }
        assert_eq!(queued, WINDOW);
        for (message, packet) in reliable.due(now, RESEND).zip(0..) {
            message.sent(packet, now);
        }
        // All but the first message arrive; the gap is still there.
        for packet in 1..WINDOW {
            let before = 0;
            let newest = packet;
            reliable.acknowledge(PacketAcks { newest, before });
        }
        assert!(!reliable.queue(Vec::new()));
        reliable.acknowledge(PacketAcks {
            newest: 0,
            before: 0,
        });
        assert!(reliable.queue(Vec::new()));
    }
}
