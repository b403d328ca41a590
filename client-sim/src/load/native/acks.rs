//! Which packets have arrived, on both ways, and messages that are sent until one did that carried
//! them.
//!
//! What the messages mean is not known here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gameserver_packets::Acks;

/// Packets before the newest one that a header acknowledges.
const ACKS_BEFORE_MAX: u16 = 32;
/// Numbers between the oldest message under way and the newest: the server refuses those that are
/// 256 ahead of a gap.
const WINDOW: u16 = 200;
/// Packets that carried a message and may still be acknowledged.
const SENDINGS: usize = 4;

/// The packets received so far, for the headers of those that are sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    newest: Option<u16>,
    before: u32,
    /// Whether something came that the peer has not been told of.
    pub(crate) untold: bool,
}

impl Received {
    /// Notes a packet that arrived.
    pub(crate) fn note(&mut self, packet: u16) {
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

    /// What to tell. Before the first packet it is that of the number before the first.
    pub(crate) fn acks(&self) -> Acks {
        Acks {
            newest: self.newest.unwrap_or(u16::MAX),
            before: self.before,
        }
    }
}

/// A message that has not arrived for certain.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its number on the channel.
    pub(crate) number: u16,
    /// What it says.
    pub(crate) bytes: Vec<u8>,
    sent_at: Option<Instant>,
    /// The packets that carried it last.
    sent_in: [Option<u16>; SENDINGS],
}

/// Messages of one channel that have to arrive.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    next: u16,
    pending: VecDeque<Pending>,
}

impl Reliable {
    /// Takes a message on; false when too many are under way.
    pub(crate) fn queue(&mut self, bytes: Vec<u8>) -> bool {
        let oldest = self.pending.front();
        if oldest.is_some_and(|oldest| self.next.wrapping_sub(oldest.number) >= WINDOW) {
            return false;
        }
        self.pending.push_back(Pending {
            number: self.next,
            bytes,
            sent_at: None,
            sent_in: [None; SENDINGS],
        });
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Forgets what has arrived.
    pub(crate) fn acknowledge(&mut self, acks: Acks) {
        let arrived = |packet: &Option<u16>| packet.is_some_and(|packet| acks.contain(packet));
        self.pending
            .retain(|message| !message.sent_in.iter().any(arrived));
    }

    /// What is new, and what was sent so long ago that it may be lost; the oldest first.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        resend_after: Duration,
    ) -> impl Iterator<Item = &mut Pending> {
        self.pending.iter_mut().filter(move |message| {
            message
                .sent_at
                .is_none_or(|at| now.saturating_duration_since(at) > resend_after)
        })
    }
}

impl Pending {
    /// A packet carries it.
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
    fn a_header_tells_of_the_newest_packet_and_the_32_before() {
        let mut received = Received::default();
        assert_eq!(received.acks().newest, u16::MAX);
        for packet in [65_534, 65_535, 1, 2, 0] {
            received.note(packet);
        }
        received.note(2);
        let acks = received.acks();
        assert_eq!((acks.newest, acks.before), (2, 0b1111));
        assert!(acks.contain(2) && acks.contain(65_534));
        assert!(!acks.contain(3) && !acks.contain(65_533));
        received.note(34);
        assert!(received.acks().contain(2));
        assert!(!received.acks().contain(1));
        received.note(1_000);
        assert_eq!(received.acks().before, 0);
    }

    #[test]
    fn a_message_is_sent_until_a_packet_with_it_has_arrived() {
        let (mut reliable, start) = (Reliable::default(), Instant::now());
        let sent = |reliable: &mut Reliable, packet, now| {
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
        let acks = Acks {
            newest: 13,
            before: 0b10,
        };
        reliable.acknowledge(acks);
        assert_eq!(sent(&mut reliable, 14, late + RESEND * 2), [0]);
        let acks = Acks {
            newest: 14,
            before: 0,
        };
        reliable.acknowledge(acks);
        assert_eq!(reliable.due(late + RESEND * 9, RESEND).count(), 0);
    }

    #[test]
    fn a_gap_stops_new_messages_before_the_server_refuses_them() {
        let (mut reliable, now) = (Reliable::default(), Instant::now());
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
            reliable.acknowledge(Acks { newest, before });
        }
        assert!(!reliable.queue(Vec::new()));
        reliable.acknowledge(Acks {
            newest: 0,
            before: 0,
        });
        assert!(reliable.queue(Vec::new()));
    }
}
