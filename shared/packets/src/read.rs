//! Reads packets that anybody may have sent.

/// A fragmented message that is not compressed.
const UNCOMPRESSED: u8 = 0;

/// Bytes that are not a packet, or that lightyear writes only when it compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a packet of lightyear")]
pub struct MalformedPacket;

/// A message within a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Number of its channel.
    pub channel: u16,
    /// Its own number, on channels that number their messages.
    pub number: Option<u16>,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// A part of a message that is larger than a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Number of the message's channel.
    pub channel: u16,
    /// The message's own number.
    pub message: u16,
    /// Which of its parts this is, from 0.
    pub index: u64,
    /// How many parts the sender claims there are.
    pub count: u64,
    /// The part's contents.
    pub bytes: &'a [u8],
}

/// The bytes that are left to read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedPacket> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MalformedPacket)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedPacket> {
        self.take(N)?.try_into().map_err(|_| MalformedPacket)
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// Fewer bytes are left.
    pub fn byte(&mut self) -> Result<u8, MalformedPacket> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Reads two bytes.
    ///
    /// # Errors
    ///
    /// Fewer bytes are left.
    pub fn u16(&mut self) -> Result<u16, MalformedPacket> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Reads four bytes.
    ///
    /// # Errors
    ///
    /// Fewer bytes are left.
    pub fn u32(&mut self) -> Result<u32, MalformedPacket> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn varint(&mut self) -> Result<u64, MalformedPacket> {
        let first = self.byte()?;
        let rest = self.take((1 << (first >> 6)) - 1)?;
        let high = u64::from(first & 0x3F);
        Ok(rest
            .iter()
            .fold(high, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Reads a varint that must fit 16 bits: the number of a channel or of a type of messages, or
    /// a length. lightyear would silently truncate a longer one.
    ///
    /// # Errors
    ///
    /// The varint is cut off or larger.
    pub fn number(&mut self) -> Result<u16, MalformedPacket> {
        u16::try_from(self.varint()?).map_err(|_| MalformedPacket)
    }

    fn bytes(&mut self) -> Result<&'a [u8], MalformedPacket> {
        let length = self.number()?;
        self.take(length.into())
    }

    /// Reads the fragment at the beginning of a packet of that type.
    ///
    /// # Errors
    ///
    /// The fragment is cut off or compressed.
    pub fn fragment(&mut self) -> Result<Fragment<'a>, MalformedPacket> {
        let (channel, message) = (self.number()?, self.u16()?);
        let (index, count) = (self.varint()?, self.varint()?);
        if index == 0 && self.byte()? != UNCOMPRESSED {
            return Err(MalformedPacket);
        }
        Ok(Fragment {
            channel,
            message,
            index,
            count,
            bytes: self.bytes()?,
        })
    }

    /// Iterates over the messages of all batches that are left. It ends after the first error.
    #[must_use]
    pub fn messages(self) -> Messages<'a> {
        Messages {
            rest: self,
            channel: 0,
            left: 0,
        }
    }

    fn message(&mut self, channel: u16) -> Result<Message<'a>, MalformedPacket> {
        let number = match self.byte()? {
            0 => None,
            1 => Some(self.u16()?),
            _ => return Err(MalformedPacket),
        };
        Ok(Message {
            channel,
            number,
            bytes: self.bytes()?,
        })
    }
}

/// The messages of a packet.
#[derive(Debug)]
pub struct Messages<'a> {
    rest: Reader<'a>,
    /// Of the present batch.
    channel: u16,
    /// Messages left in it.
    left: u8,
}

impl<'a> Messages<'a> {
    fn read_next(&mut self) -> Result<Option<Message<'a>>, MalformedPacket> {
        while self.left == 0 {
            if self.rest.is_empty() {
                return Ok(None);
            }
            (self.channel, self.left) = (self.rest.number()?, self.rest.byte()?);
        }
        self.left -= 1;
        self.rest.message(self.channel).map(Some)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, MalformedPacket>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read_next();
        if next.is_err() {
            (self.rest, self.left) = (Reader(&[]), 0);
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::Header;
    use crate::write::{put_batch, put_message, put_varint};

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
    fn a_number_that_lightyear_would_truncate_is_malformed() {
        // 65,536 + 3 as an 8-byte varint.
        let aliased = [0xC0, 0, 0, 0, 0, 1, 0, 3];
        assert_eq!(Reader(&aliased).number(), Err(MalformedPacket));
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        let mut packet = Vec::new();
        put_batch(&mut packet, 3, 2);
        put_message(&mut packet, Some(7), &[1, 2]);
        put_message(&mut packet, Some(8), &[0; 70]);
        put_batch(&mut packet, 4, 0);
        put_batch(&mut packet, 70, 1);
        put_message(&mut packet, None, &[]);
        let read: Result<Vec<_>, _> = Reader(&packet).messages().collect();
        let read = read.unwrap().into_iter();
        let read: Vec<_> = read
            .map(|message| (message.channel, message.number, message.bytes.len()))
            .collect();
        assert_eq!(read, [(3, Some(7), 2), (3, Some(8), 70), (70, None, 0)]);
    }

    #[test]
    fn a_packet_that_is_cut_off_ends_with_an_error() {
        let mut packet = Vec::new();
        put_batch(&mut packet, 3, 2);
        put_message(&mut packet, Some(7), &[1, 2]);
        let messages: Vec<_> = Reader(&packet).messages().collect();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].is_ok());
        assert_eq!(messages[1], Err(MalformedPacket));
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
        assert_eq!(Reader(&compressed).fragment(), Err(MalformedPacket));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = Reader(&bytes);
            let _ = Header::read(&mut rest);
            let _ = rest.clone().fragment();
            let _ = rest.messages().count();
        }
    }
}
