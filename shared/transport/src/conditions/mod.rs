//! Bad networks on purpose: what a client sends and receives is delayed, lost, repeated and
//! reordered inside its own socket, so that a game can be tried under conditions that players
//! have, without rights on the machine and on every system.
//!
//! ```
//! use gameserver_transport::conditions::NetworkConditions;
//! let conditions: NetworkConditions = "mobile,loss=3%,rate=500kB/s".parse()?;
//! # Ok::<(), gameserver_transport::conditions::ConditionsError>(())
//! ```
//!
//! [`ClientEndpoint::bind_under`](crate::connect::ClientEndpoint::bind_under) makes the endpoint
//! that plays them. QUIC suffers them packet by packet, below its own recovery. Of a WebSocket's
//! TCP nothing can be lost from outside, so there its bytes come late instead, as they would
//! after a retransmission. Nothing here knows what the packets mean.
//!
//! Reading order: `spelling`, `path` (what becomes of a packet), `paths` (whose packet it is),
//! `line` (where it waits), then the two carriers `udp` and `tcp`; `tally` counts.

mod spelling;

mod path;

mod paths;

mod line;

mod tally;

mod udp;

mod tcp;

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

pub use spelling::ConditionsError;
pub use tally::Tally;

pub(crate) use tcp::relay;
pub(crate) use udp::ConditionedSocket;

use path::Path;
use tally::Counters;

/// What a network does to each connection, the same in both directions. It is spelled as text,
/// see [`FromStr`](std::str::FromStr) and [`Display`](std::fmt::Display).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkConditions {
    /// The way from one end to the other takes this long.
    delay: Duration,
    /// Longer or shorter by up to this; at most the delay. Any difference is as likely.
    jitter: Duration,
    /// This share is lost.
    loss: Share,
    /// Packets lost one after another, in the mean; 1 when each is lost or not for itself.
    burst: u16,
    /// This share arrives twice.
    duplicate: Share,
    /// This share skips the delay, and so overtakes what was sent before.
    reorder: Share,
    /// Bytes a second of each connection and direction.
    rate: Option<NonZeroU32>,
}

impl NetworkConditions {
    /// A network that does nothing.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Share::NONE,
        burst: 1,
        duplicate: Share::NONE,
        reorder: Share::NONE,
        rate: None,
    };

    /// The same house: a round trip of 2 ms, which is what `WebPageTest` has for Wi-Fi
    /// (`connectivity.ini`); nothing is lost.
    pub const LAN: Self = Self {
        delay: Duration::from_millis(1),
        ..Self::NONE
    };

    /// Cable at home: `WebPageTest`'s profile "Cable" (28 ms round trip, 5 Mbit/s), Unity's jitter
    /// for "Home Cable" (5 ms), and the loss below which the FCC's "Measuring Broadband America"
    /// puts its best class (0.4 %).
    pub const BROADBAND: Self = Self {
        delay: Duration::from_millis(14),
        jitter: Duration::from_millis(5),
        loss: Share::per_mille(4),
        rate: NonZeroU32::new(625_000),
        ..Self::NONE
    };

    /// A telephone: `WebPageTest`'s profile "LTE" (70 ms round trip, 12 Mbit/s). Jitter, loss and
    /// its bursts are our choice: a radio link repeats what it loses, which shows as jitter, and
    /// what is still lost at the change of a cell is lost in a row.
    pub const MOBILE: Self = Self {
        delay: Duration::from_millis(35),
        jitter: Duration::from_millis(15),
        loss: Share::per_mille(10),
        burst: 3,
        rate: NonZeroU32::new(1_500_000),
        ..Self::NONE
    };

    /// The worst that a game here has to survive: a round trip of 200 ms with half of that as
    /// jitter, one of twenty lost each way, one of a hundred twice.
    pub const BAD: Self = Self {
        delay: Duration::from_millis(100),
        jitter: Duration::from_millis(50),
        loss: Share::per_mille(50),
        duplicate: Share::per_mille(10),
        ..Self::NONE
    };
}

impl Default for NetworkConditions {
    fn default() -> Self {
        Self::NONE
    }
}

/// A share in millionths: whole numbers are spelled and compared exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(u32);

impl Share {
    const NONE: Self = Self(0);
    /// All there is.
    const WHOLE: u32 = 1_000_000;

    const fn per_mille(thousandths: u32) -> Self {
        Self(thousandths * 1_000)
    }

    fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

/// Conditions being played: what all connections of an endpoint have in common.
#[derive(Debug)]
pub(crate) struct Conditioner {
    conditions: NetworkConditions,
    /// Where the randomness of each path comes from.
    seeds: Mutex<Xoshiro256PlusPlus>,
    counters: Arc<Counters>,
}

impl Conditioner {
    pub(crate) fn new(conditions: NetworkConditions, seed: u64) -> Self {
        Self {
            conditions,
            seeds: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            counters: Arc::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.counters.tally()
    }

    fn seed(&self) -> u64 {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.next_u64()
    }

    /// One direction of one connection.
    fn path(&self) -> Path {
        Path::new(self.conditions, self.seed())
    }
}
