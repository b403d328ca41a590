//! What the canaries of a match were shown, so that they can be compared with each other: two of
//! them that got the state of the same entity in the same tick must have got the same.

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

/// Who was shown what in one match, by tick and the server's name of the entity.
#[derive(Debug)]
pub(crate) struct Sightings<M> {
    states: Mutex<BTreeMap<(u32, Entity), M>>,
}

impl<M> Default for Sightings<M> {
    fn default() -> Self {
        Self {
            states: Mutex::default(),
        }
    }
}

/// A canary's eyes, in its own world.
#[derive(Resource, Debug)]
pub(crate) struct Witness<M: PredictedState> {
    sightings: Arc<Sightings<M>>,
    pub(crate) compared: u64,
    pub(crate) wrong: u64,
}

impl<M: PredictedState> Sightings<M> {
    /// What another was shown of the entity in that tick; keeps the state when nobody was before.
    fn shown_before(&self, tick: u32, entity: Entity, state: &M) -> Option<M> {
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

impl<M: PredictedState> Witness<M> {
    pub(crate) fn new(sightings: Arc<Sightings<M>>) -> Self {
        Self {
            sightings,
            compared: 0,
            wrong: 0,
        }
    }

    fn compare(&mut self, tick: u32, entity: Entity, state: &M) {
        let Some(other) = self.sightings.shown_before(tick, entity, state) else {
            return;
        };
        self.compared += 1;
        if other != *state {
            self.wrong += 1;
            tracing::warn!(tick, %entity, ?state, ?other, "canaries were shown different states");
        }
    }
}

/// Compares what the server has just confirmed, right after it was taken in.
pub(crate) fn compare_sightings<M: PredictedState>(
    mut witness: ResMut<Witness<M>>,
    mut news: MessageReader<EntityReplicated>,
    confirmed: Confirmed<'_, '_, M>,
    names: Res<ServerEntityMap>,
) {
    for news in news.read() {
        let name = names.to_server().get(&news.entity);
        let state = confirmed.by(*news);
        if let Some((name, (tick, state))) = name.zip(state) {
            witness.compare(tick, *name, state);
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
    struct Place(f32);

    impl PredictedState for Place {
        fn moved_by_server(_: &Self, _: &Self) -> bool {
            false
        }
    }

    /// What [`compare_sightings`] does, with the server's entity 9 as the only one.
    fn compare(
        mut witness: ResMut<Witness<Place>>,
        mut news: MessageReader<EntityReplicated>,
        confirmed: Confirmed<'_, '_, Place>,
    ) {
        for news in news.read() {
            let (tick, state) = confirmed.by(*news).expect("it was shown");
            witness.compare(tick, name(), state);
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
        fn of(sightings: &Arc<Sightings<Place>>, entities_before: u32) -> Self {
            let mut app = App::new();
            app.add_message::<EntityReplicated>()
                .init_resource::<ReplicationCheckpointMap>()
                .insert_resource(Witness::new(Arc::clone(sightings)))
                .add_systems(Update, compare);
            for _ in 0..entities_before {
                app.world_mut().spawn_empty();
            }
            let history = ConfirmedHistory::<Place>::default();
            let avatar = app.world_mut().spawn(history).id();
            Self { app, avatar }
        }

        /// A message of that tick arrives, with a new place or without.
        fn is_shown(&mut self, tick: u32, place: Option<f32>) {
            let (entity, world) = (self.avatar, self.app.world_mut());
            let news = RepliconTick::new(tick / 3);
            let mut ticks = world.resource_mut::<ReplicationCheckpointMap>();
            ticks.record(news, Tick(tick));
            if let Some(place) = place {
                let mut history = world.get_mut::<ConfirmedHistory<Place>>(entity).unwrap();
                history.insert_present(Tick(tick), Place(place));
            }
            world.write_message(EntityReplicated { entity, tick: news });
            self.app.update();
        }

        fn found(&self) -> (u64, u64) {
            let witness = self.app.world().resource::<Witness<Place>>();
            (witness.compared, witness.wrong)
        }
    }

    #[test]
    fn a_planted_difference_is_found_and_nothing_else() {
        let sightings = Arc::default();
        let [mut one, mut other] = [3, 70].map(|before| Canary::of(&sightings, before));
        for tick in (300..360).step_by(3) {
            one.is_shown(tick, Some(tick as f32));
        }
        for tick in (303..360).step_by(3) {
            let planted = if tick == 330 { 0.5 } else { 0.0 };
            other.is_shown(tick, Some(tick as f32 + planted));
        }
        assert_eq!(one.found(), (0, 0), "nobody was shown these before");
        assert_eq!(other.found(), (19, 1));
    }

    #[test]
    fn a_message_that_leaves_the_state_out_confirms_the_one_before() {
        let sightings = Arc::default();
        let [mut one, mut other] = [0, 1].map(|before| Canary::of(&sightings, before));
        one.is_shown(300, Some(1.0));
        one.is_shown(303, None);
        other.is_shown(303, Some(1.0));
        assert_eq!(other.found(), (1, 0));
        other.is_shown(306, Some(2.0));
        one.is_shown(306, None);
        assert_eq!(one.found(), (1, 1), "it missed that the place has changed");
    }

    #[test]
    fn states_are_forgotten_after_a_while() {
        let sightings = Sightings::default();
        for tick in 0..10_000 {
            sightings.shown_before(tick, name(), &Place(0.0));
        }
        assert_eq!(sightings.states.lock().unwrap().len(), 601);
    }
}
