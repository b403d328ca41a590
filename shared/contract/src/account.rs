//! Logins and profiles as the REST face shows them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, GameId, MatchId, PlayerId, SessionId};
use crate::result::{MatchOutcome, PlayerResult};

/// Body of `POST /auth/guest`. Empty on the first visit; with both fields it logs the same guest
/// in again.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({})))]
#[serde(deny_unknown_fields)]
pub struct GuestLogin {
    /// The device, as the first login named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// The device's secret, as the first login handed it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_secret: Option<String>,
}

/// Answer to every login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginResponse {
    /// Who logged in.
    pub player: Player,
    /// Bearer token for the REST API.
    pub access_token: String,
    /// Good for one new pair of tokens.
    pub refresh_token: String,
    /// Seconds until the access token ends.
    pub expires_in_s: u32,
    /// The device with its secret; the secret is shown once only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<Device>,
}

/// A device that a guest logs in from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its secret; whoever has it is the guest.
    pub secret: String,
}

/// Body of `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RefreshLogin {
    /// The newest refresh token.
    pub refresh_token: String,
}

macro_rules! debug_without_secrets {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
debug_without_secrets!(GuestLogin, LoginResponse, Device, RefreshLogin);

/// A player as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Player {
    /// The account's id.
    pub id: PlayerId,
    /// Name that others see, 1–32 characters.
    pub display_name: String,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the profile last changed.
    pub updated_at: DateTime<Utc>,
}

/// Body of `PATCH /me`: only the named fields change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(example = json!({ "display_name": "Ann" }))
)]
#[serde(deny_unknown_fields)]
pub struct UpdateMe {
    /// New name, 1–32 characters after trimming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 32))]
    pub display_name: Option<String>,
}

/// A player's numbers in one game, over all finished matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GameStats {
    /// The game.
    pub game: GameId,
    /// Finished matches played.
    pub matches: u32,
    /// Finished matches with placement 1.
    pub wins: u32,
    /// Sum of the scores.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text_i64")]
    pub score: i64,
    /// Sum of each of the game's own numbers, as text because it may pass 2^53.
    pub totals: std::collections::BTreeMap<String, String>,
}

/// One entry of a player's match history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchRecord {
    /// The match.
    pub match_id: MatchId,
    /// Its session.
    pub session_id: SessionId,
    /// The game.
    pub game: GameId,
    /// The game's mode.
    pub mode: String,
    /// How it ended.
    pub outcome: MatchOutcome,
    /// When play began.
    pub started_at: DateTime<Utc>,
    /// When play ended.
    pub ended_at: DateTime<Utc>,
    /// What the player did.
    pub result: PlayerResult,
}

/// 64-bit integers travel as strings in JSON, because a JavaScript number ends at 2^53.
mod text_i64 {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde calls"
    )]
    pub(super) fn serialize<S: Serializer>(value: &i64, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let login = GuestLogin {
            device_id: None,
            device_secret: Some("planted-canary".to_owned()),
        };
        assert!(!format!("{login:?}").contains("planted-canary"));
    }
}
