//! A native player without a world: lightyear's protocol by hand, and a policy that sees nothing.

use std::time::{Duration, Instant};

use gameserver_packets::{
    Header, MalformedPacket, Message, PacketType, Reader, put_batch, put_message, put_varint,
};
use gameserver_shared::bot::BlindPolicy;
use gameserver_shared::determinism::MatchRng;
use gameserver_shared::input::PlayerInput;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;

use super::acks::{ReceivedPackets, ReliableMessages};
use super::fragments::Fragments;
use super::inputs::Inputs;
use super::pings::Pings;
use super::protocol::Protocol;
use super::replication::{Mutations, OwnAvatar};
use crate::load::latency_probe::LatencyProbe;
use crate::load::sent_inputs::SentInputs;
use crate::load::server_clock::ServerClock;

/// Packets taken from the connection at a time.
const PACKETS_PER_CALL: usize = 64;
/// Room for a packet; most are smaller.
const PACKET_BYTES: usize = 128;
/// Acknowledgements in one packet: a server's snapshot is a few messages.
const ACKNOWLEDGEMENTS_PER_PACKET: usize = 16;
/// Pings that wait to be answered; the server sends ten a second.
const PONGS_MAX: usize = 8;
/// An acknowledgement is sent again after so many round trips: lightyear's default.
const RESEND_ROUND_TRIPS: f32 = 1.5;
/// The same before the first round trip.
const RESEND_FIRST: Duration = Duration::from_millis(100);

/// One light native player.
#[derive(Debug)]
pub(crate) struct LightBot<P: BlindPolicy> {
    connection: Connection,
    protocol: Protocol,
    tick: Duration,
    policy: P,
    rng: MatchRng,
    clock: ServerClock,
    sent_inputs: SentInputs,
    state: Box<ReceivedState>,
    inputs: Inputs<P::Input>,
    /// The number of the next packet.
    next_packet: u16,
    /// The newest tick with something to do; 0 before the first.
    acted: u32,
    /// The newest tick that a packet was due in; 0 before the first.
    sent: u32,
    /// When the server's next state is to be looked for.
    receive_at: Option<Instant>,
}

/// What the server's packets have changed.
#[derive(Debug, Default)]
struct ReceivedState {
    received: ReceivedPackets,
    acknowledgements: ReliableMessages,
    fragments: Fragments,
    pings: Pings,
    own: OwnAvatar,
    /// Mutations to acknowledge with the next packet.
    mutations: Vec<u8>,
    /// Pings to answer with the next packet, and when they came.
    pongs: Vec<(u16, Instant)>,
    /// The newest tick whose state came; 0 before the first.
    newest: u32,
    snapshots: u64,
}

impl<P: BlindPolicy> LightBot<P>
where
    P::Input: PlayerInput,
{
    pub(crate) fn new(
        connection: Connection,
        protocol: Protocol,
        tick: Duration,
        seed: u64,
    ) -> Self {
        Self {
            connection,
            protocol,
            tick,
            policy: P::default(),
            rng: MatchRng::seeded(seed),
            clock: ServerClock::new(tick),
            sent_inputs: SentInputs::default(),
            state: Box::default(),
            inputs: Inputs::new(protocol.ticks_per_message),
            next_packet: 0,
            acted: 0,
            sent: 0,
            receive_at: None,
        }
    }

    /// The connection, for its counters.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// States taken in so far.
    pub(crate) fn snapshots(&self) -> u64 {
        self.state.snapshots
    }

    /// Leaves the match.
    pub(crate) fn leave(&self) {
        self.connection.close(CloseCode::Consented, "");
    }

    /// When the next state can come or the next input is due; none when that may be now. What comes
    /// in between, such as the rest of a long state, waits for the input.
    pub(crate) fn idle_until(&self) -> Option<Instant> {
        let input_due = self.clock.input_due_at(self.acted + 1);
        Some(self.receive_at?.min(input_due?))
    }

    /// Takes in what came.
    pub(crate) fn receive(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        let before = self.state.snapshots;
        for _ in 0..PACKETS_PER_CALL {
            let Some(packet) = self.connection.try_recv() else {
                break;
            };
            match self.state.take_in(&packet, &self.protocol, self.tick, now) {
                Ok(tick) => {
                    self.clock.observe(tick, None, now);
                    // The server speaks when it has a state to send.
                    let next = tick.saturating_add(self.protocol.ticks_per_state);
                    self.receive_at = self.clock.snapshot_due_at(next);
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "packet not understood"
                ),
            }
        }
        for _ in before..self.state.snapshots {
            probe.snapshot_received();
        }
        if self.state.snapshots > before {
            self.sent_inputs
                .answered_up_to(self.state.newest, now, probe);
        }
    }

    /// Once a tick, decides on an input, and sends what is due: inputs, and what the server waits
    /// for.
    pub(crate) fn send_due(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        let waiting = self.protocol.ticks_per_packet - 1;
        if let Some(lead) = self.state.pings.lead(self.tick) {
            self.clock.set_lead(lead + f64::from(waiting));
        }
        // The server has to send first: its packets carry the tick.
        let Some(due) = self.clock.input_due(now).filter(|due| *due > self.acted) else {
            return;
        };
        self.acted = due;
        self.decide(due, now);
        if due > self.sent + u32::from(waiting) {
            self.sent = due;
            self.send(due, now, probe);
        }
    }

    fn send(&mut self, due: u32, now: Instant, probe: &mut impl LatencyProbe) {
        let mut body = Vec::with_capacity(PACKET_BYTES);
        let header = self.header(due);
        header.write(&mut body);
        let empty = body.len();
        self.state.put_acknowledgements(
            self.protocol.ids.acknowledgements_channel,
            header.packet,
            now,
            &mut body,
        );
        self.state
            .put_pings(&self.protocol, self.tick, now, &mut body);
        let inputs = self.put_inputs(due, &mut body);
        if body.len() == empty {
            if !self.state.received.unacknowledged {
                return;
            }
            body.clear();
            let packet_type = PacketType::AcksOnly;
            Header {
                packet_type,
                ..header
            }
            .write(&mut body);
        }
        self.next_packet = self.next_packet.wrapping_add(1);
        self.state.received.unacknowledged = false;
        if self.connection.send(body.into()).is_ok() {
            (0..inputs).for_each(|_| probe.input_sent());
        }
    }

    fn header(&self, tick: u32) -> Header {
        Header {
            packet_type: PacketType::Data,
            packet: self.next_packet,
            acks: self.state.received.acks(),
            tick,
        }
    }

    /// Decides for all ticks up to this one, once there is an avatar. The time that an input waits
    /// for its packet counts as its way to the server.
    fn decide(&mut self, due: u32, now: Instant) {
        if self.state.own.entity().is_none() {
            return;
        }
        let ticks_max = self.protocol.ticks_per_message.into();
        for _ in self.sent_inputs.record(due, ticks_max, now) {
            self.inputs.push(self.policy.decide(&mut self.rng));
        }
    }

    /// How many inputs are new.
    fn put_inputs(&mut self, due: u32, packet: &mut Vec<u8>) -> u32 {
        let new = self.inputs.take_unsent();
        let Some(avatar) = self.state.own.entity().filter(|_| new > 0) else {
            return 0;
        };
        let mut message = Vec::with_capacity(PACKET_BYTES);
        let target = (self.protocol.ids.input_message, avatar);
        if let Err(error) = self.inputs.write(target, due, &mut message) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a game's input has no encoding"
            );
            return 0;
        }
        put_batch(packet, self.protocol.ids.input_channel, 1);
        put_message(packet, None, &message);
        new
    }
}

impl ReceivedState {
    /// Takes a packet in and returns its tick.
    fn take_in(
        &mut self,
        packet: &[u8],
        protocol: &Protocol,
        tick: Duration,
        now: Instant,
    ) -> Result<u32, MalformedPacket> {
        let mut rest = Reader(packet);
        let header = Header::read(&mut rest)?;
        match header.packet_type {
            PacketType::Data | PacketType::Fragment | PacketType::AcksOnly => {}
            // Our servers send no others.
            PacketType::CompressedData
            | PacketType::CompressedFragment
            | PacketType::Unknown(_) => return Err(MalformedPacket),
        }
        self.received.record(header.packet);
        self.received.unacknowledged |= header.packet_type != PacketType::AcksOnly;
        self.acknowledgements.acknowledge(header.acks);
        if header.packet_type == PacketType::Fragment {
            let part = rest.fragment()?;
            if let Some(bytes) = self.fragments.take(&part) {
                let message = Message {
                    channel: part.channel,
                    number: Some(part.message),
                    bytes: &bytes,
                };
                self.take_message(&message, protocol, tick, now);
            }
        }
        for message in rest.messages() {
            self.take_message(&message?, protocol, tick, now);
        }
        Ok(header.tick)
    }

    fn take_message(
        &mut self,
        message: &Message<'_>,
        protocol: &Protocol,
        tick: Duration,
        now: Instant,
    ) {
        let channel = message.channel;
        if channel == protocol.ids.mutations_channel {
            match Mutations::read(message.bytes) {
                Ok(mutations) => self.take_mutations(mutations),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "mutations not understood"
                ),
            }
        } else if channel == protocol.ids.updates_channel {
            let number = message.number.unwrap_or_default();
            let applied = self.own.apply(number, message.bytes, protocol.predicted);
            if let Err(error) = applied {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "update not understood"
                );
            }
        } else if channel == protocol.ids.ping_channel {
            // What cannot be read is as good as lost.
            let _ = self.take_ping(Reader(message.bytes), protocol, tick, now);
        }
    }

    /// A state can take several messages, and an older one come late.
    fn take_mutations(&mut self, mutations: Mutations) {
        self.mutations.extend(mutations.index);
        if mutations.tick > self.newest {
            self.newest = mutations.tick;
            self.snapshots += 1;
        }
    }

    fn take_ping(
        &mut self,
        mut body: Reader<'_>,
        protocol: &Protocol,
        tick: Duration,
        now: Instant,
    ) -> Result<(), MalformedPacket> {
        let kind = body.number()?;
        let number = body.u16()?;
        if kind == protocol.ids.ping_message && self.pongs.len() < PONGS_MAX {
            self.pongs.push((number, now));
        } else if kind == protocol.ids.pong_message {
            let ticks = f64::from(body.u32()?) + f64::from(body.byte()?) / 256.0;
            self.pings.answered(number, tick.mul_f64(ticks), now);
        }
        Ok(())
    }

    /// Acknowledges mutations that came, and again those whose acknowledgement may be lost.
    fn put_acknowledgements(
        &mut self,
        channel: u16,
        packet_number: u16,
        now: Instant,
        packet: &mut Vec<u8>,
    ) {
        if !self.mutations.is_empty() {
            // When too many are under way these are left out: the server sends the states again.
            self.acknowledgements
                .queue(std::mem::take(&mut self.mutations));
        }
        let round_trip = self.pings.round_trip();
        let resend_after = round_trip.map_or(RESEND_FIRST, |time| time.mul_f32(RESEND_ROUND_TRIPS));
        let due = self.acknowledgements.due(now, resend_after);
        let due: Vec<_> = due.take(ACKNOWLEDGEMENTS_PER_PACKET).collect();
        if due.is_empty() {
            return;
        }
        put_batch(packet, channel, due.len());
        for message in due {
            put_message(packet, Some(message.number), &message.bytes);
            message.sent(packet_number, now);
        }
    }

    fn put_pings(
        &mut self,
        protocol: &Protocol,
        tick: Duration,
        now: Instant,
        packet: &mut Vec<u8>,
    ) {
        let ping = self.pings.next(now);
        let count = self.pongs.len() + usize::from(ping.is_some());
        if count == 0 {
            return;
        }
        put_batch(packet, protocol.ids.ping_channel, count);
        let mut message = Vec::with_capacity(8);
        for (number, came) in self.pongs.drain(..) {
            message.clear();
            put_varint(&mut message, protocol.ids.pong_message.into());
            message.extend(number.to_be_bytes());
            let [ticks, part] = kept(now.saturating_duration_since(came), tick);
            message.extend(ticks.to_be_bytes());
            message.extend_from_slice(&part.to_be_bytes()[3..]);
            put_message(packet, None, &message);
        }
        if let Some(number) = ping {
            message.clear();
            put_varint(&mut message, protocol.ids.ping_message.into());
            message.extend(number.to_be_bytes());
            put_message(packet, None, &message);
        }
    }
}

/// A time as whole ticks and 256ths of one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a few ticks"
)]
fn kept(time: Duration, tick: Duration) -> [u32; 2] {
    let parts = (time.as_secs_f64() / tick.as_secs_f64() * 256.0) as u32;
    [parts / 256, parts % 256]
}
