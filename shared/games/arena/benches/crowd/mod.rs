//! A battle without any network: simulation, rules, hashes, and bots that play it.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use game_arena::{ArenaInput, Battle};
use gameserver_contract::ids::PlayerId;
use gameserver_shared::bot::BotPolicy;
use gameserver_shared::offline::{self, offline_match};
use gameserver_shared::player::seat_player;
use gameserver_shared::prelude::*;
use gameserver_shared::state::StateHashes;
use uuid::Uuid;

/// Who plays.
pub(crate) const PLAYERS: u16 = 1_000;
/// Bots decide when a snapshot has shown them something new.
pub(crate) const TICKS_PER_DECISION: u32 = 3;
/// Until play counts, and everybody has spread out and shoots.
const WARM_UP_TICKS: u32 = 240;

/// A battle that is fought.
pub(crate) struct Crowd {
    /// Its App.
    pub(crate) app: App,
    rng: MatchRng,
    tick: u32,
}

impl Crowd {
    /// A battle that is under way.
    pub(crate) fn fighting() -> Self {
        let mut crowd = Self {
            app: build(),
            rng: MatchRng::seeded(11),
            tick: 0,
        };
        for _ in 0..WARM_UP_TICKS {
            crowd.prepare();
            crowd.tick();
        }
        let world = crowd.app.world_mut();
        let status = world.query::<&MatchStatus>().single(world);
        assert!(status.is_ok_and(|status| status.phase == MatchPhase::Running));
        let mut weapons = world.query::<&game_arena::Weapon>();
        let shooting = weapons.iter(world).filter(|weapon| weapon.shots > 0);
        assert!(shooting.count() > usize::from(PLAYERS) / 2, "they fight");
        crowd
    }

    /// Lets everybody decide what to do, if they do so in the next tick.
    pub(crate) fn prepare(&mut self) {
        if !self.tick.is_multiple_of(TICKS_PER_DECISION) {
            return;
        }
        let world = self.app.world_mut();
        let mut avatars = world.query_filtered::<Entity, With<Avatar>>();
        let avatars: Vec<_> = avatars.iter(world).collect();
        for avatar in avatars {
            let input = <Battle as BotPolicy>::decide(world, avatar, &mut self.rng);
            if let Some(mut action) = world.get_mut::<PlayerAction<ArenaInput>>(avatar) {
                action.0 = input;
            }
        }
    }

    /// One tick of the match.
    pub(crate) fn tick(&mut self) {
        self.tick += 1;
        offline::tick(&mut self.app);
    }
}

fn build() -> App {
    let mut app = offline_match::<Battle>(MatchSettings {
        mode: "field".to_owned(),
        players_min: 2,
        players_max: PLAYERS,
        tick_rate_hz: 60,
        seed: 7,
    });
    // As for a match that is recorded.
    app.init_resource::<StateHashes>();
    for seat in 0..PLAYERS {
        let joined = PlayerJoined {
            seat: Seat(seat),
            player: PlayerId(Uuid::from_u128(u128::from(seat) + 1)),
            display_name: format!("player {seat}"),
        };
        seat_player(app.world_mut(), joined);
    }
    app
}
