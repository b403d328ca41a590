//! Watching a match: how much a spectator sees, how late, and what a session demands at least.
//!
//! It does not know how a view is made; the instance that hosts the match does.

use serde::{Deserialize, Serialize};

/// Longest delay of a spectator in seconds. The instance keeps so much of a match for them.
pub const DELAY_S_MAX: u16 = 300;

/// How much of a match a spectator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SpectatorView {
    /// Everything.
    #[default]
    All,
    /// What one team sees. In modes without teams, a team is a seat.
    Team,
}

impl SpectatorView {
    /// Every view, the widest first.
    pub const ALL: [Self; 2] = [Self::All, Self::Team];

    /// The view's name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Team => "team",
        }
    }

    /// The view of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.as_str() == text)
    }

    /// True when who may have `self` may have `wanted` as well.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        self == Self::All || wanted == Self::Team
    }
}

/// What one spectator sees; a claim of the [join ticket](crate::ticket::JoinTicket).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SpectatorClaim {
    /// How much.
    pub view: SpectatorView,
    /// Whose eyes, with [`SpectatorView::Team`]; none with [`SpectatorView::All`].
    pub team: Option<u16>,
    /// How many seconds later than the players, at most [`DELAY_S_MAX`].
    pub delay_s: u16,
}

/// What a session grants its spectators: at most this view, at least this delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SpectatorsPolicy {
    /// Whether anybody may watch.
    pub allowed: bool,
    /// The widest view. With `team` a spectator must name a team.
    pub view: SpectatorView,
    /// The shortest delay in seconds, 0–300.
    #[cfg_attr(feature = "openapi", schema(maximum = 300))]
    pub delay_s: u16,
}

impl Default for SpectatorsPolicy {
    fn default() -> Self {
        Self {
            allowed: true,
            view: SpectatorView::All,
            delay_s: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_less_than_everything() {
        assert!(SpectatorView::All.includes(SpectatorView::Team));
        assert!(SpectatorView::All.includes(SpectatorView::All));
        assert!(SpectatorView::Team.includes(SpectatorView::Team));
        assert!(!SpectatorView::Team.includes(SpectatorView::All));
    }

    #[test]
    fn view_names_are_the_same_in_json_and_in_the_database() {
        for view in SpectatorView::ALL {
            assert_eq!(serde_json::to_value(view).unwrap(), view.as_str());
            assert_eq!(SpectatorView::parse(view.as_str()), Some(view));
        }
    }

    #[test]
    fn a_policy_that_says_nothing_allows_everything_at_once() {
        let policy: SpectatorsPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, SpectatorsPolicy::default());
        let partial: SpectatorsPolicy = serde_json::from_str(r#"{"delay_s": 30}"#).unwrap();
        assert!(partial.allowed);
        assert_eq!(partial.delay_s, 30);
    }
}
