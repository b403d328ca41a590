//! What a game client adds to its App.

use std::marker::PhantomData;
use std::time::Duration;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::game::Game;
use gameserver_shared::player::Simulated;
use gameserver_shared::protocol::{ProtocolPlugin, fingerprint, tick_duration};
use lightyear::prelude::client::{ClientPlugins, InputDelayConfig, InputTimelineConfig};
use lightyear::prelude::input::native::InputMarker;
use lightyear::prelude::{Controlled, Predicted, PredictionManager, RollbackPolicy, SyncConfig};
use tokio::runtime::Handle;

use crate::connection::{ConnectionPlugin, GameConnection};
use crate::pacing::PacingPlugin;
use crate::probe::ProbePlugin;

/// Ticks that the own simulation runs ahead beyond what the measured round trip and its jitter
/// ask for, when each packet has the input of one. One is the least that works; the second covers
/// a frame that comes late. An input that waits for others to go with has to be earlier by as much.
const LEAD_TICKS: u16 = 2;

/// How long a prediction may be ahead of the server's word and still be corrected. A player
/// whose round trip is longer is corrected no more: lightyear refuses the rollback, and forgets
/// what the server said of the ticks before.
const CORRECTED_WITHIN: Duration = Duration::from_secs(1);

/// Connects to a GameServer match, predicts the own player and interpolates the others.
///
/// The App needs Bevy's time, state and task pool plugins (`DefaultPlugins` has them). Write the
/// player's input into [`PlayerAction`](gameserver_shared::input::PlayerAction) of the entity with
/// [`InputMarker`] in `FixedPreUpdate`, in lightyear's `InputSystems::WriteClientInputs`.
#[derive(Debug)]
pub struct ClientPlugin<G: Game> {
    runtime: Handle,
    game: PhantomData<G>,
}

impl<G: Game> ClientPlugin<G> {
    /// Networking runs on this runtime, apart from the frame loop.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            game: PhantomData,
        }
    }
}

impl<G: Game> Plugin for ClientPlugin<G> {
    fn build(&self, app: &mut App) {
        app.add_plugins(ClientPlugins {
            tick_duration: tick_duration::<G>(),
        });
        app.add_plugins(ProtocolPlugin::<G>::default());
        app.insert_resource(PredictionManager {
            rollback_policy: RollbackPolicy {
                max_rollback_ticks: ticks_in::<G>(CORRECTED_WITHIN),
                ..RollbackPolicy::default()
            },
            ..PredictionManager::default()
        });
        let sync = SyncConfig {
            jitter_margin: f32::from(LEAD_TICKS + G::TICKS_PER_INPUT_PACKET - 1),
            ..SyncConfig::default()
        };
        app.insert_resource(InputTimelineConfig::new(
            sync,
            InputDelayConfig::no_input_delay(),
        ));
        app.insert_resource(GameConnection::new(self.runtime.clone()));
        app.add_plugins((
            ConnectionPlugin,
            PacingPlugin {
                ticks_per_packet: G::TICKS_PER_INPUT_PACKET,
            },
            ProbePlugin::<G>::default(),
        ));
        app.add_observer(simulate_own_player)
            .add_observer(control_own_player::<G>);
    }

    fn finish(&self, app: &mut App) {
        let fingerprint = fingerprint(app.world_mut());
        app.world_mut().resource_mut::<GameConnection>().fingerprint = fingerprint;
    }
}

fn ticks_in<G: Game>(time: Duration) -> u16 {
    let ticks = time.as_micros() / tick_duration::<G>().as_micros();
    u16::try_from(ticks).unwrap_or(u16::MAX)
}

fn simulate_own_player(added: On<Add, Predicted>, mut commands: Commands) {
    commands.entity(added.entity).insert(Simulated);
}

fn control_own_player<G: Game>(added: On<Add, Controlled>, mut commands: Commands) {
    commands
        .entity(added.entity)
        .insert(InputMarker::<G::Input>::default());
}
