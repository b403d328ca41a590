//! Writes lightyear's packets without lightyear: the layout is that of `gameserver-packets`, the
//! numbers of channels and messages come from a client's App.

use gameserver_client::headless::headless_client;
use gameserver_packets::{Header, PacketAcks, PacketType, put_batch, put_message};
use gameserver_shared::game::Game;
use gameserver_shared::wire_ids::WireIds;
use tokio::runtime::Handle;

/// The numbers that a game's protocol gave to channels and messages. All are below 64, one byte
/// each.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Replicated entities and components; servers send on it.
    pub updates_channel: u8,
    /// Changed components; servers send on it.
    pub mutations_channel: u8,
    /// Acknowledgements of these; clients send on it.
    pub acknowledgement_channel: u8,
    /// Greetings and protocol checks.
    pub greeting_channel: u8,
    /// Pings and pongs.
    pub ping_channel: u8,
    /// Inputs.
    pub input_channel: u8,
    /// The greeting.
    pub greeting_message: u8,
    /// A ping.
    pub ping_message: u8,
    /// A pong.
    pub pong_message: u8,
    /// An input message.
    pub input_message: u8,
}

impl Dialect {
    /// Reads the numbers from a client of this game.
    ///
    /// # Panics
    ///
    /// When lightyear does not have one of them any more.
    #[must_use]
    pub fn of<G: Game>() -> Self {
        let client = headless_client::<G>(Handle::current());
        let ids = WireIds::of::<G>(client.world());
        Self {
            updates_channel: one_byte(ids.updates_channel),
            mutations_channel: one_byte(ids.mutations_channel),
            acknowledgement_channel: one_byte(ids.acknowledgements_channel),
            greeting_channel: one_byte(ids.greeting_channel),
            ping_channel: one_byte(ids.ping_channel),
            input_channel: one_byte(ids.input_channel),
            greeting_message: one_byte(ids.greeting_message),
            ping_message: one_byte(ids.ping_message),
            pong_message: one_byte(ids.pong_message),
            input_message: one_byte(ids.input_message),
        }
    }
}

fn one_byte(number: u16) -> u8 {
    assert!(number < 64, "{number} is a longer varint");
    u8::try_from(number).expect("it is below 64")
}

/// A packet whose header acknowledges nothing.
#[must_use]
pub fn packet(packet_type: PacketType, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        packet_type,
        packet: 0,
        acks: PacketAcks::default(),
        tick: 0,
    };
    let mut packet = Vec::new();
    header.write(&mut packet);
    packet.extend_from_slice(payload);
    packet
}

/// A data packet with these messages.
#[must_use]
pub fn data(messages: &[Vec<u8>]) -> Vec<u8> {
    packet(PacketType::Data, &messages.concat())
}

/// A message without a number, alone in its batch.
#[must_use]
pub fn unreliable(channel: u8, body: &[u8]) -> Vec<u8> {
    batch(channel, None, body)
}

/// A message with a number, alone in its batch.
#[must_use]
pub fn reliable(channel: u8, number: u16, body: &[u8]) -> Vec<u8> {
    batch(channel, Some(number), body)
}

fn batch(channel: u8, number: Option<u16>, body: &[u8]) -> Vec<u8> {
    let mut batch = Vec::new();
    put_batch(&mut batch, channel.into(), 1);
    put_message(&mut batch, number, body);
    batch
}
