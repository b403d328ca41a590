//! Who may watch what: a session's policy against what a spectator asks for, and against
//! everybody who asks for a replay.
//!
//! It knows no game: whether a team exists is for the match to say. A team is never beyond the
//! seats, because in modes without teams a seat is one.

use chrono::{DateTime, TimeDelta, Utc};
use gameserver_contract::problem::FieldError;
use gameserver_contract::session::{JoinSession, Role, Session};
use gameserver_contract::spectator::{
    DELAY_S_MAX, SpectatorClaim, SpectatorView, SpectatorsPolicy,
};

use crate::kit::error::{KitError, field};
use crate::sessions::error::Error;

/// What somebody who joins gets to see; `None` for players. Asking for a shorter delay than the
/// session's is not an error: it becomes the session's.
pub(crate) fn grant(
    session: &Session,
    join: &JoinSession,
) -> Result<Option<SpectatorClaim>, Error> {
    if join.role == Role::Player {
        return refuse_views_of_players(join).map(|()| None);
    }
    let policy = session.spectators_policy;
    if !policy.allowed {
        return Err(Error::SpectatorsNotAllowed);
    }
    let view = join.view.unwrap_or_default();
    if !policy.view.includes(view) {
        return Err(Error::ViewNotAllowed(policy.view));
    }
    let complaints: Vec<_> = [
        join.delay_s
            .and_then(|delay_s| delay_complaint("/delay_s", delay_s)),
        team_complaint(view, join.team, session.players_max),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !complaints.is_empty() {
        return Err(KitError::Invalid(complaints).into());
    }
    Ok(Some(SpectatorClaim {
        view,
        team: join.team,
        delay_s: join.delay_s.unwrap_or(0).max(policy.delay_s),
    }))
}

/// Whether the log of a session that is over is for everybody, and from when on. A log shows
/// everything, to the end, at once; the session says from when on spectators may see that.
pub(crate) fn replay_shown_from(session: &Session) -> Result<DateTime<Utc>, Error> {
    let policy = session.spectators_policy;
    if !policy.allowed {
        return Err(Error::SpectatorsNotAllowed);
    }
    if !policy.view.includes(SpectatorView::All) {
        return Err(Error::ViewNotAllowed(policy.view));
    }
    // The last change of a session is its end.
    Ok(session.updated_at + TimeDelta::seconds(policy.delay_s.into()))
}

/// For how many seconds the instance keeps what it shows, so that the first who comes sees it.
pub(crate) fn delay_to_keep(policy: SpectatorsPolicy) -> u16 {
    if policy.allowed { policy.delay_s } else { 0 }
}

/// What is wrong with the policy of a new session.
pub(crate) fn policy_complaint(policy: SpectatorsPolicy) -> Option<FieldError> {
    delay_complaint("/spectators/delay_s", policy.delay_s)
}

fn refuse_views_of_players(join: &JoinSession) -> Result<(), Error> {
    let given = [
        ("/view", join.view.is_some()),
        ("/team", join.team.is_some()),
        ("/delay_s", join.delay_s.is_some()),
    ];
    let complaints: Vec<_> = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(pointer, _)| field(pointer, "be absent for players"))
        .collect();
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(KitError::Invalid(complaints).into())
    }
}

fn delay_complaint(pointer: &str, delay_s: u16) -> Option<FieldError> {
    (delay_s > DELAY_S_MAX).then(|| field(pointer, format!("be 0 to {DELAY_S_MAX}")))
}

fn team_complaint(view: SpectatorView, team: Option<u16>, seats: u16) -> Option<FieldError> {
    match (view, team) {
        (SpectatorView::All, Some(_)) => Some(field("/team", "be absent unless the view is team")),
        (SpectatorView::Team, None) => Some(field("/team", "be given with the view team")),
        (SpectatorView::Team, Some(team)) if team >= seats => {
            Some(field("/team", format!("be below {seats}")))
        }
        (SpectatorView::All, None) | (SpectatorView::Team, Some(_)) => None,
    }
}
