//! Inputs count for the own avatar only, near the present only, and within the game's ranges.
//! The messages come from a modified client, through a real socket.

use game_arena::{Arena, ArenaInput};
use gameserver_server::HostedGames;
use gameserver_tests::cheater::{ArenaInputs, Pair, Scene, inputs};
use gameserver_tests::counters::Counter;
use gameserver_tests::stage::Stage;
use lightyear::input::input_message::InputTarget;
use lightyear::prelude::Tick;

/// Refusals after which a spec has seen enough: half a second's worth of messages.
const REFUSALS_ENOUGH: u64 = 30;
/// A tick to which the first one is far behind: the window is 64 ticks, and clients are ahead.
const FAR_FROM_THE_BEGINNING: Tick = Tick(64 + 30);
const RIGHT: ArenaInput = ArenaInput {
    stick_x: 100,
    stick_y: 0,
    aim: 0,
    buttons: 0,
};

async fn stage() -> Stage {
    let games = HostedGames::default().with::<Arena>();
    Stage::alone(games.expect("arena is consistent")).await
}

/// Cheats until the instance has refused often enough, then looks whether anybody moved.
async fn assert_refused(rule: &str, message: impl Fn(&Scene) -> ArenaInputs) {
    let stage = stage().await;
    // Warm-up for ever: bodies move, nobody shoots.
    let match_id = stage.start_match_in_mode("arena", "practice", 3, 4);
    let mut pair = Pair::join(&stage, match_id).await;
    pair.play_until_tick(FAR_FROM_THE_BEGINNING).await;
    let (cheaters_body, victims_body) = (pair.cheaters_body(), pair.victims_body());
    let refused = Counter::watch_labelled("gs_inputs_rejected_total", "rule", rule);
    pair.cheat_until("the instance refuses", message, |_| {
        refused.increase() >= REFUSALS_ENOUGH
    })
    .await;
    pair.play_on().await;
    assert_eq!(pair.victims_body(), victims_body, "the victim was moved");
    assert_eq!(pair.cheaters_body(), cheaters_body, "the cheat had effect");
    assert!(pair.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_for_another_players_avatar_is_refused() {
    assert_refused("foreign_target", |scene| {
        inputs(InputTarget::Entity(scene.victim), RIGHT, scene.tick, 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_foreign_target_costs_the_own_one_beside_it_nothing() {
    let stage = stage().await;
    let match_id = stage.start_match_in_mode("arena", "practice", 3, 4);
    let mut pair = Pair::join(&stage, match_id).await;
    pair.play_on().await;
    let (own, victims_body) = (pair.cheaters_body(), pair.victims_body());
    let refused = Counter::watch_labelled("gs_inputs_rejected_total", "rule", "foreign_target");
    let both = |scene: &Scene| {
        let mut message = inputs(InputTarget::Entity(scene.victim), RIGHT, scene.tick, 5);
        let own = inputs(InputTarget::Entity(scene.own), RIGHT, scene.tick, 5);
        message.inputs.extend(own.inputs);
        message
    };
    pair.cheat_until("the own avatar moves", both, |pair| {
        pair.cheaters_body().position != own.position
    })
    .await;
    assert!(refused.increase() > 0);
    assert_eq!(pair.victims_body(), victims_body, "the victim was moved");
    assert!(pair.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_far_ahead_is_refused() {
    assert_refused("tick_ahead", |scene| {
        let end_tick = Tick(scene.tick.0 + 1_000);
        inputs(InputTarget::Entity(scene.own), RIGHT, end_tick, 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_for_the_end_of_time_is_refused() {
    assert_refused("tick_ahead", |scene| {
        inputs(InputTarget::Entity(scene.own), RIGHT, Tick(u32::MAX), 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_far_behind_is_refused() {
    assert_refused("tick_behind", |scene| {
        inputs(InputTarget::Entity(scene.own), RIGHT, Tick(0), 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stick_beyond_its_range_is_refused() {
    assert_refused("stick_range", |scene| {
        let beyond = ArenaInput {
            stick_x: 127,
            ..RIGHT
        };
        inputs(InputTarget::Entity(scene.own), beyond, scene.tick, 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_of_too_many_ticks_is_refused() {
    assert_refused("too_many_ticks", |scene| {
        inputs(InputTarget::Entity(scene.own), RIGHT, scene.tick, 33)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_in_the_name_of_others_is_refused() {
    assert_refused("rebroadcast", |scene| ArenaInputs {
        rebroadcast: true,
        ..inputs(InputTarget::Entity(scene.own), RIGHT, scene.tick, 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_for_an_avatar_that_is_only_guessed_is_refused() {
    assert_refused("prespawned_target", |scene| {
        inputs(InputTarget::PreSpawned(7), RIGHT, scene.tick, 5)
    })
    .await;
}

/// The same message, rightly made, moves the own avatar: what refuses the others is the rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_for_the_own_avatar_now_moves_it() {
    let stage = stage().await;
    let match_id = stage.start_match_in_mode("arena", "practice", 3, 4);
    let mut pair = Pair::join(&stage, match_id).await;
    pair.play_on().await;
    let before = pair.cheaters_body();
    pair.cheat_until(
        "the own avatar moves",
        |scene| inputs(InputTarget::Entity(scene.own), RIGHT, scene.tick, 5),
        |pair| pair.cheaters_body().position != before.position,
    )
    .await;
}
