//! Arena's rules in one App, without any network.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_contract::ids::PlayerId;
use gameserver_shared::flow::MatchOver;
use gameserver_shared::offline::{self, offline_match};
use gameserver_shared::player::{seat_player, unseat_player};
use gameserver_shared::prelude::*;

use super::*;

/// A match of `players` who were all seated before the first tick.
struct Match {
    app: App,
}

impl Match {
    fn of(players: u16) -> Self {
        let app = offline_match::<Arena>(settings("ffa"));
        let mut this = Self { app };
        for seat in 0..players {
            this.join(Seat(seat));
        }
        this.ticks(1);
        this
    }

    fn join(&mut self, seat: Seat) {
        let joined = PlayerJoined {
            seat,
            player: PlayerId(uuid(seat)),
            display_name: format!("player {seat}"),
        };
        seat_player(self.app.world_mut(), joined);
    }

    fn leave(&mut self, seat: Seat) {
        unseat_player(self.app.world_mut(), seat);
    }

    fn ticks(&mut self, count: u32) {
        (0..count).for_each(|_| offline::tick(&mut self.app));
    }

    fn avatar(&mut self, seat: u16) -> Entity {
        let world = self.app.world_mut();
        let mut avatars = world.query::<(Entity, &Avatar)>();
        avatars
            .iter(world)
            .find(|row| row.1.seat == Seat(seat))
            .expect("an avatar")
            .0
    }

    fn get<C: Component + Clone>(&mut self, seat: u16) -> C {
        let entity = self.avatar(seat);
        self.app
            .world()
            .get::<C>(entity)
            .expect("a component")
            .clone()
    }

    fn place(&mut self, seat: u16, position: Vec2) {
        let entity = self.avatar(seat);
        self.app
            .world_mut()
            .get_mut::<Body>(entity)
            .expect("a body")
            .position = position;
    }

    fn press(&mut self, seat: u16, input: ArenaInput) {
        let entity = self.avatar(seat);
        self.app
            .world_mut()
            .entity_mut(entity)
            .insert(PlayerAction(input));
    }

    fn phase(&mut self) -> MatchPhase {
        let world = self.app.world_mut();
        world
            .query::<&MatchStatus>()
            .single(world)
            .expect("a status")
            .phase
    }
}

fn settings(mode: &str) -> MatchSettings {
    MatchSettings {
        mode: mode.to_owned(),
        players_min: 2,
        players_max: 16,
        tick_rate_hz: 60,
        seed: 7,
    }
}

fn uuid(seat: Seat) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(seat.0) + 1)
}

const FIRE_RIGHT: ArenaInput = ArenaInput {
    stick_x: 0,
    stick_y: 0,
    aim: 0,
    buttons: ArenaInput::FIRE,
};

/// Two players in the open, seat 0 looking at seat 1.
fn duel() -> Match {
    let mut game = Match::of(2);
    game.place(0, Vec2::new(3.0, 2.0));
    game.place(1, Vec2::new(7.0, 2.0));
    game
}

#[test]
fn five_hits_defeat_an_opponent_who_comes_back_after_two_seconds() {
    let mut game = duel();
    game.press(0, FIRE_RIGHT);
    game.ticks(9 * 4 + 1);
    assert_eq!(game.get::<Fighter>(1).health, 0);
    assert!(!game.get::<Body>(1).alive);
    game.press(0, ArenaInput::default());
    game.ticks(119);
    assert!(!game.get::<Body>(1).alive);
    game.ticks(1);
    assert!(game.get::<Body>(1).alive);
    assert_eq!(game.get::<Fighter>(1).health, 100);
}

#[test]
fn a_wall_stops_a_shot() {
    let mut game = duel();
    game.place(0, Vec2::new(16.0, 15.0));
    game.place(1, Vec2::new(24.0, 15.0));
    game.press(0, FIRE_RIGHT);
    game.ticks(60);
    assert_eq!(game.get::<Fighter>(1).health, 100);
}

#[test]
fn a_fighter_who_has_just_come_back_cannot_be_hurt() {
    let mut game = duel();
    let target = game.avatar(1);
    let until = 60;
    game.app
        .world_mut()
        .get_mut::<Fighter>(target)
        .unwrap()
        .changes_at_tick = until;
    game.press(0, FIRE_RIGHT);
    game.ticks(40);
    assert_eq!(game.get::<Fighter>(1).health, 100);
    game.ticks(40);
    assert!(game.get::<Fighter>(1).health < 100);
}

#[test]
fn play_starts_three_seconds_after_enough_players_came_and_clears_the_warm_up() {
    let mut game = duel();
    assert_eq!(game.phase(), MatchPhase::Starting);
    game.press(0, FIRE_RIGHT);
    game.ticks(9);
    assert!(game.get::<Fighter>(1).health < 100);
    game.press(0, ArenaInput::default());
    game.ticks(3 * 60);
    assert_eq!(game.phase(), MatchPhase::Running);
    assert_eq!(game.get::<Fighter>(1).health, 100);
}

/// Defeats seat 1; how many were told of.
fn defeat(game: &mut Match) -> usize {
    game.place(0, Vec2::new(3.0, 2.0));
    game.place(1, Vec2::new(7.0, 2.0));
    let messages = game.app.world_mut().resource_mut::<Messages<MatchEvent>>();
    messages.into_inner().clear();
    game.press(0, FIRE_RIGHT);
    game.ticks(9 * 4 + 1);
    game.press(0, ArenaInput::default());
    assert!(!game.get::<Body>(1).alive);
    let messages = game.app.world().resource::<Messages<MatchEvent>>();
    messages.len()
}

#[test]
fn nobody_scores_before_play_starts() {
    let mut game = Match::of(2);
    assert_eq!(defeat(&mut game), 0);
    assert_eq!(game.get::<Fighter>(0).kills, 0);
    assert_eq!(game.get::<Fighter>(1).deaths, 0);
    game.ticks(3 * 60 + 150);
    assert_eq!(game.phase(), MatchPhase::Running);
    assert_eq!(defeat(&mut game), 1);
    let scores = rules::scores(game.app.world_mut());
    assert_eq!(scores, [MatchEvent::new("scores", &[(0, 1, 0), (1, 0, 1)])]);
}

#[test]
fn too_few_players_stop_the_countdown() {
    let mut game = duel();
    game.leave(Seat(1));
    game.ticks(2);
    assert_eq!(game.phase(), MatchPhase::Waiting);
}

#[test]
fn the_match_ends_at_the_winning_score_and_names_those_who_left() {
    let mut game = Match::of(3);
    game.ticks(4 * 60);
    let leader = game.avatar(0);
    game.leave(Seat(2));
    game.ticks(1);
    game.app
        .world_mut()
        .get_mut::<Fighter>(leader)
        .unwrap()
        .kills = 20;
    game.ticks(1);
    assert_eq!(game.phase(), MatchPhase::Over);
    let over = game.app.world().resource::<Messages<MatchOver>>();
    let first = over
        .iter_current_update_messages()
        .next()
        .expect("the end was told");
    let seats: Vec<_> = first
        .standings
        .iter()
        .map(|standing| standing.seat.0)
        .collect();
    assert_eq!(seats, [0, 1, 2]);
    assert_eq!(first.standings[0].score, 20);
}

#[test]
fn the_match_ends_when_its_time_is_over() {
    let mut game = duel();
    game.ticks(3 * 60 + 300 * 60 + 2);
    assert_eq!(game.phase(), MatchPhase::Over);
}

#[test]
fn one_who_came_and_went_between_two_ticks_gets_no_avatar() {
    let mut game = Match::of(2);
    game.join(Seat(2));
    game.leave(Seat(2));
    game.ticks(2);
    let world = game.app.world_mut();
    assert_eq!(world.query::<&Avatar>().iter(world).count(), 2);
}

#[test]
fn no_order_of_systems_is_left_to_chance() {
    let mut arena = offline_match::<Arena>(settings("ffa"));
    assert_eq!(offline::ambiguities(&mut arena), [""; 0]);
    let mut battle = offline_match::<Battle>(settings("field"));
    assert_eq!(offline::ambiguities(&mut battle), [""; 0]);
}
