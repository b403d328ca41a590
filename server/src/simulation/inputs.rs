//! Drops inputs of native clients that must not reach the simulation: for other avatars, for ticks
//! far from the present, and out of the game's ranges. It does not know packets; the guard does.

use std::marker::PhantomData;
use std::time::Duration;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::game::Game;
use gameserver_shared::input::{
    INPUT_AHEAD_TICKS_MAX, INPUT_BEHIND_TICKS_MAX, INPUT_TICKS_PER_MESSAGE_MAX, InputRefusal,
    PlayerInput,
};
use gameserver_shared::player::InputLateness;
use gameserver_shared::tick::{CurrentTick, TickSystems};
use lightyear::input::input_message::{
    ActionStateSequence, Compressed, InputMessage, InputTarget, PerTargetData,
};
use lightyear::input::server::InputValidationAppExt;
use lightyear::prelude::input::native::{NativeBuffer, NativeStateSequence};
use lightyear::prelude::{Connected, MessageReceiver};
use lightyear_replication::control::ControlledByRemote;

use crate::telemetry;

type Inputs<G> = NativeStateSequence<<G as Game>::Input>;

/// Adds the check in front of lightyear's input buffers.
#[derive(Debug)]
pub(super) struct InputGuardPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for InputGuardPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for InputGuardPlugin<G> {
    fn build(&self, app: &mut App) {
        app.add_input_validator(drop_unacceptable_inputs::<G>);
        app.add_systems(
            FixedUpdate,
            count_late_inputs::<G>.in_set(TickSystems::ReadInputs),
        );
    }
}

/// Only counts once a first input came: a player who has just joined is not late.
fn count_late_inputs<G: Game>(
    tick: CurrentTick,
    mut avatars: Query<(&mut InputLateness, &NativeBuffer<G::Input>)>,
) {
    for (mut lateness, buffer) in &mut avatars {
        let newest = buffer.last_remote_tick;
        if newest.is_some_and(|newest| newest.0 < tick.number()) {
            lateness.ticks += 1;
            telemetry::input_late();
        }
    }
}

fn drop_unacceptable_inputs<G: Game>(
    tick: CurrentTick,
    mut receivers: Query<
        (
            Option<&ControlledByRemote>,
            &mut MessageReceiver<InputMessage<Inputs<G>>>,
        ),
        With<Connected>,
    >,
) {
    for (controlled, mut receiver) in &mut receivers {
        let own = controlled.map_or(&[][..], |controlled| controlled.collection());
        receiver.retain_messages(|message| {
            let checked = drop_foreign_targets::<G>(message, own)
                .and_then(|()| check::<G>(message, tick.number()));
            let Err(refusal) = checked else { return true };
            telemetry::input_rejected(refusal.rule);
            false
        });
    }
}

/// Takes out what is for others' avatars, and refuses a message in which nothing else was. Its own
/// player's inputs in it count: a client may take another avatar for its own for a moment.
fn drop_foreign_targets<G: Game>(
    message: &mut InputMessage<Inputs<G>>,
    own: &[Entity],
) -> Result<(), InputRefusal> {
    let refusal = InputRefusal {
        rule: "foreign_target",
    };
    let before = message.inputs.len();
    message.inputs.retain(|data| match data.target {
        InputTarget::Entity(entity) => own.contains(&entity),
        InputTarget::PreSpawned(_) => true,
    });
    if message.inputs.len() == before {
        return Ok(());
    }
    if message.inputs.is_empty() {
        return Err(refusal);
    }
    telemetry::input_rejected(refusal.rule);
    Ok(())
}

fn check<G: Game>(message: &InputMessage<Inputs<G>>, now: u32) -> Result<(), InputRefusal> {
    let end = message.end_tick.0;
    if end > now.saturating_add(INPUT_AHEAD_TICKS_MAX) {
        return Err(InputRefusal { rule: "tick_ahead" });
    }
    if end.saturating_add(INPUT_BEHIND_TICKS_MAX) < now {
        return Err(InputRefusal {
            rule: "tick_behind",
        });
    }
    // lightyear forwards this flag to others and skips its own checks for such messages.
    if message.rebroadcast {
        return Err(InputRefusal {
            rule: "rebroadcast",
        });
    }
    message.inputs.iter().try_for_each(check_target::<G>)
}

/// An entity was found to be the player's own before.
fn check_target<G: Game>(data: &PerTargetData<Inputs<G>>) -> Result<(), InputRefusal> {
    if matches!(data.target, InputTarget::PreSpawned(_)) {
        return Err(InputRefusal {
            rule: "prespawned_target",
        });
    }
    if data.states.len() > INPUT_TICKS_PER_MESSAGE_MAX {
        return Err(InputRefusal {
            rule: "too_many_ticks",
        });
    }
    // The duration only matters to input types that decay, which ours do not.
    let states = data
        .states
        .clone()
        .get_snapshots_from_message(Duration::ZERO);
    for state in states {
        if let Compressed::Input(input) = state {
            input.0.check()?;
        }
    }
    Ok(())
}
