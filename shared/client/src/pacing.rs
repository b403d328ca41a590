//! When a client sends: once for as many ticks as its game puts into one packet, however many
//! frames it draws. What it has to acknowledge and to answer goes along.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use lightyear::link::LinkSystems;
use lightyear::prelude::input::client::InputSystems;
use lightyear::prelude::{LocalTimeline, MessageSystems, Tick};
use lightyear::transport::plugin::TransportSystems;
use lightyear_sync::ping::plugin::PingSystems;

/// Lets lightyear send in the frames in which a packet is due, and in no other.
#[derive(Debug)]
pub(crate) struct PacingPlugin {
    /// At least 1.
    pub(crate) ticks_per_packet: u16,
}

impl Plugin for PacingPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Packets::every(self.ticks_per_packet));
        app.add_systems(
            PostUpdate,
            look_at_clock.before(InputSystems::PrepareInputMessage),
        );
        let sending = (
            InputSystems::PrepareInputMessage,
            InputSystems::SendInputMessage,
            PingSystems::Send,
            MessageSystems::Send,
            TransportSystems::Send,
            LinkSystems::Send,
        );
        app.configure_sets(PostUpdate, sending.distributive_run_if(is_due));
    }
}

/// Where the clock stood when a packet was sent.
#[derive(Resource, Debug)]
struct Packets {
    ticks_per_packet: u16,
    sent: Option<Tick>,
    is_due: bool,
}

impl Packets {
    fn every(ticks_per_packet: u16) -> Self {
        Self {
            ticks_per_packet,
            sent: None,
            is_due: false,
        }
    }

    /// A clock that was set back makes a packet due as well.
    fn look(&mut self, now: Tick) {
        let waiting = 0..i32::from(self.ticks_per_packet);
        self.is_due = self
            .sent
            .is_none_or(|sent| !waiting.contains(&(now - sent)));
        if self.is_due {
            self.sent = Some(now);
        }
    }
}

fn look_at_clock(timeline: Res<LocalTimeline>, mut packets: ResMut<Packets>) {
    packets.look(timeline.tick());
}

fn is_due(packets: Res<Packets>) -> bool {
    packets.is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ticks_per_packet: u16, frames: &[u32]) -> Vec<u32> {
        let mut packets = Packets::every(ticks_per_packet);
        let is_due = |tick: &&u32| {
            packets.look(Tick(**tick));
            packets.is_due
        };
        frames.iter().filter(is_due).copied().collect()
    }

    #[test]
    fn a_tick_is_sent_once_however_many_frames_it_lasts() {
        assert_eq!(sent(1, &[7, 7, 7, 8, 8, 9, 9]), [7, 8, 9]);
        assert_eq!(sent(2, &[7, 7, 8, 9, 9, 10, 11, 11]), [7, 9, 11]);
    }

    #[test]
    fn frames_that_last_several_ticks_each_send() {
        assert_eq!(sent(2, &[7, 10, 13, 14, 15]), [7, 10, 13, 15]);
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_silence_the_client() {
        assert_eq!(sent(2, &[700, 701, 20, 21, 22]), [700, 20, 22]);
    }
}
