//! lightyear's packets as bytes: reading what a server sends, writing what a client does.
//!
//! Layout (`lightyear_transport` 0.30.1), numbers big-endian: a header of 13 bytes — type (u8), the
//! packet's number (u16), the newest number received (u16), a bit for each of the 32 before it, the
//! next one lowest (u32), the sender's tick (u32) — and then batches of `channel (varint),
//! count (u8), count × message`. A message is `has number (u8), number (u16, when there is one),
//! length (varint), bytes`. Before the batches a packet of the type fragment has `channel (varint),
//! message (u16), index (varint), count (varint), compression (u8, with index 0 only), length
//! (varint), bytes`. Varints are QUIC's (RFC 9000 §16).
//!
//! What is in the messages is not known here.

use super::acks::Acks;

const PACKET_DATA: u8 = 0;
const PACKET_FRAGMENT: u8 = 1;
const PACKET_ACKS_ONLY: u8 = 4;
/// A fragmented message that is not compressed.
const UNCOMPRESSED: u8 = 0;

/// Bytes that are no packet, or of a kind that our servers do not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a packet of lightyear")]
pub(crate) struct NoPacket;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketType {
    /// Messages.
    Data,
    /// A part of a large message, and others.
    Fragment,
    /// Nothing but its header.
    AcksOnly,
}

/// The first bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) packet_type: PacketType,
    /// The sender's number for it.
    pub(crate) packet: u16,
    /// What the sender has received.
    pub(crate) acks: Acks,
    /// The sender's tick.
    pub(crate) tick: u32,
}

/// A message within a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) channel: u16,
    /// On channels that number their messages.
    pub(crate) number: Option<u16>,
    pub(crate) bytes: &'a [u8],
}

/// A part of a message that is larger than a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) channel: u16,
    pub(crate) message: u16,
    pub(crate) index: u64,
    pub(crate) count: u64,
    pub(crate) bytes: &'a [u8],
}

impl Header {
    /// Reads the header; what follows it is left to read.
    pub(crate) fn read(rest: &mut Reader<'_>) -> Result<Self, NoPacket> {
        let packet_type = match rest.byte()? {
            PACKET_DATA => PacketType::Data,
            PACKET_FRAGMENT => PacketType::Fragment,
            PACKET_ACKS_ONLY => PacketType::AcksOnly,
            _ => return Err(NoPacket),
        };
        Ok(Self {
            packet_type,
            packet: rest.u16()?,
            acks: Acks {
                newest: rest.u16()?,
                before: rest.u32()?,
            },
            tick: rest.u32()?,
        })
    }

    /// Writes the header.
    pub(crate) fn write(&self, packet: &mut Vec<u8>) {
        packet.push(match self.packet_type {
            PacketType::Data => PACKET_DATA,
            PacketType::Fragment => PACKET_FRAGMENT,
            PacketType::AcksOnly => PACKET_ACKS_ONLY,
        });
        packet.extend(self.packet.to_be_bytes());
        packet.extend(self.acks.newest.to_be_bytes());
        packet.extend(self.acks.before.to_be_bytes());
        packet.extend(self.tick.to_be_bytes());
    }
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], NoPacket> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NoPacket)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NoPacket> {
        self.take(N)?.try_into().map_err(|_| NoPacket)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, NoPacket> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, NoPacket> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, NoPacket> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn varint(&mut self) -> Result<u64, NoPacket> {
        let first = self.byte()?;
        let rest = self.take((1 << (first >> 6)) - 1)?;
        let high = u64::from(first & 0x3F);
        Ok(rest
            .iter()
            .fold(high, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A number of a channel or of a kind of messages.
    pub(crate) fn number(&mut self) -> Result<u16, NoPacket> {
        u16::try_from(self.varint()?).map_err(|_| NoPacket)
    }

    fn bytes(&mut self) -> Result<&'a [u8], NoPacket> {
        let length = usize::try_from(self.varint()?).map_err(|_| NoPacket)?;
        self.take(length)
    }

    /// The part of a large message that a packet of that type begins with.
    pub(crate) fn fragment(&mut self) -> Result<Fragment<'a>, NoPacket> {
        let (channel, message) = (self.number()?, self.u16()?);
        let (index, count) = (self.varint()?, self.varint()?);
        if index == 0 && self.byte()? != UNCOMPRESSED {
            return Err(NoPacket);
        }
        Ok(Fragment {
            channel,
            message,
            index,
            count,
            bytes: self.bytes()?,
        })
    }

    /// Hands out the messages of all batches.
    pub(crate) fn messages(&mut self, mut take: impl FnMut(Message<'a>)) -> Result<(), NoPacket> {
        while !self.is_empty() {
            let channel = self.number()?;
            for _ in 0..self.byte()? {
                let number = match self.byte()? {
                    0 => None,
                    1 => Some(self.u16()?),
                    _ => return Err(NoPacket),
                };
                take(Message {
                    channel,
                    number,
                    bytes: self.bytes()?,
                });
            }
        }
        Ok(())
    }
}

/// Writes a varint; only what fits 30 bits is ever sent.
pub(crate) fn put_varint(packet: &mut Vec<u8>, value: u32) {
    match value {
        0..0x40 => packet.extend_from_slice(&value.to_be_bytes()[3..]),
        0x40..0x4000 => packet.extend_from_slice(&(value | 0x4000).to_be_bytes()[2..]),
        _ => packet.extend((value | 0x8000_0000).to_be_bytes()),
    }
}

/// Begins a batch of so many messages, at most 255.
pub(crate) fn put_batch(packet: &mut Vec<u8>, channel: u16, count: usize) {
    put_varint(packet, channel.into());
    packet.push(u8::try_from(count).unwrap_or(u8::MAX));
}

/// Adds a message to the batch that was begun.
pub(crate) fn put_message(packet: &mut Vec<u8>, number: Option<u16>, bytes: &[u8]) {
    packet.push(u8::from(number.is_some()));
    packet.extend(number.iter().flat_map(|number| number.to_be_bytes()));
    put_varint(packet, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    packet.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header {
        packet_type: PacketType::Data,
        packet: 0x0102,
        acks: Acks {
            newest: 0x0304,
            before: 0x0506_0708,
        },
        tick: 0x090A_0B0C,
    };

    #[test]
    fn a_header_is_thirteen_bytes_in_their_order() {
        let mut bytes = Vec::new();
        HEADER.write(&mut bytes);
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(Header::read(&mut Reader(&bytes)), Ok(HEADER));
        bytes[0] = 2;
        assert_eq!(Header::read(&mut Reader(&bytes)), Err(NoPacket));
    }

    #[test]
    fn varints_are_those_of_quic() {
        // RFC 9000 §A.1.
        for (value, bytes) in [
            (37, &[0x25][..]),
            (15_293, &[0x7B, 0xBD]),
            (494_878_333, &[0x9D, 0x7F, 0x3E, 0x7D]),
        ] {
            let mut written = Vec::new();
            put_varint(&mut written, value);
            assert_eq!(written, bytes);
            assert_eq!(Reader(bytes).varint(), Ok(value.into()));
        }
        let long = [0xC2, 0x19, 0x7C, 0x5E, 0xFF, 0x14, 0xE8, 0x8C];
        assert_eq!(Reader(&long).varint(), Ok(151_288_809_941_952_652));
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        let mut packet = Vec::new();
        put_batch(&mut packet, 3, 2);
        put_message(&mut packet, Some(7), &[1, 2]);
        put_message(&mut packet, Some(8), &[0; 70]);
        put_batch(&mut packet, 70, 1);
        put_message(&mut packet, None, &[]);
        let mut read = Vec::new();
        let all = Reader(&packet).messages(|message| {
            read.push((message.channel, message.number, message.bytes.len()));
        });
        assert_eq!(all, Ok(()));
        assert_eq!(read, [(3, Some(7), 2), (3, Some(8), 70), (70, None, 0)]);
        packet.pop();
        assert_eq!(Reader(&packet).messages(|_| {}), Err(NoPacket));
    }

    #[test]
    fn only_the_first_fragment_tells_its_compression() {
        let first = [9, 0, 5, 0, 2, 0, 1, 42];
        let last = [9, 0, 5, 1, 2, 1, 43];
        let fragment = |index, bytes| Fragment {
            channel: 9,
            message: 5,
            index,
            count: 2,
            bytes,
        };
        assert_eq!(Reader(&first).fragment(), Ok(fragment(0, &[42])));
        assert_eq!(Reader(&last).fragment(), Ok(fragment(1, &[43])));
        let compressed = [9, 0, 5, 0, 2, 1, 1, 42];
        assert_eq!(Reader(&compressed).fragment(), Err(NoPacket));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = Reader(&bytes);
            let _ = Header::read(&mut rest);
            let _ = rest.clone().fragment();
            let _ = rest.messages(|_| {});
        }
    }
}
