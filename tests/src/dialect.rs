//! Speaks lightyear's packets without lightyear, rightly and wrongly: the layout is told in the
//! server's `simulation/guard.rs`, the numbers of channels and messages come from a client's App.

use std::any::TypeId;

use gameserver_client::headless::headless_client;
use gameserver_shared::game::Game;
use lightyear::input::input_message::InputMessage;
use lightyear::prelude::input::InputChannel;
use lightyear::prelude::input::native::NativeStateSequence;
use lightyear::prelude::{
    ChannelRegistry, MessageRegistry, Ping, PingChannel, Pong, SenderMetadata,
};
use lightyear_replication::channels::RepliconChannelMap;
use lightyear_replication::metadata::MetadataChannel;
use tokio::runtime::Handle;

/// Bytes of a packet before its messages.
const HEADER_BYTES: usize = 13;

/// Types of packets.
pub mod packet_type {
    /// Plain data.
    pub const DATA: u8 = 0;
    /// A part of a large message.
    pub const FRAGMENT: u8 = 1;
    /// Compressed data.
    pub const COMPRESSED: u8 = 2;
    /// A part of a large message with compressed data.
    pub const COMPRESSED_FRAGMENT: u8 = 3;
    /// Acknowledgements only.
    pub const ACK_ONLY: u8 = 4;
}

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
        let channels = client.world().resource::<ChannelRegistry>();
        let channel = |kind: TypeId| one_byte(channels.get_net_from_kind(&kind.into()).copied());
        let messages = &client.world().resource::<MessageRegistry>().kind_map;
        let message = |kind: TypeId| one_byte(messages.net_id(&kind.into()).copied());
        let replication = client.world().resource::<RepliconChannelMap>();
        Self {
            updates_channel: one_byte(replication.server_channels.first().map(|row| row.1)),
            mutations_channel: one_byte(replication.server_channels.get(1).map(|row| row.1)),
            acknowledgement_channel: one_byte(replication.client_channels.first().map(|row| row.1)),
            greeting_channel: channel(TypeId::of::<MetadataChannel>()),
            ping_channel: channel(TypeId::of::<PingChannel>()),
            input_channel: channel(TypeId::of::<InputChannel>()),
            greeting_message: message(TypeId::of::<SenderMetadata>()),
            ping_message: message(TypeId::of::<Ping>()),
            pong_message: message(TypeId::of::<Pong>()),
            input_message: message(TypeId::of::<InputMessage<NativeStateSequence<G::Input>>>()),
        }
    }
}

fn one_byte(number: Option<u16>) -> u8 {
    let number = number.expect("lightyear has this channel or message");
    assert!(number < 64, "{number} is a longer varint");
    u8::try_from(number).expect("it is below 64")
}

/// A packet with an empty header.
#[must_use]
pub fn packet(packet_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES];
    header[0] = packet_type;
    [&header, payload].concat()
}

/// A data packet with an empty header and these messages.
#[must_use]
pub fn data(messages: &[Vec<u8>]) -> Vec<u8> {
    packet(packet_type::DATA, &messages.concat())
}

/// A message without an id, alone in its batch.
#[must_use]
pub fn unreliable(channel: u8, body: &[u8]) -> Vec<u8> {
    [&[channel, 1, 0][..], &length(body), body].concat()
}

/// A message with an id, alone in its batch.
#[must_use]
pub fn reliable(channel: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[channel, 1, 1, high, low][..], &length(body), body].concat()
}

/// A varint of two bytes.
fn length(body: &[u8]) -> [u8; 2] {
    let length = u16::try_from(body.len()).expect("a packet is shorter");
    assert!(length < 1 << 14, "a packet is shorter");
    (length | 1 << 14).to_be_bytes()
}
