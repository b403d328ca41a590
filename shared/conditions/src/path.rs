//! Decides what becomes of a packet, with time as an argument and randomness from a seed.
//!
//! Every packet draws the same number of random numbers, so that what becomes of the n-th packet
//! of a path depends on the seed, on n and on the conditions, and on no clock (the rate's queue
//! apart, which is about time).

use std::num::NonZeroU32;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::network_conditions::{NetworkConditions, Share};

/// What may wait for its turn at the rate, as time. More than an access link should buffer, and
/// less than many do (RFC 8033 has 15 ms as its goal, and reports seconds in the field).
pub(crate) const RATE_QUEUE_MAX: Duration = Duration::from_millis(200);
/// Least time before TCP sends again, the round trip apart: Linux' `TCP_RTO_MIN`.
const RETRANSMISSION_MIN: Duration = Duration::from_millis(200);
/// Most time between two attempts: Linux' `TCP_RTO_MAX`.
const RETRANSMISSION_MAX: Duration = Duration::from_mins(2);
/// Attempts before TCP gives up: Linux' `tcp_retries2`.
const RETRANSMISSIONS_MAX: usize = 15;

/// One direction of one connection.
#[derive(Debug)]
pub(crate) struct NetworkPath {
    conditions: NetworkConditions,
    rng: Xoshiro256PlusPlus,
    /// Whether the packet before was lost, where losses come in bursts.
    in_burst: bool,
    /// When the last byte that waits for the rate has left.
    busy_until: Option<Instant>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was lost on the way.
    Lost,
    /// It did not fit into the rate's queue.
    OverRate,
    /// It arrives.
    Arrives {
        at: Instant,
        /// It did not have to wait for its delay.
        overtakes: bool,
        /// When it arrives once more.
        again: Option<Instant>,
    },
}

/// What becomes of a segment of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentDelivery {
    pub(crate) at: Instant,
    /// How often it was lost before.
    pub(crate) lost: usize,
    /// False when TCP gives up at that time.
    pub(crate) arrives: bool,
}

/// The random numbers of one packet.
struct Draws {
    loss: f64,
    reorder: f64,
    duplicate: f64,
    jitter: f64,
    jitter_again: f64,
}

impl NetworkPath {
    pub(crate) fn new(conditions: NetworkConditions, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let in_burst = conditions.loss.holds(rng.random());
        Self {
            conditions,
            rng,
            in_burst,
            busy_until: None,
        }
    }

    /// What becomes of a packet of UDP.
    pub(crate) fn decide(&mut self, now: Instant, bytes: usize) -> Fate {
        let draws = Draws::of(&mut self.rng);
        let is_lost = self.loses(draws.loss);
        if self.backlog(now) > RATE_QUEUE_MAX {
            return Fate::OverRate;
        }
        // What is lost on the way has left before.
        let left = self.leave(now, bytes);
        if is_lost {
            return Fate::Lost;
        }
        let conditions = &self.conditions;
        let overtakes = conditions.reorder.holds(draws.reorder);
        let delay = if overtakes {
            Duration::ZERO
        } else {
            conditions.delay(draws.jitter)
        };
        let again = conditions.duplicate.holds(draws.duplicate);
        let again = again.then(|| left + conditions.delay(draws.jitter_again));
        Fate::Arrives {
            at: left + delay,
            overtakes,
            again,
        }
    }

    /// When a segment of TCP arrives, what was sent before it apart: lost ones are sent again
    /// after the retransmission time, which doubles with each attempt (RFC 6298).
    pub(crate) fn deliver(&mut self, now: Instant, bytes: usize) -> SegmentDelivery {
        let draws = Draws::of(&mut self.rng);
        let mut is_lost = self.loses(draws.loss);
        let mut at = self.leave(now, bytes) + self.conditions.delay(draws.jitter);
        let mut wait = RETRANSMISSION_MIN + self.conditions.delay * 2;
        let mut lost = 0;
        while is_lost && lost < RETRANSMISSIONS_MAX {
            lost += 1;
            at += wait;
            wait = (wait * 2).min(RETRANSMISSION_MAX);
            // A burst is over by then.
            is_lost = self.conditions.loss.holds(self.rng.random());
        }
        SegmentDelivery {
            at,
            lost,
            arrives: !is_lost,
        }
    }

    /// How long a byte would wait for its turn.
    pub(crate) fn backlog(&self, now: Instant) -> Duration {
        self.busy_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// When these bytes have left, one after the other at the rate.
    fn leave(&mut self, now: Instant, bytes: usize) -> Instant {
        let Some(rate) = self.conditions.rate else {
            return now;
        };
        let left = now + self.backlog(now) + time_of(bytes, rate);
        self.busy_until = Some(left);
        left
    }

    /// A simple Gilbert model (E. N. Gilbert, 1960; `gemodel` of Linux' netem): in a burst every
    /// packet is lost, outside none. It ends with a chance of 1/length, and begins with the one
    /// that makes the share of lost packets right. Bursts no longer than chance makes them anyway
    /// (1 / (1 - share)) are left to chance.
    fn loses(&mut self, draw: f64) -> bool {
        let loss = self.conditions.loss.as_f64();
        let length = f64::from(self.conditions.burst);
        if length * (1.0 - loss) <= 1.0 {
            return draw < loss;
        }
        let chance = if self.in_burst {
            1.0 - 1.0 / length
        } else {
            loss / ((1.0 - loss) * length)
        };
        self.in_burst = draw < chance;
        self.in_burst
    }
}

impl Draws {
    fn of(rng: &mut Xoshiro256PlusPlus) -> Self {
        Self {
            loss: rng.random(),
            reorder: rng.random(),
            duplicate: rng.random(),
            jitter: rng.random(),
            jitter_again: rng.random(),
        }
    }
}

impl Share {
    /// Whether a number of `0.0..1.0` falls into it.
    fn holds(self, draw: f64) -> bool {
        draw < self.as_f64()
    }
}

impl NetworkConditions {
    /// The delay of a packet that drew this number of `0.0..1.0`.
    fn delay(&self, draw: f64) -> Duration {
        self.delay.saturating_sub(self.jitter) + (self.jitter * 2).mul_f64(draw)
    }
}

/// How long so many bytes take.
fn time_of(bytes: usize, rate: NonZeroU32) -> Duration {
    Duration::from_secs_f64(bytes as f64 / f64::from(rate.get()))
}
