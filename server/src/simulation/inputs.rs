//! Which inputs reach the simulation: the own avatar's, for ticks near the present, within the
//! game's ranges.

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
        receiver.retain_messages(|message| match check::<G>(message, own, tick.number()) {
            Ok(()) => true,
            Err(refusal) => {
                telemetry::input_rejected(refusal.rule);
                false
            }
        });
    }
}

fn check<G: Game>(
    message: &InputMessage<Inputs<G>>,
    own: &[Entity],
    now: u32,
) -> Result<(), InputRefusal> {
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
    message
        .inputs
        .iter()
        .try_for_each(|data| check_target::<G>(data, own))
}

fn check_target<G: Game>(
    data: &PerTargetData<Inputs<G>>,
    own: &[Entity],
) -> Result<(), InputRefusal> {
    match data.target {
        InputTarget::Entity(entity) if own.contains(&entity) => {}
        InputTarget::Entity(_) => {
            return Err(InputRefusal {
                rule: "foreign_target",
            });
        }
        InputTarget::PreSpawned(_) => {
            return Err(InputRefusal {
                rule: "prespawned_target",
            });
        }
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
