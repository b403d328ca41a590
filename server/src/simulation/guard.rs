//! Looks at every packet of a native client before lightyear does.
//!
//! lightyear 0.30 trusts the sender of a packet: a fragment with a huge count makes it allocate
//! that much and abort the process, a byte on a replication channel or a negative time in a pong
//! panics, and every registered message is accepted from everybody. An honest client sends four
//! kinds of things: one greeting, acknowledgements of replicated state, pings with their pongs,
//! and inputs. Everything else stops here.
//!
//! Layout of a packet (`lightyear_transport` 0.30.1): a header of 13 bytes, the first of them the
//! type, then batches of `channel (varint), count (u8), count × message`, a message being
//! `has id (u8), id (u16, big-endian, when there is one), length (varint), bytes`. On channels
//! that carry typed messages the bytes begin with the message's number (varint). Varints are
//! QUIC's (RFC 9000 §16).

use std::any::TypeId;

use bevy_ecs::prelude::*;
use gameserver_shared::game::Game;
use lightyear::input::input_message::InputMessage;
use lightyear::prelude::input::InputChannel;
use lightyear::prelude::input::native::NativeStateSequence;
use lightyear::prelude::{
    ChannelRegistry, MessageRegistry, Ping, PingChannel, Pong, SenderMetadata,
};
use lightyear_replication::channels::RepliconChannelMap;
use lightyear_replication::metadata::MetadataChannel;

const HEADER_BYTES: usize = 13;
const PACKET_DATA: u8 = 0;
const PACKET_ACK_ONLY: u8 = 4;
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

/// What clients may send: the numbers that this App's registrations gave.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRules {
    acknowledgement_channel: u16,
    greeting_channel: u16,
    ping_channel: u16,
    input_channel: u16,
    greeting_message: u16,
    ping_message: u16,
    pong_message: u16,
    input_message: u16,
}

impl GuardRules {
    /// Reads the numbers from a finished App of this game.
    ///
    /// # Panics
    ///
    /// When the App was not built with lightyear's plugins and the game's input plugin.
    #[must_use]
    pub fn of<G: Game>(world: &World) -> Self {
        let channels = world.resource::<ChannelRegistry>();
        let channel = |kind: TypeId| {
            *channels
                .get_net_from_kind(&kind.into())
                .expect("the channel is registered")
        };
        let messages = &world.resource::<MessageRegistry>().kind_map;
        let message = |kind: TypeId| {
            *messages
                .net_id(&kind.into())
                .expect("the message is registered")
        };
        let acknowledgements = &world.resource::<RepliconChannelMap>().client_channels[0];
        let input_message = TypeId::of::<InputMessage<NativeStateSequence<G::Input>>>();
        Self {
            acknowledgement_channel: acknowledgements.1,
            greeting_channel: channel(TypeId::of::<MetadataChannel>()),
            ping_channel: channel(TypeId::of::<PingChannel>()),
            input_channel: channel(TypeId::of::<InputChannel>()),
            greeting_message: message(TypeId::of::<SenderMetadata>()),
            ping_message: message(TypeId::of::<Ping>()),
            pong_message: message(TypeId::of::<Pong>()),
            input_message: message(input_message),
        }
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
        let (header, payload) = packet
            .split_at_checked(HEADER_BYTES)
            .ok_or(Violation::Malformed)?;
        match header[0] {
            PACKET_ACK_ONLY if payload.is_empty() => return Ok(()),
            PACKET_ACK_ONLY => return Err(Violation::Malformed),
            PACKET_DATA => {}
            _ => return Err(Violation::PacketType),
        }
        let mut window = self.acknowledgements;
        let mut rest = Bytes(payload);
        while !rest.0.is_empty() {
            let channel = rest.varint()?;
            for _ in 0..rest.byte()? {
                let message = rest.message()?;
                rules.check_message(channel, &message, &mut window)?;
            }
        }
        self.acknowledgements = window;
        Ok(())
    }
}

impl GuardRules {
    fn check_message(
        &self,
        channel: u16,
        message: &Message<'_>,
        window: &mut ReliableWindow,
    ) -> Result<(), Violation> {
        if channel == self.acknowledgement_channel {
            let id = message.id.ok_or(Violation::Malformed)?;
            return window.accept(id);
        }
        let mut body = Bytes(message.bytes);
        let number = body.varint()?;
        if channel == self.input_channel {
            return expect(number, self.input_message);
        }
        if channel == self.greeting_channel {
            // Sent once for each connection, so it is the first message of its channel.
            expect(number, self.greeting_message)?;
            expect(message.id.ok_or(Violation::Malformed)?, 0)?;
            return check_time(body);
        }
        if channel != self.ping_channel {
            return Err(Violation::Channel);
        }
        if number == self.pong_message {
            body.take(2)?;
            return check_time(body);
        }
        expect(number, self.ping_message)
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
fn check_time(mut body: Bytes<'_>) -> Result<(), Violation> {
    let ticks = body.take(4)?.try_into().map_err(|_| Violation::Malformed)?;
    if u32::from_be_bytes(ticks) > CLAIMED_TICKS_MAX {
        Err(Violation::Time)
    } else {
        Ok(())
    }
}

struct Message<'a> {
    id: Option<u16>,
    bytes: &'a [u8],
}

/// What is left to read of a packet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Violation::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Violation> {
        Ok(self.take(1)?[0])
    }

    /// A number that must fit 16 bits: lightyear would silently cut a longer one.
    fn varint(&mut self) -> Result<u16, Violation> {
        let first = *self.0.first().ok_or(Violation::Malformed)?;
        let bytes = self.take(1 << (first >> 6))?;
        let high = u64::from(first & 0x3F);
        let value = bytes[1..]
            .iter()
            .fold(high, |value, byte| value << 8 | u64::from(*byte));
        u16::try_from(value).map_err(|_| Violation::Malformed)
    }

    fn message(&mut self) -> Result<Message<'a>, Violation> {
        let id = match self.byte()? {
            0 => None,
            1 => {
                let bytes = self.take(2)?;
                Some(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            _ => return Err(Violation::Malformed),
        };
        let length = usize::from(self.varint()?);
        Ok(Message {
            id,
            bytes: self.take(length)?,
        })
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
    use proptest::prelude::*;

    use super::*;

    const RULES: GuardRules = GuardRules {
        acknowledgement_channel: 3,
        greeting_channel: 6,
        ping_channel: 0,
        input_channel: 5,
        greeting_message: 2,
        ping_message: 0,
        pong_message: 1,
        input_message: 7,
    };

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
