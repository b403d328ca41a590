//! Keeps inputs of thin players by tick until the tick is simulated. It does not know connections.

use std::marker::PhantomData;

use bevy_ecs::prelude::*;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::input::{INPUT_AHEAD_TICKS_MAX, InputRefusal, PlayerAction, PlayerInput};
use gameserver_shared::player::{Avatar, InputLateness};
use gameserver_shared::stream::frame::{RawInputs, with_integers};
use gameserver_shared::tick::CurrentTick;

use super::client::{Lead, Thin};
use crate::simulation::seats::Seats;
use crate::telemetry;

/// Inputs that are kept: as many ticks as one may be ahead, and the present one.
const KEPT: usize = INPUT_AHEAD_TICKS_MAX as usize + 1;
/// For so long the last input counts again when none came. Packets that are lost in a row rarely
/// take longer, and a player who is gone should not walk on.
const REPEAT_MS: u32 = 250;

/// One thin player's inputs, on the entity of the link.
#[derive(Component, Debug)]
pub(super) struct ThinInputs<G: Game> {
    /// By tick modulo its length.
    kept: Vec<Option<(u32, G::Input)>>,
    last: G::Input,
    missing: u32,
    game: PhantomData<G>,
}

impl<G: Game> Default for ThinInputs<G> {
    fn default() -> Self {
        Self {
            kept: vec![None; KEPT],
            last: G::Input::default(),
            missing: 0,
            game: PhantomData,
        }
    }
}

impl<G: Game> ThinInputs<G> {
    /// Keeps the inputs of a frame. `now` is the tick that was simulated last, `at` the tick that
    /// the first input is for; 0 is the next one. Late ones are left out.
    pub(super) fn insert(
        &mut self,
        lead: &mut Lead,
        now: u32,
        at: u32,
        raw: RawInputs<'_>,
    ) -> Result<(), InputRefusal> {
        if at > now.saturating_add(INPUT_AHEAD_TICKS_MAX) {
            return Err(InputRefusal { rule: "tick_ahead" });
        }
        let first = if at == 0 { now + 1 } else { at };
        // Without a tick of its own, what was sent before was for ticks that are over.
        let count = if at == 0 { 1 } else { raw.as_slices().len() };
        let ticks = (0..=first).rev();
        for (tick, bytes) in ticks.zip(&raw.as_slices()[..count]) {
            // All of them are read, so that no frame with an impossible one is taken for honest.
            let input = decode::<G>(bytes)?;
            // Late ones too: how late they come is what the client has to know.
            lead.newest = lead.newest.max(Some(tick));
            let place = &mut self.kept[tick as usize % KEPT];
            let is_known = place.as_ref().is_some_and(|kept| kept.0 == tick);
            if tick > now && (at == 0 || !is_known) {
                *place = Some((tick, input));
            }
        }
        Ok(())
    }

    /// The input for this tick: its own, else the last one for up to so many ticks, else none.
    fn input_for(&mut self, tick: u32, repeat_ticks_max: u32) -> G::Input {
        let place = &mut self.kept[tick as usize % KEPT];
        if let Some((_, input)) = place.take_if(|kept| kept.0 == tick) {
            self.last = input;
            self.missing = 0;
        } else {
            self.missing = self.missing.saturating_add(1);
            if self.missing > repeat_ticks_max {
                self.last = G::Input::default();
            }
        }
        self.last.clone()
    }
}

/// Ticks for which the last input counts again.
fn repeat_ticks(tick_rate_hz: u16) -> u32 {
    (u32::from(tick_rate_hz) * REPEAT_MS).div_ceil(1_000)
}

fn decode<G: Game>(bytes: &[u8]) -> Result<G::Input, InputRefusal> {
    let unreadable = InputRefusal { rule: "unreadable" };
    let input = rmp_serde::from_slice(bytes).or_else(|_| {
        // Some programs write every number as one with a point.
        let integers = with_integers(bytes).ok_or(unreadable)?;
        rmp_serde::from_slice(&integers).map_err(|_| unreadable)
    });
    let input: G::Input = input?;
    input.check()?;
    Ok(input)
}

/// A new thin player has pressed nothing yet.
pub(super) fn add_inputs<G: Game>(added: On<Add, Thin>, mut commands: Commands) {
    commands
        .entity(added.entity)
        .insert(ThinInputs::<G>::default());
}

/// Gives each thin player's avatar its input of this tick.
pub(super) fn apply_inputs<G: Game>(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    seats: Res<Seats>,
    mut links: Query<(&mut ThinInputs<G>, &Lead), With<Thin>>,
    mut avatars: Query<(&Avatar, &mut PlayerAction<G::Input>, &mut InputLateness)>,
) {
    let repeat_ticks_max = repeat_ticks(settings.tick_rate_hz);
    for (avatar, mut action, mut lateness) in &mut avatars {
        let link = seats.link_of(avatar.seat);
        let Some((mut inputs, lead)) = link.and_then(|link| links.get_mut(link).ok()) else {
            continue;
        };
        let input = inputs.input_for(tick.number(), repeat_ticks_max);
        if inputs.missing > 0 && lead.newest.is_some() {
            lateness.ticks += 1;
            telemetry::input_late();
        }
        action.set_if_neq(PlayerAction(input));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_input_counts_again_for_a_quarter_of_a_second_at_any_tick_rate() {
        for (tick_rate_hz, ticks) in [(60, 15), (20, 5), (30, 8), (1, 1)] {
            assert_eq!(repeat_ticks(tick_rate_hz), ticks, "at {tick_rate_hz} Hz");
        }
    }
}
