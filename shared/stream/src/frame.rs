//! Thin frames but the snapshots: what clients send, and start, events, pong and bye. A frame is
//! one MessagePack array that begins with its number.

use crate::schema::{Schema, Shape};
pub use crate::wire::with_integers;
use crate::wire::{Reader, WireError, put_array, put_f64, put_str, put_u64, put_uint};

/// Numbers of the frames that the server sends. 0 to 2 are Hello, Welcome and Refused.
pub const START: u32 = 3;
/// See [`crate::viewer`] and [`crate::broadcast`].
pub const SNAPSHOT: u32 = 4;
/// Something happened.
pub const EVENT: u32 = 5;
/// The answer to a ping.
pub const PONG: u32 = 6;
/// The last frame before the connection is closed.
pub const BYE: u32 = 7;
/// Numbers of the frames that clients send.
pub const INPUT: u32 = 16;
/// Which snapshots arrived.
pub const ACK: u32 = 17;
/// Asks for the server's time.
pub const PING: u32 = 18;
/// A line for everybody in the match.
pub const CHAT: u32 = 19;
/// The player gives the seat up.
pub const LEAVE: u32 = 20;

/// Inputs that one frame repeats.
pub const INPUTS_MAX: usize = 8;
/// Bytes of one input.
pub const INPUT_BYTES_MAX: usize = 64;
/// Bytes of a chat line.
pub const CHAT_BYTES_MAX: usize = 200;
/// Elements of an event's payload.
pub const PAYLOAD_MAX: usize = 4_096;

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// What its player does.
    Input {
        /// The tick that the first input is for; 0 is the next one.
        tick: u32,
        /// Inputs for that tick and the ones before it.
        inputs: RawInputs<'a>,
        /// Which snapshots arrived.
        acks: Acks,
    },
    /// Which snapshots arrived.
    Ack(Acks),
    /// Asks for the server's time.
    Ping {
        /// Comes back in the pong.
        stamp: u64,
    },
    /// A line for everybody in the match.
    Chat(&'a str),
    /// The same with a text that is none: too long, or not UTF-8. Nothing else is wrong.
    BadChat,
    /// The player gives the seat up.
    Leave,
}

/// Which snapshots arrived: the newest, and one bit for each of the 32 before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acks {
    /// Number of the newest; 0 for none.
    pub newest: u32,
    /// Bit *i* for number newest − 1 − *i*.
    pub before: u32,
}

/// The inputs of a frame as the game's own MessagePack, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawInputs<'a> {
    each: [&'a [u8]; INPUTS_MAX],
    count: usize,
}

impl<'a> RawInputs<'a> {
    /// The bytes of each input.
    #[must_use]
    pub fn as_slices(&self) -> &[&'a [u8]] {
        &self.each[..self.count]
    }
}

impl<'a> ClientFrame<'a> {
    /// Reads a client's frame.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut frame = Reader::new(bytes);
        let fields = frame.array("frame", 8)?;
        let number = frame.uint("frame")?;
        let (frame_fields, decoded) = match number {
            INPUT => (5, Self::read_input(&mut frame)?),
            ACK => (3, Self::Ack(Acks::read(&mut frame)?)),
            PING => (
                2,
                Self::Ping {
                    stamp: frame.u64("stamp")?,
                },
            ),
            CHAT => (2, Self::read_chat(&mut frame)?),
            LEAVE => (1, Self::Leave),
            unknown => return Err(WireError::UnknownFrame(unknown)),
        };
        if fields != frame_fields {
            return Err(WireError::Malformed("frame"));
        }
        frame.finish()?;
        Ok(decoded)
    }

    fn read_chat(frame: &mut Reader<'a>) -> Result<Self, WireError> {
        let text = frame.text_bytes("text")?;
        let fits = text.len() <= CHAT_BYTES_MAX;
        let text = std::str::from_utf8(text).ok().filter(|_| fits);
        Ok(text.map_or(Self::BadChat, Self::Chat))
    }

    fn read_input(frame: &mut Reader<'a>) -> Result<Self, WireError> {
        let tick = frame.uint("tick")?;
        let count = frame.array("inputs", INPUTS_MAX)?;
        if count == 0 {
            return Err(WireError::Malformed("inputs"));
        }
        let mut inputs = RawInputs {
            each: [&[]; INPUTS_MAX],
            count,
        };
        for input in &mut inputs.each[..count] {
            *input = frame.value("input")?;
            if input.len() > INPUT_BYTES_MAX {
                return Err(WireError::TooLong("input"));
            }
        }
        let acks = Acks::read(frame)?;
        Ok(Self::Input { tick, inputs, acks })
    }
}

impl Acks {
    fn read(frame: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            newest: frame.uint("newest")?,
            before: frame.uint("before")?,
        })
    }

    fn put(self, out: &mut Vec<u8>) {
        put_uint(out, self.newest);
        put_uint(out, self.before);
    }
}

/// Appends an input frame. Each input is the game's own MessagePack, newest first.
pub fn put_input(out: &mut Vec<u8>, tick: u32, inputs: &[&[u8]], acks: Acks) {
    put_array(out, 5);
    put_uint(out, INPUT);
    put_uint(out, tick);
    put_array(out, inputs.len());
    for input in inputs {
        out.extend_from_slice(input);
    }
    acks.put(out);
}

/// Appends an ack frame.
pub fn put_ack(out: &mut Vec<u8>, acks: Acks) {
    put_array(out, 3);
    put_uint(out, ACK);
    acks.put(out);
}

/// Appends a ping.
pub fn put_ping(out: &mut Vec<u8>, stamp: u64) {
    put_array(out, 2);
    put_uint(out, PING);
    put_u64(out, stamp);
}

/// Appends a chat line.
pub fn put_chat(out: &mut Vec<u8>, text: &str) {
    put_array(out, 2);
    put_uint(out, CHAT);
    put_str(out, text);
}

/// Appends a leave.
pub fn put_leave(out: &mut Vec<u8>) {
    put_array(out, 1);
    put_uint(out, LEAVE);
}

/// Appends the first frame of a connection: what the numbers of the snapshots mean.
pub fn put_start(out: &mut Vec<u8>, tick: u32, interval: u32, schema: &Schema, config: &str) {
    put_array(out, 5);
    put_uint(out, START);
    put_uint(out, tick);
    put_uint(out, interval);
    put_array(out, schema.kinds.len());
    for kind in &schema.kinds {
        put_array(out, 2);
        put_str(out, kind.name);
        put_array(out, kind.fields.len());
        for field in &kind.fields {
            put_array(out, 5);
            put_str(out, field.name);
            put_f64(out, field.minimum);
            put_f64(out, field.step);
            put_u64(out, field.count);
            put_uint(out, u32::from(field.shape == Shape::Circle));
        }
    }
    put_str(out, config);
}

/// Appends an event; its payload is one MessagePack array.
pub fn put_event(out: &mut Vec<u8>, number: u32, event: &Event<'_>) {
    put_array(out, 5);
    put_uint(out, EVENT);
    put_uint(out, number);
    put_uint(out, event.tick);
    put_str(out, event.name);
    out.extend_from_slice(event.payload);
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When.
    pub tick: u32,
    /// What.
    pub name: &'a str,
    /// The rest, as one MessagePack array.
    pub payload: &'a [u8],
}

/// Appends the answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, stamp: u64, tick: u32, microseconds: u32) {
    put_array(out, 4);
    put_uint(out, PONG);
    put_u64(out, stamp);
    put_uint(out, tick);
    put_uint(out, microseconds);
}

/// Appends the last frame of a connection.
pub fn put_bye(out: &mut Vec<u8>, code: u32, text: &str) {
    put_array(out, 3);
    put_uint(out, BYE);
    put_uint(out, code);
    put_str(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_frame_is_read_as_it_was_written() {
        let acks = Acks {
            newest: 300,
            before: u32::MAX,
        };
        let mut bytes = Vec::new();
        put_input(&mut bytes, 70_000, &[&[0x91, 1], &[0x91, 2]], acks);
        let ClientFrame::Input {
            tick,
            inputs,
            acks: read,
        } = ClientFrame::decode(&bytes).unwrap()
        else {
            panic!("an input was read as something else")
        };
        assert_eq!((tick, read), (70_000, acks));
        assert_eq!(inputs.as_slices(), [&[0x91, 1], &[0x91, 2]]);
        let mut bytes = Vec::new();
        put_chat(&mut bytes, "hello");
        assert_eq!(ClientFrame::decode(&bytes), Ok(ClientFrame::Chat("hello")));
        let mut bytes = Vec::new();
        put_ping(&mut bytes, u64::MAX);
        let ping = ClientFrame::Ping { stamp: u64::MAX };
        assert_eq!(ClientFrame::decode(&bytes), Ok(ping));
        let mut bytes = Vec::new();
        put_leave(&mut bytes);
        assert_eq!(ClientFrame::decode(&bytes), Ok(ClientFrame::Leave));
    }

    #[test]
    fn a_client_whose_numbers_are_all_floating_point_is_understood() {
        // As a Godot script packs it: the number of the frame and everything in it.
        let float = |out: &mut Vec<u8>, values: &[f64]| {
            for value in values {
                put_f64(out, *value);
            }
        };
        let mut bytes = vec![0x95];
        float(&mut bytes, &[16.0, 70_000.0]);
        bytes.extend_from_slice(&[0x91, 0x92]);
        float(&mut bytes, &[1.0, -2.0, 300.0, 5.0]);
        let Ok(ClientFrame::Input { tick, inputs, acks }) = ClientFrame::decode(&bytes) else {
            panic!("it was not understood")
        };
        assert_eq!((tick, acks.newest, acks.before), (70_000, 300, 5));
        assert_eq!(
            with_integers(inputs.as_slices()[0]).unwrap(),
            [0x92, 1, 0xfe]
        );
        let mut bytes = vec![0x92];
        float(&mut bytes, &[18.0, 12_345.0]);
        let ping = ClientFrame::Ping { stamp: 12_345 };
        assert_eq!(ClientFrame::decode(&bytes), Ok(ping));
    }

    #[test]
    fn a_chat_line_that_is_no_text_is_told_from_a_frame_that_is_none() {
        let mut long = Vec::new();
        put_chat(&mut long, &"x".repeat(CHAT_BYTES_MAX + 1));
        // A lone surrogate as some programs write it, an overlong form, and a byte that is none.
        let surrogate = b"\x92\x13\xa3\xed\xa0\xbd".to_vec();
        let overlong = b"\x92\x13\xa2\xc0\x80".to_vec();
        for bad in [long, surrogate, overlong, b"\x92\x13\xa1\xff".to_vec()] {
            assert_eq!(ClientFrame::decode(&bad), Ok(ClientFrame::BadChat));
        }
        for none in [
            &b"\x92\x13\xa3\xed"[..],
            b"\x92\x13\x07",
            b"\x93\x13\xa1\xff\x00",
        ] {
            assert!(ClientFrame::decode(none).is_err());
        }
    }

    #[test]
    fn a_frame_that_is_not_as_described_is_refused() {
        let refused = |bytes: &[u8]| ClientFrame::decode(bytes).unwrap_err();
        assert_eq!(refused(&[]), WireError::Malformed("frame"));
        assert_eq!(refused(&[0x91, 0x63]), WireError::UnknownFrame(0x63));
        assert_eq!(refused(&[0x91, 0x14, 0x00]), WireError::TrailingBytes);
        assert_eq!(refused(&[0x92, 0x14, 0x00]), WireError::Malformed("frame"));
        let no_inputs = [0x95, 0x10, 0x01, 0x90, 0x00, 0x00];
        assert_eq!(refused(&no_inputs), WireError::Malformed("inputs"));
        let nine_inputs = [0x95, 0x10, 0x01, 0x99, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0];
        assert_eq!(refused(&nine_inputs), WireError::TooLong("inputs"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = ClientFrame::decode(&bytes);
        }

        #[test]
        fn no_flipped_byte_of_an_input_makes_the_decoder_panic(at in 0usize..18, to: u8) {
            let mut bytes = Vec::new();
            let inputs: [&[u8]; 2] = [&[0x94, 100, 0, 205, 1, 0, 1], &[0x94, 0, 0, 0, 0]];
            put_input(&mut bytes, 9, &inputs, Acks::default());
            bytes[at] = to;
            let _ = ClientFrame::decode(&bytes);
        }
    }
}
