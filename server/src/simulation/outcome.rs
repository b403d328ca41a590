//! Keeps what the rules decided, until the host takes it. It does not know what a placement is
//! worth.

use std::collections::BTreeMap;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_contract::result::{PlayerResult, STATS_MAX};
use gameserver_shared::flow::{MatchOver, Standing, placements};
use gameserver_shared::player::{PlayerJoined, Roster};
use gameserver_shared::state::RecordState;
use gameserver_shared::tick::TickSystems;
use serde::{Deserialize, Serialize};

/// The decision, and everybody who was ever part of it.
#[derive(Resource, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    standings: Option<Vec<Standing>>,
    players: BTreeMap<Seat, PlayerId>,
}

/// Adds the keeping.
#[derive(Debug)]
pub(super) struct OutcomePlugin;

impl Plugin for OutcomePlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Outcome>()
            .record_resource::<Outcome>()
            .add_systems(
                FixedUpdate,
                (remember_players, keep_first_decision).in_set(TickSystems::Publish),
            );
    }
}

fn remember_players(mut outcome: ResMut<Outcome>, mut joined: MessageReader<PlayerJoined>) {
    outcome
        .players
        .extend(joined.read().map(|new| (new.seat, new.player)));
}

fn keep_first_decision(mut outcome: ResMut<Outcome>, mut over: MessageReader<MatchOver>) {
    for decision in over.read() {
        outcome
            .standings
            .get_or_insert_with(|| decision.standings.clone());
    }
}

impl Outcome {
    /// Each player's result, best placement first; empty when nothing was decided.
    #[must_use]
    pub fn players(world: &World) -> Vec<PlayerResult> {
        let (outcome, roster) = (world.resource::<Self>(), world.resource::<Roster>());
        let standings = outcome.standings.as_deref().unwrap_or_default();
        let places = placements(standings);
        let result = |standing: &Standing| {
            let player = *outcome.players.get(&standing.seat)?;
            let seated = roster.seats.get(&standing.seat);
            Some(PlayerResult {
                player,
                seat: standing.seat,
                placement: places[&standing.seat],
                score: standing.score,
                stats: standing.stats.clone().into_iter().take(STATS_MAX).collect(),
                stayed: seated.is_some_and(|seated| seated.player == player),
            })
        };
        let mut players: Vec<_> = standings.iter().filter_map(result).collect();
        players.sort_by_key(|player| (player.placement, player.seat));
        players
    }

    /// Seat, placement and score of everybody, best placement first; empty before the decision.
    pub(super) fn placements(&self) -> Vec<(u16, u16, i64)> {
        let standings = self.standings.as_deref().unwrap_or_default();
        let places = placements(standings);
        let row = |standing: &Standing| (standing.seat.0, places[&standing.seat], standing.score);
        let mut rows: Vec<_> = standings.iter().map(row).collect();
        rows.sort_by_key(|(seat, place, _)| (*place, *seat));
        rows
    }

    /// True once the rules decided the match.
    #[must_use]
    pub fn is_decided(world: &World) -> bool {
        world.resource::<Self>().standings.is_some()
    }
}
