//! What a network can do to packets, and the presets. It knows neither packets nor their text form.

use std::num::NonZeroU32;
use std::time::Duration;

/// What a network does to each connection, the same in both directions. It has a text form:
/// see [`FromStr`](std::str::FromStr) and [`Display`](std::fmt::Display).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkConditions {
    /// The way from one end to the other takes this long.
    pub(crate) delay: Duration,
    /// Longer or shorter by up to this; at most the delay. Any difference is as likely.
    pub(crate) jitter: Duration,
    /// This share is lost.
    pub(crate) loss: Share,
    /// Packets lost one after another, in the mean; 1 when each is lost or not for itself.
    pub(crate) burst: u16,
    /// This share arrives twice.
    pub(crate) duplicate: Share,
    /// This share skips the delay, and so overtakes what was sent before.
    pub(crate) reorder: Share,
    /// Bytes a second of each connection and direction.
    pub(crate) rate: Option<NonZeroU32>,
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

/// A share in millionths: whole numbers are written and compared exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share(pub(crate) u32);

impl Share {
    pub(crate) const NONE: Self = Self(0);
    /// All there is.
    pub(crate) const WHOLE: u32 = 1_000_000;

    const fn per_mille(thousandths: u32) -> Self {
        Self(thousandths * 1_000)
    }

    pub(crate) fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}
