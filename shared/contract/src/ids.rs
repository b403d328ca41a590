//! Names of things: parsed once at the edge, never a bare string or number inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::entropy::{Entropy, random_bytes};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new id (UUID version 7, so that ids sort by time of creation).
            #[must_use]
            pub fn generate(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                let unix_ms = u64::try_from(clock.now_ms()).unwrap_or(0);
                let random = random_bytes::<10>(entropy);
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self).map_err(|_| InvalidId { expected: "a UUID" })
            }
        }
    };
}

uuid_id! {
    /// A player's account.
    PlayerId
}
uuid_id! {
    /// A lobby record in the REST API.
    SessionId
}
uuid_id! {
    /// A running simulation. One session has one match.
    MatchId
}
uuid_id! {
    /// A process that hosts matches.
    InstanceId
}
uuid_id! {
    /// A device that a guest logs in from.
    DeviceId
}

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidId {
    /// What would have been accepted.
    pub expected: &'static str,
}

/// A game's short name, for example `arena`: 1–32 characters of `a-z`, `0-9`, `-`, the first a
/// letter. It is also the name of the game's folder in `assets/games`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "arena"))]
pub struct GameId(String);

impl GameId {
    /// Longest name in bytes.
    pub const LENGTH_MAX: usize = 32;

    /// Parses a name.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the text is empty, too long or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && text.len() <= Self::LENGTH_MAX && text.chars().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidId {
                expected: "1 to 32 characters a-z, 0-9 or -, the first a letter",
            })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GameId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<GameId> for String {
    fn from(id: GameId) -> Self {
        id.0
    }
}

impl fmt::Display for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a match, counted from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Seat(pub u16);

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Distinguishes two runs of a process with the same [`InstanceId`]: a ticket for an earlier run
/// is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceEpoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::entropy::SeededEntropy;

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let clock = ManualClock::at_ms(1_700_000_000_000);
        let entropy = SeededEntropy::new(1);
        let first = PlayerId::generate(&*clock, &*entropy);
        clock.advance(std::time::Duration::from_millis(1));
        assert!(first < PlayerId::generate(&*clock, &*entropy));
    }

    #[test]
    fn a_game_id_has_only_lower_case_letters_digits_and_dashes() {
        assert!(GameId::new("arena-2v2").is_ok());
        for bad in ["", "Arena", "2d", "a_b", "ä", &"a".repeat(33)] {
            assert!(GameId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
