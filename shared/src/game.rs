//! The one thing that a user implements to get a hosted, predicted multiplayer game.

use std::fmt::Debug;

use bevy_app::App;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use gameserver_contract::game::GameDescriptor;

use crate::declaration::{MatchState, StateBuilder};
use crate::event::MatchEvent;
use crate::flow::{MatchRules, Score};
use crate::input::PlayerInput;

/// A game that the engine can host.
pub trait Game: Send + Sync + 'static {
    /// What one player sends for one tick. `Default` means "nothing pressed".
    type Input: PlayerInput;

    /// The state of an avatar that its own player predicts: position, velocity and whatever else
    /// a tick of movement reads and writes.
    type Motion: MatchState + PredictedState;

    /// Ticks whose inputs a native client sends in one packet, 1 to 6. Two ticks in each halve
    /// the number of packets, and make every input take effect a tick later.
    const TICKS_PER_INPUT_PACKET: u16 = 1;

    /// Whether a match is simulated while nobody is in it. It rests otherwise, and costs nothing,
    /// until somebody comes to play or to watch; a world that lives on by itself does not want
    /// that. Either way a match that stays empty is ended.
    const STEPS_WHEN_EMPTY: bool = false;

    /// Facts that the lobby needs too.
    fn descriptor() -> GameDescriptor;

    /// Adds the systems that run on server and clients alike: a pure function of world and
    /// inputs, for entities that are [`Simulated`](crate::player::Simulated).
    fn add_simulation(app: &mut App);

    /// Adds the systems that run on the server only: spawning, hits, score, the end.
    fn add_rules(app: &mut App);

    /// Declares the components and resources that a match's state consists of. Server and clients
    /// ask for it; what does not fit together is refused at start. A game without an avatar or a
    /// kind can be played by native clients only.
    fn state(state: &mut StateBuilder);

    /// Adds what decides who sees what. Server only; a game that hides nothing leaves it out.
    fn add_visibility(app: &mut App) {
        let _ = app;
    }

    /// What thin clients and watchers who come later have to be told beside the phase and who is
    /// there, as events: the score, for example, of players whom they do not see.
    fn standing(world: &mut World) -> Vec<MatchEvent> {
        let _ = world;
        Vec::new()
    }

    /// What the player of this avatar has achieved; the result of the match is made of it. Server
    /// only.
    #[must_use]
    fn score(avatar: EntityRef<'_>) -> Score {
        let _ = avatar;
        Score::default()
    }

    /// How matches begin.
    #[must_use]
    fn match_rules() -> MatchRules {
        MatchRules::default()
    }

    /// What every client may know before it is sent anything: the map, speeds. As JSON.
    #[must_use]
    fn public_config() -> String {
        "{}".to_owned()
    }
}

/// State that the owning player predicts and the server corrects.
pub trait PredictedState: Component<Mutability = Mutable> + Clone + PartialEq + Debug {
    /// True when the two differ because the server's rules moved the avatar (death, respawn,
    /// teleport), which no client could have predicted. Such ticks are not counted as
    /// mispredicted.
    fn moved_by_server(confirmed: &Self, predicted: &Self) -> bool;
}
