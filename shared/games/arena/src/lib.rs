//! Two sample games with the same fighters, a top-down shooter: [`Arena`] for 2 to 64 players, and
//! [`Battle`] for more than a thousand on a field of many arenas. The own player is predicted, the
//! others are interpolated, shots are decided by the server.
//!
//! Reading order: [`config`], [`input`], [`components`], [`movement`], [`weapon`], [`combat`],
//! [`rules`], [`bot`]. It knows no sockets, no accounts and no lobby.

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::flow::match_is_running;
use gameserver_shared::prelude::*;

pub mod bot;
pub mod combat;
pub mod components;
pub mod config;
pub mod input;
pub mod map;
pub mod movement;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod weapon;

pub use components::{Body, Fighter, Weapon};
pub use config::{ArenaConfig, Ground};
pub use input::ArenaInput;

/// One walled yard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Yard;

/// Many yards side by side.
#[derive(Debug, Clone, Copy, Default)]
pub struct Battlefield;

/// For 2 to 64 players.
pub type Arena = Shooter<Yard>;
/// For a crowd.
pub type Battle = Shooter<Battlefield>;

/// The game, as the engine hosts it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shooter<P: Ground>(PhantomData<P>);

impl<P: Ground> Game for Shooter<P> {
    type Input = ArenaInput;
    type Motion = Body;

    /// Half of the packets for inputs that take effect a sixtieth of a second later.
    const TICKS_PER_INPUT_PACKET: u16 = 2;

    fn descriptor() -> GameDescriptor {
        ArenaConfig::of::<P>().game
    }

    fn state(state: &mut StateBuilder) {
        state
            .avatar("fighter")
            .with::<Body>()
            .with::<Weapon>()
            .with::<Fighter>();
        state.rules(P::FILE.as_bytes());
    }

    fn add_simulation(app: &mut App) {
        app.insert_resource(ArenaConfig::of::<P>());
        app.add_systems(
            FixedUpdate,
            (movement::move_bodies, weapon::operate_weapons)
                .chain()
                .in_set(TickSystems::Simulate),
        );
    }

    fn add_rules(app: &mut App) {
        app.add_message::<combat::Hit>();
        app.add_systems(
            FixedUpdate,
            (
                combat::resolve_shots.in_set(TickSystems::ResolveHits),
                (
                    rules::seat_players,
                    rules::reset_when_play_starts,
                    rules::apply_hits,
                    rules::respawn_fighters,
                    rules::end_match.run_if(match_is_running),
                )
                    .chain()
                    .in_set(TickSystems::ApplyRules),
            ),
        );
    }

    fn add_visibility(app: &mut App) {
        let mode = &app.world().resource::<MatchSettings>().mode;
        let config = app.world().resource::<ArenaConfig>();
        if config.rules.get(mode).is_none_or(|rules| rules.fog) {
            limit_visibility::<Body, ArenaConfig>(
                app,
                config.sight.radius_m,
                |body| body.position,
                |config, line| map::can_see(config, line.from, line.to),
            );
        }
    }

    fn standing(world: &mut World) -> Vec<MatchEvent> {
        rules::scores(world)
    }

    fn score(avatar: EntityRef<'_>) -> Score {
        let fighter = avatar.get::<Fighter>().copied().unwrap_or_default();
        Score::of(fighter.kills)
            .with("deaths", fighter.deaths)
            .with("kills", fighter.kills)
    }

    fn public_config() -> String {
        ArenaConfig::of::<P>().public()
    }
}
