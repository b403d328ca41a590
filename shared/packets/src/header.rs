//! The first bytes of each packet.

use crate::read::{MalformedPacket, Reader};

/// Length of a header.
pub const HEADER_BYTES: usize = 13;
/// Packets before the newest one that a header acknowledges.
const ACKS_BEFORE_MAX: u16 = 32;

/// What a packet contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketType {
    /// Batches of messages.
    Data,
    /// A part of a large message, then batches.
    Fragment,
    /// Compressed batches.
    CompressedData,
    /// A part of a large message, then compressed batches.
    CompressedFragment,
    /// Only the header.
    AcksOnly,
    /// A type that lightyear does not have.
    Unknown(u8),
}

impl From<u8> for PacketType {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Fragment,
            2 => Self::CompressedData,
            3 => Self::CompressedFragment,
            4 => Self::AcksOnly,
            unknown => Self::Unknown(unknown),
        }
    }
}

impl From<PacketType> for u8 {
    fn from(packet_type: PacketType) -> Self {
        match packet_type {
            PacketType::Data => 0,
            PacketType::Fragment => 1,
            PacketType::CompressedData => 2,
            PacketType::CompressedFragment => 3,
            PacketType::AcksOnly => 4,
            PacketType::Unknown(byte) => byte,
        }
    }
}

/// The packets that a peer has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketAcks {
    /// The newest packet.
    pub newest: u16,
    /// Bit 0 is the packet before the newest, and so on.
    pub before: u32,
}

impl PacketAcks {
    /// Whether they acknowledge this packet.
    #[must_use]
    pub fn contain(self, packet: u16) -> bool {
        match self.newest.wrapping_sub(packet) {
            0 => true,
            age @ 1..=ACKS_BEFORE_MAX => self.before >> (age - 1) & 1 == 1,
            _ => false,
        }
    }
}

/// The first bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub packet_type: PacketType,
    /// The sender's number for this packet.
    pub packet: u16,
    /// What the sender has received.
    pub acks: PacketAcks,
    /// The sender's tick.
    pub tick: u32,
}

impl Header {
    /// Reads a header; the reader then stands behind it.
    ///
    /// # Errors
    ///
    /// The packet is shorter than a header.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, MalformedPacket> {
        Ok(Self {
            packet_type: reader.byte()?.into(),
            packet: reader.u16()?,
            acks: PacketAcks {
                newest: reader.u16()?,
                before: reader.u32()?,
            },
            tick: reader.u32()?,
        })
    }

    /// Appends the header.
    pub fn write(&self, packet: &mut Vec<u8>) {
        packet.push(self.packet_type.into());
        packet.extend(self.packet.to_be_bytes());
        packet.extend(self.acks.newest.to_be_bytes());
        packet.extend(self.acks.before.to_be_bytes());
        packet.extend(self.tick.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        packet_type: PacketType::Data,
        packet: 0x0102,
        acks: PacketAcks {
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
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::read(&mut Reader(&bytes)), Ok(HEADER));
        let cut = &bytes[..HEADER_BYTES - 1];
        assert_eq!(Header::read(&mut Reader(cut)), Err(MalformedPacket));
    }

    #[test]
    fn every_byte_is_a_packet_type() {
        for byte in 0..=u8::MAX {
            assert_eq!(u8::from(PacketType::from(byte)), byte);
        }
    }

    #[test]
    fn acks_contain_the_newest_packet_and_those_whose_bit_is_set() {
        let acks = PacketAcks {
            newest: 1,
            before: 1 << 31 | 1,
        };
        assert!(acks.contain(1) && acks.contain(0) && acks.contain(65_505));
        assert!(!acks.contain(2) && !acks.contain(65_535) && !acks.contain(65_504));
    }
}
