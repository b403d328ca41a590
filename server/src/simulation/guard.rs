//! Looks at every packet of a native client before lightyear does.
//!
//! lightyear 0.30 trusts the sender of a packet: a fragment with a huge count makes it allocate
//! that much and abort the process, a byte on a replication channel or a negative time in a pong
//! panics, and every registered message is accepted from everybody. An honest client sends four
//! kinds of things: one greeting, acknowledgements of replicated state, pings with their pongs,
//! and inputs. Everything else stops here.
//!
//! The layout of packets is in `gameserver-packets`.

use bevy_ecs::prelude::*;
use gameserver_packets::{Header, MalformedPacket, Message, PacketType, Reader};
use gameserver_shared::game::Game;
use gameserver_shared::wire_ids::WireIds;

/// Longest time, in ticks, that a client may claim to have kept a ping before it answered, or to
/// let pass between its updates.
const CLAIMED_TICKS_MAX: u32 = 600;
/// Reliable messages that may be under way out of order. lightyear would keep 32,768.
const RELIABLE_WINDOW: u16 = 256;

/// Why a packet was dropped; the label of `gs_net_dropped_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Too short, cut off, or bytes left over.
    Malformed,
    /// Not a plain data packet: a fragment, or compressed. Clients have no use for either.
    PacketType,
    /// A channel that clients do not send on.
    Channel,
    /// A message that clients do not send, or not on this channel.
    Message,
    /// A pong or a greeting that claims an impossible time.
    Time,
    /// A reliable message too far ahead of the gap before it.
    ReliableGap,
}

impl From<MalformedPacket> for Violation {
    fn from(_: MalformedPacket) -> Self {
        Self::Malformed
    }
}

impl Violation {
    /// The label in metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "guard_malformed",
            Self::PacketType => "guard_packet_type",
            Self::Channel => "guard_channel",
            Self::Message => "guard_message",
            Self::Time => "guard_time",
            Self::ReliableGap => "guard_reliable_gap",
        }
    }
}

/// What clients may send: the ids that this App's registrations gave.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRules(WireIds);

impl GuardRules {
    /// Reads the ids from a finished App of this game.
    ///
    /// # Panics
    ///
    /// When the App was not built with lightyear's plugins and the game's input plugin.
    #[must_use]
    pub fn of<G: Game>(world: &World) -> Self {
        Self(WireIds::of::<G>(world))
    }
}

/// The guard of one connection.
#[derive(Debug, Default, Clone)]
pub struct Guard {
    acknowledgements: ReliableWindow,
}

impl Guard {
    /// Lets a packet pass or says why not. A refused packet changes nothing.
    ///
    /// # Errors
    ///
    /// What an honest client would not have sent.
    pub fn check(&mut self, rules: &GuardRules, packet: &[u8]) -> Result<(), Violation> {
        let mut rest = Reader(packet);
        match Header::read(&mut rest)?.packet_type {
            PacketType::Data => {}
            PacketType::AcksOnly if rest.is_empty() => return Ok(()),
            PacketType::AcksOnly => return Err(Violation::Malformed),
            PacketType::Fragment
            | PacketType::CompressedData
            | PacketType::CompressedFragment
            | PacketType::Unknown(_) => return Err(Violation::PacketType),
        }
        let mut window = self.acknowledgements;
        for message in rest.messages() {
            rules.check_message(message?, &mut window)?;
        }
        self.acknowledgements = window;
        Ok(())
    }
}

impl GuardRules {
    fn check_message(
        &self,
        message: Message<'_>,
        window: &mut ReliableWindow,
    ) -> Result<(), Violation> {
        let (channel, ids) = (message.channel, &self.0);
        if channel == ids.acknowledgements_channel {
            let id = message.number.ok_or(Violation::Malformed)?;
            return window.accept(id);
        }
        let mut body = Reader(message.bytes);
        let number = body.number()?;
        if channel == ids.input_channel {
            return expect(number, ids.input_message);
        }
        if channel == ids.greeting_channel {
            // Sent once for each connection, so it is the first message of its channel.
            expect(number, ids.greeting_message)?;
            expect(message.number.ok_or(Violation::Malformed)?, 0)?;
            return check_time(body);
        }
        if channel != ids.ping_channel {
            return Err(Violation::Channel);
        }
        if number == ids.pong_message {
            body.u16()?;
            return check_time(body);
        }
        expect(number, ids.ping_message)
    }
}

fn expect(number: u16, expected: u16) -> Result<(), Violation> {
    if number == expected {
        Ok(())
    } else {
        Err(Violation::Message)
    }
}

/// A pong is the ping's number (u16) and the ticks that it was kept; a greeting begins with the
/// ticks between the sender's updates. Both are whole ticks (u32, big-endian) and a fraction, and
/// lightyear panics when it multiplies one that is too long.
fn check_time(mut body: Reader<'_>) -> Result<(), Violation> {
    if body.u32()? > CLAIMED_TICKS_MAX {
        Err(Violation::Time)
    } else {
        Ok(())
    }
}

/// The reliable messages received so far, so that no gap lets the receiver hoard what follows.
#[derive(Debug, Default, Clone, Copy)]
struct ReliableWindow {
    /// The first message that is still missing.
    next: u16,
    /// Which of the messages after it have come; bit 0 is `next` itself.
    seen: [u128; 2],
}

impl ReliableWindow {
    fn accept(&mut self, id: u16) -> Result<(), Violation> {
        let ahead = id.wrapping_sub(self.next);
        if ahead > i16::MAX.cast_unsigned() {
            // Received before and sent again: lightyear ignores it.
            return Ok(());
        }
        if ahead >= RELIABLE_WINDOW {
            return Err(Violation::ReliableGap);
        }
        self.seen[usize::from(ahead / 128)] |= 1 << (ahead % 128);
        while self.seen[0] & 1 == 1 {
            self.seen[0] = self.seen[0] >> 1 | self.seen[1] << 127;
            self.seen[1] >>= 1;
            self.next = self.next.wrapping_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gameserver_packets::HEADER_BYTES;
    use proptest::prelude::*;

    use super::*;

    const PACKET_DATA: u8 = 0;
    const PACKET_ACK_ONLY: u8 = 4;

    const RULES: GuardRules = GuardRules(WireIds {
        updates_channel: 1,
        mutations_channel: 2,
        acknowledgements_channel: 3,
        greeting_channel: 6,
        ping_channel: 0,
        input_channel: 5,
        greeting_message: 2,
        ping_message: 0,
        pong_message: 1,
        input_message: 7,
    });

    fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        packet[0] = kind;
        packet.extend_from_slice(payload);
        packet
    }

    fn check(packet: &[u8]) -> Result<(), Violation> {
        Guard::default().check(&RULES, packet)
    }

    fn acknowledgement(id: u16) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        packet(PACKET_DATA, &[3, 1, 1, high, low, 2, 0, 0])
    }

    #[test]
    fn what_an_honest_client_sends_passes() {
        let ping = [0, 1, 0, 3, 0, 0, 1];
        let answer = [0, 1, 0, 9, 1, 0, 1, 0, 0, 0, 2, 0, 0];
        let input = [5, 2, 0, 2, 7, 0, 0, 2, 7, 0];
        let greeting = [6, 1, 1, 0, 0, 8, 2, 0, 0, 0, 3, 0, 66, 57];
        for payload in [
            &ping[..],
            &answer,
            &input,
            &greeting,
            &[&ping[..], &input].concat(),
        ] {
            assert_eq!(check(&packet(PACKET_DATA, payload)), Ok(()), "{payload:?}");
        }
        assert_eq!(check(&packet(PACKET_ACK_ONLY, &[])), Ok(()));
        assert_eq!(check(&acknowledgement(0)), Ok(()));
    }

    #[test]
    fn fragments_and_compressed_packets_are_refused() {
        for kind in [1, 2, 3, 5, 255] {
            assert_eq!(check(&packet(kind, &[0; 20])), Err(Violation::PacketType));
        }
    }

    #[test]
    fn other_channels_and_messages_are_refused() {
        assert_eq!(
            check(&packet(PACKET_DATA, &[1, 1, 0, 1, 0])),
            Err(Violation::Channel)
        );
        assert_eq!(
            check(&packet(PACKET_DATA, &[5, 1, 0, 1, 0])),
            Err(Violation::Message)
        );
        assert_eq!(
            check(&packet(PACKET_DATA, &[0, 1, 0, 1, 7])),
            Err(Violation::Message)
        );
    }

    #[test]
    fn a_pong_or_greeting_that_claims_an_impossible_time_is_refused() {
        let answer = [0, 1, 0, 9, 1, 0, 1, 0x80, 0, 0, 2, 0, 0];
        assert_eq!(check(&packet(PACKET_DATA, &answer)), Err(Violation::Time));
    }

    #[test]
    fn a_connection_greets_once() {
        let greeting = |id| [6, 1, 1, 0, id, 8, 2, 0, 0, 0, 3, 0, 66, 57];
        assert_eq!(check(&packet(PACKET_DATA, &greeting(0))), Ok(()));
        assert_eq!(
            check(&packet(PACKET_DATA, &greeting(1))),
            Err(Violation::Message)
        );
        let slow = [6, 1, 1, 0, 0, 8, 2, 0x80, 0, 0, 3, 0, 66, 57];
        assert_eq!(check(&packet(PACKET_DATA, &slow)), Err(Violation::Time));
    }

    #[test]
    fn a_channel_number_that_lightyear_would_cut_is_refused() {
        // 65,536 + 3 as an 8-byte varint: cut to 16 bits it would be channel 3.
        let aliased = [0xC0, 0, 0, 0, 0, 1, 0, 3, 1, 0, 1, 0];
        assert_eq!(
            check(&packet(PACKET_DATA, &aliased)),
            Err(Violation::Malformed)
        );
    }

    #[test]
    fn a_gap_in_reliable_messages_lets_only_a_window_follow() {
        let mut guard = Guard::default();
        let mut accept = |id| guard.check(&RULES, &acknowledgement(id));
        assert_eq!(accept(1), Ok(()));
        assert_eq!(accept(255), Ok(()));
        assert_eq!(accept(256), Err(Violation::ReliableGap));
        assert_eq!(accept(32_767), Err(Violation::ReliableGap), "the last new");
        assert_eq!(accept(32_768), Ok(()), "the first old");
        assert_eq!(accept(0), Ok(()));
        assert_eq!(accept(257), Ok(()), "the gap closed up to 2");
        assert_eq!(accept(0), Ok(()), "a repetition is harmless");
    }

    #[test]
    fn reliable_messages_may_go_round_the_number_space() {
        let mut guard = Guard::default();
        for id in (0..=u16::MAX).chain(0..1_000) {
            assert_eq!(guard.check(&RULES, &acknowledgement(id)), Ok(()), "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_makes_the_guard_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
            let _ = check(&packet(PACKET_DATA, &bytes));
        }
    }
}
