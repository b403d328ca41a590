//! Compares what was predicted of the own player with what the server said afterwards.

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::game::{Game, PredictedState};
use lightyear::prelude::{
    ConfirmedHistory, Predicted, PredictionHistory, ReplicationSystems, RollbackSystems, Tick,
};

/// How good the predictions were so far.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PredictionTally {
    /// Ticks whose prediction could be compared with the server's state.
    pub predicted_ticks: u64,
    /// Of these, ticks that were predicted wrongly.
    pub mispredicted_ticks: u64,
    /// Ticks in which the server's rules moved the player (death, respawn); in neither number.
    pub moved_by_server_ticks: u64,
}

/// Adds the comparison.
#[derive(Debug)]
pub(crate) struct ProbePlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for ProbePlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for ProbePlugin<G> {
    fn build(&self, app: &mut App) {
        app.init_resource::<PredictionTally>();
        app.add_systems(
            PreUpdate,
            compare_predictions::<G::Motion>
                .after(ReplicationSystems::Receive)
                .before(RollbackSystems::Check),
        );
    }
}

/// The newest server tick that was compared.
#[derive(Component, Debug, Clone, Copy)]
struct ComparedUpTo(Tick);

fn compare_predictions<M: PredictedState>(
    mut tally: ResMut<PredictionTally>,
    mut commands: Commands,
    own: Query<
        (
            Entity,
            &ConfirmedHistory<M>,
            &PredictionHistory<M>,
            Option<&ComparedUpTo>,
        ),
        With<Predicted>,
    >,
) {
    for (entity, confirmed, predicted, compared) in &own {
        let Some((newest, state)) = confirmed.newest_present() else {
            continue;
        };
        if compared.is_some_and(|up_to| newest <= up_to.0) {
            continue;
        }
        commands.entity(entity).insert(ComparedUpTo(newest));
        // The first state is where prediction starts, so there is nothing to compare yet.
        let (Some(_), Some(prediction)) = (compared, predicted.get(newest)) else {
            continue;
        };
        tally.count(state, prediction);
    }
}

impl PredictionTally {
    fn count<M: PredictedState>(&mut self, confirmed: &M, predicted: &M) {
        if M::moved_by_server(confirmed, predicted) {
            self.moved_by_server_ticks += 1;
            return;
        }
        self.predicted_ticks += 1;
        if confirmed != predicted {
            self.mispredicted_ticks += 1;
        }
    }
}
