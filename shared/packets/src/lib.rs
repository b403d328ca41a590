//! The layout of lightyear's packets: reads and writes headers, batches, messages and fragments.
//!
//! Depends on neither lightyear nor Bevy and does no I/O: the server's guard reads packets before
//! lightyear does, light bots and specs write packets without it. Readers never panic, whatever
//! the bytes are, and allocate nothing. The contents of messages are opaque here.
//!
//! Layout (`lightyear_transport` 0.30.1), integers big-endian:
//!
//! * header, 13 bytes: type (u8), packet number (u16), newest packet received (u16), one bit for
//!   each of the 32 packets before that, the latest lowest (u32), sender's tick (u32)
//! * fragment, only in packets of that type: channel (varint), message number (u16), index
//!   (varint), count (varint), compression (u8, only if the index is 0), length (varint), bytes
//! * batches, any number: channel (varint), count (u8), so many messages
//! * message: 1 (u8) and its number (u16), or 0 (u8); length (varint), bytes
//!
//! Varints are QUIC's (RFC 9000 §16). On channels that carry typed messages, the bytes of a message
//! begin with the number of its type (varint).
//!
//! Reading order: [`Header`], [`Reader`], [`put_batch`], [`put_message`].

mod header;
mod read;
mod write;

pub use header::{HEADER_BYTES, Header, PacketAcks, PacketType};
pub use read::{Fragment, MalformedPacket, Message, Messages, Reader};
pub use write::{put_batch, put_message, put_varint};
