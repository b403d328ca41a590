//! Compares the states that the canaries of a match received: two of them that received the same
//! entity in the same tick must have received the same state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use bevy_replicon::client::confirm_history::EntityReplicated;
use bevy_replicon::shared::server_entity_map::ServerEntityMap;
use gameserver_shared::game::PredictedState;
use lightyear::prelude::ConfirmedHistory;
use lightyear_replication::checkpoint::ReplicationCheckpointMap;

/// Ticks for which states are kept: longer than one client can be behind another and still play.
const TICKS_KEPT: u32 = 600;

/// The states that the canaries of one match received, by tick and the server's entity.
#[derive(Debug)]
pub(crate) struct SeenStates<M> {
    states: Mutex<BTreeMap<(u32, Entity), M>>,
}

impl<M> Default for SeenStates<M> {
    fn default() -> Self {
        Self {
            states: Mutex::default(),
        }
    }
}

/// Compares in a canary's own world.
#[derive(Resource, Debug)]
pub(crate) struct StateComparer<M: PredictedState> {
    seen: Arc<SeenStates<M>>,
    pub(crate) compared: u64,
    pub(crate) wrong: u64,
}

impl<M: PredictedState> SeenStates<M> {
    /// What another canary received of the entity in that tick; keeps the state of the first one.
    fn received_before(&self, tick: u32, entity: Entity, state: &M) -> Option<M> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = states.get(&(tick, entity)) {
            return Some(other.clone());
        }
        states.insert((tick, entity), state.clone());
        let newest = states.last_key_value().map_or(tick, |row| row.0.0);
        while let Some(oldest) = states.first_entry()
            && oldest.key().0 + TICKS_KEPT < newest
        {
            oldest.remove();
        }
        None
    }
}

impl<M: PredictedState> StateComparer<M> {
    pub(crate) fn new(seen: Arc<SeenStates<M>>) -> Self {
        Self {
            seen,
            compared: 0,
            wrong: 0,
        }
    }

    fn compare(&mut self, tick: u32, entity: Entity, state: &M) {
        let Some(other) = self.seen.received_before(tick, entity, state) else {
            return;
        };
        self.compared += 1;
        if other != *state {
            self.wrong += 1;
            tracing::warn!(tick, %entity, ?state, ?other, "canaries received different states");
        }
    }
}

/// Compares what the server has just confirmed, right after it was taken in.
pub(crate) fn compare_states<M: PredictedState>(
    mut comparer: ResMut<StateComparer<M>>,
    mut news: MessageReader<EntityReplicated>,
    confirmed: Confirmed<'_, '_, M>,
    names: Res<ServerEntityMap>,
) {
    for news in news.read() {
        let name = names.to_server().get(&news.entity);
        let state = confirmed.by(*news);
        if let Some((name, (tick, state))) = name.zip(state) {
            comparer.compare(tick, *name, state);
        }
    }
}

/// What the server has said of entities, by its ticks.
#[derive(SystemParam)]
pub(crate) struct Confirmed<'w, 's, M: PredictedState> {
    ticks: Res<'w, ReplicationCheckpointMap>,
    histories: Query<'w, 's, &'static ConfirmedHistory<M>>,
}

impl<M: PredictedState> Confirmed<'_, '_, M> {
    /// The tick of a message about an entity, and the state in it. What the message leaves out has
    /// not changed since an earlier one, so that the state before counts for this tick.
    fn by(&self, news: EntityReplicated) -> Option<(u32, &M)> {
        let tick = self.ticks.get(news.tick)?;
        let history = self.histories.get(news.entity).ok()?;
        Some((tick.0, history.get_present(tick)?))
    }
}

#[cfg(test)]
mod tests {
    use bevy_app::prelude::*;
    use bevy_replicon::shared::replicon_tick::RepliconTick;
    use lightyear::prelude::Tick;

    use super::*;

    #[derive(Component, Debug, Clone, Copy, PartialEq)]
    struct Location(f32);

    impl PredictedState for Location {
        fn moved_by_server(_: &Self, _: &Self) -> bool {
            false
        }
    }

    /// What [`compare_sightings`] does, with the server's entity 9 as the only one.
    fn compare(
        mut comparer: ResMut<StateComparer<Location>>,
        mut news: MessageReader<EntityReplicated>,
        confirmed: Confirmed<'_, '_, Location>,
    ) {
        for news in news.read() {
            let (tick, state) = confirmed.by(*news).expect("it was received");
            comparer.compare(tick, name(), state);
        }
    }

    /// The client of a canary that knows that entity by another name.
    struct Canary {
        app: App,
        avatar: Entity,
    }

    fn name() -> Entity {
        Entity::from_raw_u32(9).unwrap()
    }

    impl Canary {
        fn of(seen: &Arc<SeenStates<Location>>, entities_before: u32) -> Self {
            let mut app = App::new();
            app.add_message::<EntityReplicated>()
                .init_resource::<ReplicationCheckpointMap>()
                .insert_resource(StateComparer::new(Arc::clone(seen)))
                .add_systems(Update, compare);
            for _ in 0..entities_before {
                app.world_mut().spawn_empty();
            }
            let history = ConfirmedHistory::<Location>::default();
            let avatar = app.world_mut().spawn(history).id();
            Self { app, avatar }
        }

        /// A message of that tick arrives, with a new place or without.
        fn receives(&mut self, tick: u32, place: Option<f32>) {
            let (entity, world) = (self.avatar, self.app.world_mut());
            let news = RepliconTick::new(tick / 3);
            let mut ticks = world.resource_mut::<ReplicationCheckpointMap>();
            ticks.record(news, Tick(tick));
            if let Some(place) = place {
                let mut history = world.get_mut::<ConfirmedHistory<Location>>(entity).unwrap();
                history.insert_present(Tick(tick), Location(place));
            }
            world.write_message(EntityReplicated { entity, tick: news });
            self.app.update();
        }

        fn found(&self) -> (u64, u64) {
            let comparer = self.app.world().resource::<StateComparer<Location>>();
            (comparer.compared, comparer.wrong)
        }
    }

    #[test]
    fn a_planted_difference_is_found_and_nothing_else() {
        let seen = Arc::default();
        let [mut one, mut other] = [3, 70].map(|before| Canary::of(&seen, before));
        for tick in (300..360).step_by(3) {
            one.receives(tick, Some(tick as f32));
        }
        for tick in (303..360).step_by(3) {
            let planted = if tick == 330 { 0.5 } else { 0.0 };
            other.receives(tick, Some(tick as f32 + planted));
        }
        assert_eq!(one.found(), (0, 0), "nobody was shown these before");
        assert_eq!(other.found(), (19, 1));
    }

    #[test]
    fn a_message_that_leaves_the_state_out_confirms_the_one_before() {
        let seen = Arc::default();
        let [mut one, mut other] = [0, 1].map(|before| Canary::of(&seen, before));
        one.receives(300, Some(1.0));
        one.receives(303, None);
        other.receives(303, Some(1.0));
        assert_eq!(other.found(), (1, 0));
        other.receives(306, Some(2.0));
        one.receives(306, None);
        assert_eq!(one.found(), (1, 1), "it missed that the place has changed");
    }

    #[test]
    fn states_are_forgotten_after_a_while() {
        let seen = SeenStates::default();
        for tick in 0..10_000 {
            seen.received_before(tick, name(), &Location(0.0));
        }
        assert_eq!(seen.states.lock().unwrap().len(), 601);
    }
}
