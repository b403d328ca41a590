//! When each player's snapshots are made. Those of one match are spread over the ticks between two
//! snapshots, so that no tick has to look, encode and send for everybody; what everybody gets at
//! once (native clients, watchers, the match log) is made in the common turn.
//!
//! It knows seats, no connections.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;

/// Whose turn it is.
#[derive(Resource, Debug)]
pub struct SendSchedule {
    interval: u32,
    /// The present tick, as its place between two common turns.
    phase: u32,
    /// Whether this tick is shown to everybody, whatever their turns.
    is_everybodys: bool,
    /// By seat: whether it has a turn of its own.
    own: Vec<bool>,
    /// By phase: seats whose own turn that is.
    takers: Vec<u32>,
}

impl SendSchedule {
    /// A turn of each seat every `interval` ticks; the common one for all until they are given
    /// their own.
    #[must_use]
    pub fn every(interval: u32) -> Self {
        let interval = interval.max(1);
        Self {
            interval,
            phase: 0,
            is_everybodys: false,
            own: Vec::new(),
            takers: vec![0; interval as usize],
        }
    }

    /// The next tick begins.
    pub fn begin(&mut self, tick: u32) {
        self.phase = tick % self.interval;
        self.is_everybodys = false;
    }

    /// Shows the present tick to everybody: nobody is to wait for what it decides.
    pub fn send_to_everybody(&mut self) {
        self.is_everybodys = true;
    }

    /// Gives a seat its own turn: seats are numbered in order, so turns are equally full.
    pub fn assign_own(&mut self, seat: Seat) {
        self.set_own(seat, true);
    }

    /// Takes a seat back into the common turn.
    pub fn join_common(&mut self, seat: Seat) {
        self.set_own(seat, false);
    }

    fn set_own(&mut self, seat: Seat, own: bool) {
        let index = usize::from(seat.0);
        if self.own.len() <= index {
            self.own.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.own[index], own) == own {
            return;
        }
        let takers = &mut self.takers[index % self.interval as usize];
        *takers = if own { *takers + 1 } else { *takers - 1 };
    }

    /// Whether this tick's snapshot is for that seat.
    #[must_use]
    pub fn is_due(&self, seat: Seat) -> bool {
        let has_own = self.own.get(usize::from(seat.0)).is_some_and(|own| *own);
        let phase = u32::from(seat.0) % self.interval;
        self.is_everybodys || self.phase == if has_own { phase } else { 0 }
    }

    /// Whether it is the common turn.
    #[must_use]
    pub fn is_common(&self) -> bool {
        self.is_everybodys || self.phase == 0
    }

    /// Whether this tick's snapshot is for anybody.
    #[must_use]
    pub fn is_for_anybody(&self) -> bool {
        self.is_common() || self.takers[self.phase as usize] > 0
    }
}

/// Run condition: this tick is shown to somebody.
#[must_use]
pub fn is_any_send_due(schedule: Res<SendSchedule>) -> bool {
    schedule.is_for_anybody()
}

/// Run condition: this tick is shown to all who have no turn of their own.
#[must_use]
pub fn is_common_send(schedule: Res<SendSchedule>) -> bool {
    schedule.is_common()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: u32 = 3;

    /// Who has turns in how many of 12 ticks.
    fn turns_of(schedule: &mut SendSchedule, seat: u16) -> Vec<u32> {
        let ticks = 0..12;
        ticks
            .filter(|tick| {
                schedule.begin(*tick);
                schedule.is_due(Seat(seat))
            })
            .collect()
    }

    #[test]
    fn seats_share_the_common_turn_until_they_have_their_own() {
        let mut schedule = SendSchedule::every(INTERVAL);
        assert_eq!(turns_of(&mut schedule, 4), [0, 3, 6, 9]);
        schedule.assign_own(Seat(4));
        assert_eq!(turns_of(&mut schedule, 4), [1, 4, 7, 10]);
        assert_eq!(turns_of(&mut schedule, 5), [0, 3, 6, 9]);
        schedule.join_common(Seat(4));
        assert_eq!(turns_of(&mut schedule, 4), [0, 3, 6, 9]);
    }

    #[test]
    fn a_tick_that_everybody_is_shown_is_only_that_one() {
        let mut schedule = SendSchedule::every(INTERVAL);
        schedule.assign_own(Seat(4));
        schedule.begin(5);
        schedule.send_to_everybody();
        assert!(schedule.is_common() && schedule.is_due(Seat(4)) && schedule.is_due(Seat(5)));
        schedule.begin(8);
        assert!(
            !schedule.is_for_anybody() && !schedule.is_due(Seat(4)) && !schedule.is_due(Seat(5))
        );
    }

    #[test]
    fn own_turns_are_equally_full() {
        let mut schedule = SendSchedule::every(INTERVAL);
        (0..30).for_each(|seat| schedule.assign_own(Seat(seat)));
        for tick in 0..6 {
            schedule.begin(tick);
            let due = (0..30).filter(|seat| schedule.is_due(Seat(*seat)));
            assert_eq!(due.count(), 10);
        }
    }

    #[test]
    fn a_turn_that_nobody_has_is_left_out() {
        let mut schedule = SendSchedule::every(INTERVAL);
        let anybodys = |schedule: &mut SendSchedule| -> Vec<u32> {
            let ticks = 0..6;
            ticks
                .filter(|tick| {
                    schedule.begin(*tick);
                    schedule.is_for_anybody()
                })
                .collect()
        };
        assert_eq!(anybodys(&mut schedule), [0, 3]);
        schedule.assign_own(Seat(2));
        schedule.assign_own(Seat(2));
        assert_eq!(anybodys(&mut schedule), [0, 2, 3, 5]);
        schedule.join_common(Seat(2));
        assert_eq!(anybodys(&mut schedule), [0, 3]);
    }
}
