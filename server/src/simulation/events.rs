//! Sends events to thin clients: encoded once, numbered through the match. The same kinds of events
//! state how things stand to whoever comes later.
//!
//! It does not know spectators; the host hands them the same frames.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_shared::event::MatchEvent;
use gameserver_shared::flow::{MatchOver, MatchPhase, MatchSettings, MatchStatus};
use gameserver_shared::player::{PlayerJoined, PlayerLeft, Roster};
use gameserver_shared::snapshot::SnapshotSystems;
use gameserver_shared::stream::frame::{Event, put_event};
use gameserver_shared::tick::CurrentTick;
use lightyear::prelude::LocalTimeline;

use super::client_link::ClientLink;
use super::outcome::Outcome;
use super::thin::Thin;

/// Seats in one event: names and all, far below the limit of an event.
const SEATS_PER_EVENT: usize = 100;
/// How often in a second players learn who came and went: a thousand who come within seconds
/// would otherwise be a million frames.
const ANNOUNCEMENTS_PER_S: u32 = 4;

/// The sending, before the tick's snapshot.
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventSystems;

/// Adds the sending.
#[derive(Debug)]
pub(super) struct EventPlugin;

impl Plugin for EventPlugin {
    fn build(&self, app: &mut App) {
        app.add_message::<MatchEvent>()
            .init_resource::<EventLog>()
            .add_systems(
                FixedPostUpdate,
                (announce_players, announce_phase, announce_end, send_events)
                    .chain()
                    .in_set(EventSystems)
                    .before(SnapshotSystems::Enter),
            );
    }
}

/// The events of the match.
#[derive(Resource, Debug, Default)]
pub struct EventLog {
    number: u32,
    /// The frames of the last tick, for spectators and the match log.
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

/// Who came and went since it was last announced.
#[derive(Debug, Default)]
struct Arrivals {
    left: Vec<u16>,
    joined: Vec<(u16, String)>,
    /// The tick of the next announcement, at the earliest.
    due: u32,
}

impl Arrivals {
    fn remove(&mut self, seat: u16) {
        let waiting = self.joined.iter().position(|new| new.0 == seat);
        match waiting {
            // Nobody knows of them yet.
            Some(index) => drop(self.joined.swap_remove(index)),
            None => self.left.push(seat),
        }
    }

    /// Seats are empty before they are taken again.
    fn events(&mut self) -> Vec<MatchEvent> {
        let left = self.left.chunks(SEATS_PER_EVENT);
        let left = left.map(|seats| MatchEvent::new("left", &seats));
        let events = left.chain(joined(&self.joined)).collect();
        self.left.clear();
        self.joined.clear();
        events
    }
}

fn joined(players: &[(u16, String)]) -> impl Iterator<Item = MatchEvent> {
    players
        .chunks(SEATS_PER_EVENT)
        .map(|players| MatchEvent::new("joined", &players))
}

fn announce_players(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    mut joined: MessageReader<PlayerJoined>,
    mut left: MessageReader<PlayerLeft>,
    mut arrivals: Local<Arrivals>,
    mut events: MessageWriter<MatchEvent>,
) {
    left.read().for_each(|gone| arrivals.remove(gone.seat.0));
    let new = joined.read();
    arrivals
        .joined
        .extend(new.map(|new| (new.seat.0, new.display_name.clone())));
    if tick.number() < arrivals.due {
        return;
    }
    let announced = arrivals.events();
    if !announced.is_empty() {
        events.write_batch(announced);
        arrivals.due = tick.number() + u32::from(settings.tick_rate_hz) / ANNOUNCEMENTS_PER_S;
    }
}

fn announce_phase(
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

fn announce_end(
    mut over: MessageReader<MatchOver>,
    outcome: Res<Outcome>,
    mut events: MessageWriter<MatchEvent>,
    mut is_announced: Local<bool>,
) {
    if over.read().count() > 0 && !std::mem::replace(&mut *is_announced, true) {
        events.write(MatchEvent::new("over", &outcome.placements()));
    }
}

/// When the match will be ended because its instance goes away.
#[derive(Resource, Debug, Clone, Copy)]
struct DrainsAt {
    tick: u32,
}

/// Announces to everybody that the instance goes away in so many ticks.
pub fn announce_draining(world: &mut World, ticks: u32) {
    let now = world.resource::<LocalTimeline>().tick().0;
    let drains = DrainsAt {
        tick: now.saturating_add(ticks),
    };
    world.insert_resource(drains);
    let event = draining_event(world, drains);
    world.write_message(event);
}

fn draining_event(world: &World, drains: DrainsAt) -> MatchEvent {
    let now = world.resource::<LocalTimeline>().tick().0;
    let rate = u32::from(world.resource::<MatchSettings>().tick_rate_hz).max(1);
    let seconds_left = drains.tick.saturating_sub(now).div_ceil(rate);
    MatchEvent::new("draining", &(seconds_left,))
}

fn send_events(
    tick: CurrentTick,
    mut events: MessageReader<MatchEvent>,
    mut log: ResMut<EventLog>,
    clients: Query<&ClientLink, With<Thin>>,
) {
    log.recent.clear();
    for event in events.read() {
        let frame = log.frame(tick.number(), event);
        for link in clients.iter().filter(|link| event.is_for(link.seat())) {
            // One that cannot take it is closed, which is noticed after the tick.
            let _ = link.connection().send_reliable(frame.clone());
        }
        log.recent.push(frame);
    }
}

/// The game's part of how things stand.
#[derive(Resource, Clone, Copy)]
pub(super) struct GameStanding(pub(super) fn(&mut World) -> Vec<MatchEvent>);

/// How things stand, for somebody who comes now: the phase, who is there, and what the game adds.
pub fn standing(world: &mut World) -> Vec<Bytes> {
    let tick = world.resource::<LocalTimeline>().tick().0;
    let number = world.resource::<EventLog>().number;
    let mut statuses = world.query::<&MatchStatus>();
    let phase = statuses.single(world).ok().copied().map(phase_event);
    let seats = world.resource::<Roster>().seats.iter();
    let players: Vec<_> = seats
        .map(|(seat, player)| (seat.0, player.display_name.clone()))
        .collect();
    let GameStanding(of_game) = *world.resource::<GameStanding>();
    let of_game = of_game(world);
    let drains = world.get_resource::<DrainsAt>().copied();
    let draining = drains.map(|drains| draining_event(world, drains));
    let events = phase.into_iter().chain(joined(&players));
    let events = events.chain(of_game).chain(draining);
    events.map(|event| encode(number, tick, &event)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_and_went_between_announcements_is_not_announced() {
        let mut arrivals = Arrivals::default();
        arrivals.remove(3);
        arrivals.joined.push((3, "ann".to_owned()));
        arrivals.joined.push((4, "bob".to_owned()));
        arrivals.remove(4);
        let events = arrivals.events();
        let ann = MatchEvent::new("joined", &[(3, "ann")]);
        assert_eq!(events, [MatchEvent::new("left", &[3]), ann]);
        assert!(arrivals.events().is_empty());
    }

    #[test]
    fn a_crowd_is_announced_in_few_events() {
        let crowd: Vec<_> = (0..1_000).map(|seat| (seat, "x".repeat(64))).collect();
        assert_eq!(joined(&crowd).count(), 10);
    }
}
