//! Tells everybody what happened: encoded once, numbered through the match.
//!
//! Whoever comes later is told how things stand by the same events.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_shared::event::MatchEvent;
use gameserver_shared::flow::{MatchOver, MatchPhase, MatchStatus};
use gameserver_shared::player::{PlayerJoined, PlayerLeft, Roster};
use gameserver_shared::stream::frame::{Event, put_event};
use gameserver_shared::tick::CurrentTick;
use lightyear::prelude::LocalTimeline;

use super::outcome::Outcome;
use super::thin::ThinLink;

/// Adds the telling.
#[derive(Debug)]
pub(super) struct EventPlugin;

impl Plugin for EventPlugin {
    fn build(&self, app: &mut App) {
        app.add_message::<MatchEvent>()
            .init_resource::<EventLog>()
            .add_systems(
                FixedPostUpdate,
                (tell_of_players, tell_of_phase, tell_of_end, send_events).chain(),
            );
    }
}

/// The events of the match.
#[derive(Resource, Debug, Default)]
pub struct EventLog {
    number: u32,
    /// The frames of the last tick, with nobody left to be told but watchers and the log.
    pub recent: Vec<Bytes>,
}

impl EventLog {
    fn frame(&mut self, tick: u32, event: &MatchEvent) -> Bytes {
        self.number += 1;
        encode(self.number, tick, event)
    }
}

fn encode(number: u32, tick: u32, event: &MatchEvent) -> Bytes {
    let mut frame = Vec::with_capacity(16 + event.name.len() + event.payload.len());
    let event = Event {
        tick,
        name: event.name,
        payload: &event.payload,
    };
    put_event(&mut frame, number, &event);
    frame.into()
}

fn tell_of_players(
    mut joined: MessageReader<PlayerJoined>,
    mut left: MessageReader<PlayerLeft>,
    mut events: MessageWriter<MatchEvent>,
) {
    events.write_batch(
        left.read()
            .map(|gone| MatchEvent::new("left", &[gone.seat.0])),
    );
    let names = joined
        .read()
        .map(|new| MatchEvent::new("joined", &(new.seat.0, &new.display_name)));
    events.write_batch(names);
}

fn tell_of_phase(
    status: Single<&MatchStatus, Changed<MatchStatus>>,
    mut events: MessageWriter<MatchEvent>,
) {
    events.write(phase_event(**status));
}

fn phase_event(status: MatchStatus) -> MatchEvent {
    let phase = match status.phase {
        MatchPhase::Waiting => "waiting",
        MatchPhase::Starting => "starting",
        MatchPhase::Running => "running",
        MatchPhase::Over => "over",
    };
    MatchEvent::new("phase", &(phase, status.since_tick))
}

fn tell_of_end(
    mut over: MessageReader<MatchOver>,
    outcome: Res<Outcome>,
    mut events: MessageWriter<MatchEvent>,
    mut told: Local<bool>,
) {
    if over.read().count() > 0 && !std::mem::replace(&mut *told, true) {
        events.write(MatchEvent::new("over", &outcome.placements()));
    }
}

fn send_events(
    tick: CurrentTick,
    mut events: MessageReader<MatchEvent>,
    mut log: ResMut<EventLog>,
    links: Query<&ThinLink>,
) {
    log.recent.clear();
    for event in events.read() {
        let frame = log.frame(tick.number(), event);
        for link in links.iter().filter(|link| event.is_for(link.seat())) {
            // One that cannot take it is closed, which is noticed after the tick.
            let _ = link.connection().send_reliable(frame.clone());
        }
        log.recent.push(frame);
    }
}

/// How things stand, for somebody who comes now: the phase, and who is there.
pub fn standing(world: &mut World) -> Vec<Bytes> {
    let tick = world.resource::<LocalTimeline>().tick().0;
    let number = world.resource::<EventLog>().number;
    let mut statuses = world.query::<&MatchStatus>();
    let phase = statuses.single(world).ok().copied().map(phase_event);
    let seats = world.resource::<Roster>().seats.iter();
    let players =
        seats.map(|(seat, player)| MatchEvent::new("joined", &(seat.0, &player.display_name)));
    let events = phase.into_iter().chain(players);
    events.map(|event| encode(number, tick, &event)).collect()
}
