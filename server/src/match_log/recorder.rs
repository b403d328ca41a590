//! Turns the ticks of one match into blocks of its log, as a resource of the match's App. It does
//! not know files.

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_contract::ids::MatchId;
use gameserver_contract::result::MatchResult;
use gameserver_control::result_signature::{self, ResultKey};
use gameserver_shared::game::Game;
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::{self, Avatar, SeatChanges};
use gameserver_shared::state::{self, StateHashes};
use gameserver_shared::stream::broadcast::Form;
use gameserver_shared::tick::{CurrentTick, TickSystems};
use gameserver_stream::log::{
    EncodeError, Footer, LogHeader, LogWriter, RawBlock, SeatChange, SnapshotKind, TickEntry,
};
use lightyear::prelude::LocalTimeline;

use super::inputs::{ChangedInputs, ReplayedInputs, follow_inputs};
use super::sink::{LogSink, SinkFull};

/// Blocks a second: what a crash may cost is a quarter of a second.
const BLOCKS_PER_SECOND: u32 = 4;
/// Seconds between key frames: what a replay needs at most to simulate before it shows any tick.
const KEY_FRAME_INTERVAL_S: u32 = 5;

/// Records this match. There is none when the instance keeps no logs, and none after the end.
#[derive(Resource, Debug)]
pub struct MatchRecorder {
    id: MatchId,
    writer: LogWriter,
    inputs: ChangedInputs,
    sink: LogSink,
    ticks_per_block: u32,
    ticks_per_key_frame: u32,
    key_snapshot: KeySnapshot,
    is_finished: bool,
}

/// Whether the present stretch of the log can be shown yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeySnapshot {
    Wanted,
    Recorded,
}

/// What writes into the log, in `FixedUpdate` and `FixedLast`.
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordSystems;

/// Adds what records and what replays; both sleep until somebody inserts their resources.
#[derive(Debug)]
pub struct RecordPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for RecordPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for RecordPlugin<G> {
    fn build(&self, app: &mut App) {
        app.add_systems(
            FixedUpdate,
            (
                (
                    record_inputs::<G>.run_if(resource_exists::<MatchRecorder>),
                    follow_inputs::<G>.run_if(resource_exists::<ReplayedInputs>),
                )
                    .before(TickSystems::ReadInputs),
                record_tick
                    .run_if(resource_exists::<MatchRecorder>)
                    .in_set(RecordSystems)
                    .after(TickSystems::HashState)
                    .before(TickSystems::Publish),
            ),
        );
        app.add_systems(
            FixedLast,
            record_key_frame
                .run_if(key_frame_is_due)
                .in_set(RecordSystems),
        );
    }
}

/// Begins the log of a match that has not made a tick yet. Without room for it there is no log.
pub fn begin(app: &mut App, header: &LogHeader, sink: &LogSink) {
    let world = app.world_mut();
    let Ok(recorder) = MatchRecorder::begin(header, sink) else {
        tracing::warn!(match.id = %header.match_id, "match not recorded: too many logs wait to be written");
        return;
    };
    world.insert_resource(recorder);
    world.init_resource::<StateHashes>();
    world.init_resource::<SeatChanges>();
}

/// Ends the log with the result. What the App still does is not recorded.
pub fn finish(world: &mut World, result: &MatchResult, key: &ResultKey) {
    let Some(mut recorder) = world.remove_resource::<MatchRecorder>() else {
        return;
    };
    world.remove_resource::<StateHashes>();
    world.remove_resource::<SeatChanges>();
    match rmp_serde::to_vec(result) {
        Ok(result) => recorder.finish(result, key),
        Err(error) => {
            tracing::error!(
                match.id = %recorder.id, error = &error as &dyn std::error::Error,
                "result cannot be encoded"
            );
        }
    }
}

/// Records what spectators are shown of the tick that just ended: the snapshots of everything, each
/// with its tick, and the events.
pub fn record_frames<'f>(
    world: &mut World,
    snapshots: impl Iterator<Item = (u32, Form, &'f Bytes)>,
    events: &[Bytes],
) {
    let tick = world.resource::<LocalTimeline>().tick().0;
    let Some(mut recorder) = world.get_resource_mut::<MatchRecorder>() else {
        return;
    };
    for (tick, form, frame) in snapshots {
        let kind = match form {
            Form::KeyFrame => SnapshotKind::Key,
            Form::Delta => SnapshotKind::Delta,
        };
        recorder.push_frame(tick, kind, frame);
    }
    for event in events {
        recorder.push_event(tick, event);
    }
}

impl MatchRecorder {
    pub(super) fn begin(header: &LogHeader, sink: &LogSink) -> Result<Self, SinkFull> {
        sink.begin(header.match_id)?;
        let ticks_per_second = u32::from(header.tick_rate_hz);
        let ticks_per_block = (ticks_per_second / BLOCKS_PER_SECOND).max(1);
        let mut recorder = Self {
            id: header.match_id,
            writer: LogWriter::begin(header, ticks_per_block),
            inputs: ChangedInputs::default(),
            sink: sink.clone(),
            ticks_per_block,
            ticks_per_key_frame: ticks_per_second * KEY_FRAME_INTERVAL_S,
            key_snapshot: KeySnapshot::Wanted,
            is_finished: false,
        };
        let first = recorder.writer.end_block();
        recorder.hand_over(first);
        Ok(recorder)
    }

    /// Records what spectators are sent, after its tick was simulated.
    pub fn push_frame(&mut self, tick: u32, kind: SnapshotKind, frame: &[u8]) {
        if kind == SnapshotKind::Key {
            self.key_snapshot = KeySnapshot::Recorded;
        }
        let full = self.writer.snapshot(tick, kind, frame);
        self.hand_over_or_warn(full);
    }

    /// Records an event that spectators are sent, after its tick was simulated.
    pub fn push_event(&mut self, tick: u32, frame: &[u8]) {
        let full = self.writer.event(tick, frame);
        self.hand_over_or_warn(full);
    }

    /// True when the next snapshot should be one that can be read alone, so that a replay which
    /// begins at the last key frame has something to show.
    #[must_use]
    pub fn wants_key_snapshot(&self) -> bool {
        self.key_snapshot == KeySnapshot::Wanted
    }

    pub(super) fn record_tick(&mut self, tick: u32, changes: &[SeatChange], hashes: &StateHashes) {
        let full = self.writer.tick(TickEntry {
            tick,
            changes,
            inputs: self.inputs.iter(),
            hashes: &hashes.values,
        });
        self.hand_over(full);
    }

    /// At its time; when ticks are being lost, as soon as there is room again.
    pub(super) fn key_frame_is_due(&self, tick: u32) -> bool {
        if self.writer.is_losing() {
            return tick.is_multiple_of(self.ticks_per_block) && self.sink.has_room();
        }
        tick.is_multiple_of(self.ticks_per_key_frame)
    }

    pub(super) fn record_key_frame(&mut self, tick: u32, state: &[u8]) {
        self.key_snapshot = KeySnapshot::Wanted;
        if self.writer.is_losing() {
            let resumed = self.writer.resume(state).map(|()| None);
            self.hand_over_or_warn(resumed);
            return;
        }
        let before = self.writer.key_frame(tick, state);
        self.hand_over_or_warn(before);
    }

    pub(super) fn finish(&mut self, result: Vec<u8>, key: &ResultKey) {
        let rest = self.writer.end_block();
        self.hand_over(rest);
        let ticks_missing = self.writer.ticks_missing();
        let last_tick = self.writer.last_tick();
        let footer = Footer {
            result_signature: result_signature::sign(key, &result),
            result,
            // The thread that writes the file knows these.
            sha256: [0; 32],
            log_signature: [0; 32],
            ticks: last_tick - ticks_missing,
            ticks_missing,
        };
        if ticks_missing > 0 {
            tracing::warn!(match.id = %self.id, ticks_missing, "match log has gaps");
        }
        self.is_finished = self.sink.finish(self.id, last_tick, footer, *key).is_ok();
    }

    fn hand_over_or_warn(&mut self, full: Result<Option<RawBlock>, EncodeError>) {
        match full {
            Ok(full) => self.hand_over(full),
            Err(error) => tracing::warn!(
                match.id = %self.id, error = &error as &dyn std::error::Error,
                "not in the match log"
            ),
        }
    }

    fn hand_over(&mut self, full: Option<RawBlock>) {
        let Some(full) = full else {
            return;
        };
        if let Err(refused) = self.sink.append(self.id, full) {
            self.writer.lose(&refused);
        }
    }
}

impl Drop for MatchRecorder {
    /// A match that panicked keeps what it has.
    fn drop(&mut self) {
        if !self.is_finished {
            let rest = self.writer.end_block();
            self.hand_over(rest);
            self.sink.leave(self.id);
        }
    }
}

/// Runs before anything reads an input.
fn record_inputs<G: Game>(
    mut recorder: ResMut<MatchRecorder>,
    avatars: Query<(Entity, &Avatar, &PlayerAction<G::Input>)>,
) -> Result<(), BevyError> {
    recorder.inputs.replace::<G>(&avatars)
}

fn record_tick(
    mut recorder: ResMut<MatchRecorder>,
    mut changes: ResMut<SeatChanges>,
    hashes: Res<StateHashes>,
    tick: CurrentTick,
) {
    let changes: Vec<_> = changes.list.drain(..).map(as_logged).collect();
    recorder.record_tick(tick.number(), &changes, &hashes);
}

fn as_logged(change: player::SeatChange) -> SeatChange {
    match change {
        player::SeatChange::Joined(joined) => SeatChange::Joined {
            seat: joined.seat,
            player: joined.player,
            display_name: joined.display_name,
        },
        player::SeatChange::Left(left) => SeatChange::Left {
            seat: left.seat,
            player: left.player,
        },
    }
}

fn key_frame_is_due(recorder: Option<Res<MatchRecorder>>, tick: CurrentTick) -> bool {
    recorder.is_some_and(|recorder| recorder.key_frame_is_due(tick.number()))
}

fn record_key_frame(world: &mut World) -> Result<(), BevyError> {
    let state = state::save(world)?;
    let tick = world.resource::<LocalTimeline>().tick().0;
    let mut recorder = world.resource_mut::<MatchRecorder>();
    recorder.record_key_frame(tick, &state);
    Ok(())
}
