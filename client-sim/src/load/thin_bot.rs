//! A thin player: a connection, the snapshot stream and the game's policy; without a seat it is a
//! spectator. It has no ECS, no thread and no task of its own, so that one process runs thousands.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gameserver_contract::ids::Seat;
use gameserver_shared::bot::{BotTally, ThinPolicy};
use gameserver_shared::determinism::MatchRng;
use gameserver_shared::stream::frame;
use gameserver_shared::stream::reader::{SnapshotReader, Start, Taken};
use gameserver_transport::connection::Connection;
use serde::Serialize;

use super::latency_probe::LatencyProbe;
use super::sent_inputs::SentInputs;
use super::server_clock::ServerClock;

/// Inputs in one frame: the newest and those before it, in case their frames were lost.
const INPUTS_PER_FRAME: u8 = 3;
/// Room for a frame of inputs; most are smaller.
const INPUT_FRAME_BYTES: usize = 64;
/// Frames taken from one connection at a time.
const FRAMES_PER_CALL: usize = 64;
/// Second byte of a frame whose first one is the array's header: its number.
const NUMBER_AT: usize = 1;

/// What all bots in a match have learnt from its first frame.
pub(super) type SharedState<P> = Arc<OnceLock<P>>;

/// One thin player or spectator.
pub(super) struct ThinBot<P: ThinPolicy> {
    connection: Connection,
    /// None for a spectator.
    seat: Option<Seat>,
    shared: SharedState<P>,
    state: P::Mind,
    rng: MatchRng,
    reader: Option<SnapshotReader>,
    clock: ServerClock,
    /// The newest decision, encoded; it counts until the next snapshot.
    decision: Vec<u8>,
    /// The encoded inputs of the newest ticks, the newest first.
    inputs: [Vec<u8>; INPUTS_PER_FRAME as usize],
    sent_inputs: SentInputs,
    snapshots: u64,
    tick: Duration,
    /// Ticks from one snapshot to the next; 0 before the first frame.
    interval: u32,
    /// Nothing is received before: asking costs a thousand bots more than what they find.
    receive_at: Option<Instant>,
}

impl<P: ThinPolicy> ThinBot<P>
where
    P::Input: Serialize,
{
    pub(super) fn new(
        connection: Connection,
        seat: Option<Seat>,
        tick: Duration,
        shared: SharedState<P>,
        seed: u64,
    ) -> Self {
        Self {
            connection,
            seat,
            shared,
            state: P::Mind::default(),
            rng: MatchRng::seeded(seed),
            reader: None,
            clock: ServerClock::new(tick),
            decision: Vec::new(),
            inputs: Default::default(),
            sent_inputs: SentInputs::default(),
            snapshots: 0,
            tick,
            interval: 0,
            receive_at: None,
        }
    }

    /// Whether it plays.
    pub(super) fn plays(&self) -> bool {
        self.seat.is_some()
    }

    /// Snapshots taken in so far.
    pub(super) fn snapshots(&self) -> u64 {
        self.snapshots
    }

    /// The connection, for its counters.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What the bot has achieved.
    pub(super) fn tally(&self) -> BotTally {
        let policy = self.shared.get();
        let known = policy.zip(self.reader.as_ref()).zip(self.seat);
        known.map_or_else(BotTally::default, |((policy, known), seat)| {
            policy.tally(seat, known)
        })
    }

    /// Leaves the match.
    pub(super) fn leave(&self) {
        let mut bytes = Vec::new();
        frame::put_leave(&mut bytes);
        // A connection that has ended needs no goodbye.
        let _ = self.connection.send_reliable(bytes.into());
    }

    /// When there can be something to look at or to send; none when that may be now.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        match self.seat {
            Some(_) => {
                let input_due = self.clock.input_due_at(self.sent_inputs.newest() + 1);
                Some(self.receive_at?.min(input_due?))
            }
            None => self.receive_at,
        }
    }

    /// Takes in what came.
    pub(super) fn receive(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        if self.receive_at.is_some_and(|from| now < from) {
            return;
        }
        for _ in 0..FRAMES_PER_CALL {
            let frame = self.connection.try_recv();
            let frame = frame.or_else(|| self.connection.try_recv_reliable());
            let Some(bytes) = frame else { return };
            match bytes.get(NUMBER_AT).copied().map(u32::from) {
                Some(frame::SNAPSHOT) => self.take_in(&bytes, now, probe),
                Some(frame::START) => self.begin(&bytes),
                // Events, pongs and the last word change nothing for a bot.
                _ => {}
            }
        }
    }

    fn begin(&mut self, bytes: &[u8]) {
        match Start::decode(bytes) {
            Ok(start) => {
                if self.shared.get().is_none()
                    && let Some(policy) = P::learn(&start)
                {
                    // Another bot of the match may have been faster; all learn the same.
                    let _ = self.shared.set(policy);
                }
                self.interval = start.interval;
                self.reader = Some(SnapshotReader::new(&start));
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "start frame not understood"
            ),
        }
    }

    fn take_in(&mut self, bytes: &[u8], now: Instant, probe: &mut impl LatencyProbe) {
        if self.seat.is_none() {
            // Those who watch get every frame in order; what is in them is for people.
            self.receive_at = Some(now + self.tick * self.interval / 2);
            self.snapshots += 1;
            return probe.snapshot_received();
        }
        // One that overtakes the first frame is as good as lost.
        let Some(reader) = &mut self.reader else {
            return;
        };
        match reader.read(bytes) {
            Ok(Taken::In) => {}
            Ok(Taken::Ignored) => return,
            Err(error) => {
                return tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "snapshot not understood"
                );
            }
        }
        let (tick, lead) = (reader.tick(), reader.lead());
        self.snapshots += 1;
        probe.snapshot_received();
        self.clock.observe(tick, lead, now);
        self.receive_at = self.clock.snapshot_due_at(tick + self.interval);
        self.sent_inputs.answered_up_to(tick, now, probe);
        self.decide();
    }

    fn decide(&mut self) {
        let learnt = self.shared.get().zip(self.reader.as_ref());
        let Some(((policy, known), seat)) = learnt.zip(self.seat) else {
            return;
        };
        let input = policy.decide(&mut self.state, seat, known, &mut self.rng);
        self.decision.clear();
        if let Err(error) = rmp_serde::encode::write(&mut self.decision, &input) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a game's input has no encoding"
            );
        }
    }

    /// Sends the inputs that are due, in one frame.
    pub(super) fn send_due(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        if self.decision.is_empty() {
            return;
        }
        let Some(due) = self.clock.input_due(now) else {
            return;
        };
        let new = self.sent_inputs.record(due, INPUTS_PER_FRAME.into(), now);
        if new.is_empty() {
            return;
        }
        for _ in new {
            self.inputs.rotate_right(1);
            self.inputs[0].clone_from(&self.decision);
        }
        let known = self.inputs.iter().take_while(|input| !input.is_empty());
        let mut inputs: [&[u8]; INPUTS_PER_FRAME as usize] = Default::default();
        let mut count = 0;
        for input in known {
            inputs[count] = input;
            count += 1;
        }
        let acks = self.reader.as_ref().map(SnapshotReader::acks);
        let mut bytes = Vec::with_capacity(INPUT_FRAME_BYTES);
        frame::put_input(&mut bytes, due, &inputs[..count], acks.unwrap_or_default());
        if self.connection.send(bytes.into()).is_ok() {
            probe.input_sent();
        }
    }
}
