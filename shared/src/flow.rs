//! The phases of a match and its end. Server only, but every client is shown the status.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use serde::{Deserialize, Serialize};

use crate::game::Game;
use crate::player::{Avatar, Roster};
use crate::tick::{CurrentTick, TickSystems};

/// How matches of a game begin.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchRules {
    /// Seconds between "enough players" and the start of play.
    pub countdown_s: u32,
}

impl Default for MatchRules {
    fn default() -> Self {
        Self { countdown_s: 3 }
    }
}

/// What a match was asked to be.
#[derive(Resource, Debug, Clone, PartialEq, Eq)]
pub struct MatchSettings {
    /// The game's mode.
    pub mode: String,
    /// Players that must be seated before play starts.
    pub players_min: u16,
    /// Seats in all.
    pub players_max: u16,
    /// Ticks a second.
    pub tick_rate_hz: u16,
    /// Where all of the match's randomness comes from.
    pub seed: u64,
}

/// Where a match is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MatchPhase {
    /// Not enough players yet; those who are there may warm up.
    #[default]
    Waiting,
    /// Enough players; play starts after [`MatchRules::countdown_s`].
    Starting,
    /// It counts.
    Running,
    /// The result stands.
    Over,
}

/// Everybody is shown it: where the match is and since when.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchStatus {
    /// The phase.
    pub phase: MatchPhase,
    /// The tick in which the phase began.
    pub since_tick: u32,
}

/// A game's rules write it when the match is decided. What comes later is ignored.
#[derive(Message, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndMatch;

/// The match is decided; the engine writes it once, in answer to [`EndMatch`].
#[derive(Message, Debug, Clone, PartialEq, Eq)]
pub struct MatchOver {
    /// Everybody who held a seat since play began, by seat.
    pub standings: Vec<Standing>,
}

/// What one player achieved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// More is better; equals share a placement.
    pub points: i64,
    /// The game's own numbers.
    pub stats: BTreeMap<String, i64>,
}

impl Score {
    /// So many points.
    #[must_use]
    pub fn of(points: impl Into<i64>) -> Self {
        Self {
            points: points.into(),
            stats: BTreeMap::new(),
        }
    }

    /// The same with one of the game's own numbers.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<i64>) -> Self {
        self.stats.insert(name.to_owned(), value.into());
        self
    }
}

/// How one player did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The seat.
    pub seat: Seat,
    /// More is better; equals share a placement.
    pub score: i64,
    /// The game's own numbers.
    pub stats: BTreeMap<String, i64>,
}

/// The scores of those who left since play began, so that the result names them too.
#[derive(Resource, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Departed {
    pub(crate) scores: BTreeMap<Seat, Score>,
}

/// How the game tells an avatar's score.
#[derive(Resource, Clone, Copy)]
pub(crate) struct ScoreOf(pub(crate) fn(EntityRef<'_>) -> Score);

/// Placement by seat: 1 for the highest score, equals share, as in 1-2-2-4.
#[must_use]
pub fn placements(standings: &[Standing]) -> BTreeMap<Seat, u16> {
    let better_than = |score: i64| standings.iter().filter(|other| other.score > score).count();
    let place = |score| u16::try_from(better_than(score) + 1).unwrap_or(u16::MAX);
    standings
        .iter()
        .map(|standing| (standing.seat, place(standing.score)))
        .collect()
}

/// Runs the phases on the server.
#[derive(Debug)]
pub struct FlowPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for FlowPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for FlowPlugin<G> {
    fn build(&self, app: &mut App) {
        app.insert_resource(G::match_rules())
            .insert_resource(ScoreOf(G::score))
            .init_resource::<Departed>()
            .add_message::<EndMatch>()
            .add_message::<MatchOver>()
            .add_systems(
                FixedUpdate,
                (
                    decide
                        .run_if(on_message::<EndMatch>.and_then(match_is_running))
                        .after(TickSystems::ApplyRules)
                        .before(TickSystems::HashState),
                    advance_phase.in_set(TickSystems::Publish),
                ),
            );
    }
}

/// Names everybody's score: of those who are there, and of those who left.
fn decide(world: &mut World) {
    let ScoreOf(score_of) = *world.resource::<ScoreOf>();
    let mut scores = world.resource::<Departed>().scores.clone();
    let mut avatars = world.query::<EntityRef>();
    let present = avatars.iter(world);
    let present = present.filter_map(|avatar| Some((avatar.get::<Avatar>()?.seat, avatar)));
    scores.extend(present.map(|(seat, avatar)| (seat, score_of(avatar))));
    let standings = scores.into_iter().map(|(seat, score)| Standing {
        seat,
        score: score.points,
        stats: score.stats,
    });
    let standings = standings.collect();
    world.write_message(MatchOver { standings });
}

fn advance_phase(
    mut status: Single<&mut MatchStatus>,
    mut over: MessageReader<MatchOver>,
    (roster, mut departed): (Res<Roster>, ResMut<Departed>),
    (settings, rules): (Res<MatchSettings>, Res<MatchRules>),
    tick: CurrentTick,
) {
    let enough = roster.seats.len() >= usize::from(settings.players_min);
    let in_phase = tick.number().saturating_sub(status.since_tick);
    let countdown_over = in_phase >= rules.countdown_s * u32::from(settings.tick_rate_hz);
    let decided = over.read().count() > 0;
    let next = match status.phase {
        MatchPhase::Waiting => enough.then_some(MatchPhase::Starting),
        MatchPhase::Starting if !enough => Some(MatchPhase::Waiting),
        MatchPhase::Starting => countdown_over.then_some(MatchPhase::Running),
        MatchPhase::Running => decided.then_some(MatchPhase::Over),
        MatchPhase::Over => None,
    };
    if next == Some(MatchPhase::Running) {
        // The warm-up does not count.
        departed.scores.clear();
    }
    if let Some(phase) = next {
        **status = MatchStatus {
            phase,
            since_tick: tick.number(),
        };
    }
}

/// Run condition: play counts.
#[must_use]
pub fn match_is_running(status: Option<Single<&MatchStatus>>) -> bool {
    status.is_some_and(|status| status.phase == MatchPhase::Running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_share_a_placement_and_the_next_is_skipped() {
        let scores = [(0, 5), (1, 9), (2, 5), (3, 1)];
        let standings = scores.map(|(seat, score)| Standing {
            seat: Seat(seat),
            score,
            stats: BTreeMap::new(),
        });
        let places: Vec<_> = placements(&standings).into_values().collect();
        assert_eq!(places, [2, 1, 2, 4]);
    }
}
