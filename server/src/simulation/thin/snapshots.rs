//! Sends thin players their snapshots, and what the numbers in them mean before. It does not know
//! what becomes of a frame on its way.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use bytes::{Bytes, BytesMut};
use gameserver_shared::game::Game;
use gameserver_shared::send_schedule::SendSchedule;
use gameserver_shared::snapshot::SnapshotState;
use gameserver_shared::stream::frame::put_start;
use gameserver_shared::stream::schema::Schema;
use gameserver_shared::stream::snapshot_buffer::SnapshotBuffer;
use gameserver_shared::stream::viewer::Seen;
use gameserver_shared::tick::CurrentTick;
use gameserver_shared::visibility::Visibility;
use gameserver_transport::close::CloseCode;

use super::client::{Lead, Thin};
use crate::simulation::client_link::ClientLink;
use crate::telemetry;

/// Bytes that frames are cut from; used again once all of them were sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// The first frame of every connection to a match of this game.
#[derive(Resource, Debug, Clone)]
pub struct StartFrame {
    shared: Arc<StreamStart>,
}

#[derive(Debug)]
struct StreamStart {
    interval: u32,
    schema: Schema,
    config: String,
}

impl StartFrame {
    /// Of a finished App.
    pub(super) fn of<G: Game>(snapshots: &SnapshotBuffer) -> Self {
        let start = StreamStart {
            interval: snapshots.interval(),
            schema: snapshots.schema().clone(),
            config: G::public_config(),
        };
        Self {
            shared: Arc::new(start),
        }
    }

    /// The frame for a connection that begins at this tick.
    #[must_use]
    pub fn frame(&self, tick: u32) -> Bytes {
        let StreamStart {
            interval,
            schema,
            config,
        } = &*self.shared;
        let mut start = Vec::new();
        put_start(&mut start, tick, *interval, schema, config);
        start.into()
    }
}

/// Where the frames of a tick are written before they are sent.
#[derive(Resource, Debug, Default)]
pub(super) struct FrameBuffer {
    frame: Vec<u8>,
    chunk: BytesMut,
}

impl FrameBuffer {
    /// The frame that was written, cut from a chunk that many frames share.
    fn cut(&mut self) -> Bytes {
        if self.chunk.capacity() < self.frame.len() {
            self.chunk.reserve(CHUNK_BYTES.max(self.frame.len()));
        }
        self.chunk.extend_from_slice(&self.frame);
        self.chunk.split().freeze()
    }
}

/// Sends each thin player whose turn it is what they may see.
pub(super) fn send_snapshots(
    tick: CurrentTick,
    mut shown: ResMut<SnapshotState>,
    (schedule, visibility): (Res<SendSchedule>, Option<Res<Visibility>>),
    mut buffer: ResMut<FrameBuffer>,
    mut clients: Query<(&ClientLink, &mut Thin, &Lead)>,
) {
    let SnapshotState {
        snapshots, records, ..
    } = &mut *shown;
    let buffer = &mut *buffer;
    let clients = clients.iter_mut();
    for (link, mut thin, lead) in clients.filter(|row| schedule.is_due(row.0.seat())) {
        let seen = visibility.as_ref().map_or(Seen::All, |visibility| {
            Seen::Only(visibility.of(link.seat()))
        });
        buffer.frame.clear();
        let lead = lead.at(tick.number());
        if !thin
            .viewer
            .write(snapshots, records, seen, lead, &mut buffer.frame)
        {
            continue;
        }
        // A closed connection is noticed after the tick.
        let _ = link.connection().send_latest(buffer.cut());
        if thin.viewer.is_stalled() {
            let text = "snapshots are not acknowledged";
            link.connection().close(CloseCode::SlowConsumer, text);
            telemetry::packet_dropped("unacknowledged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_from_one_chunk_as_long_as_it_has_room() {
        let mut buffer = FrameBuffer {
            frame: vec![7; 100],
            ..FrameBuffer::default()
        };
        let frames: Vec<Bytes> = (0..CHUNK_BYTES / 100).map(|_| buffer.cut()).collect();
        for pair in frames.windows(2) {
            assert_eq!(pair[1].as_ptr(), pair[0].as_ptr().wrapping_add(100));
        }
        assert!(frames.iter().all(|frame| frame == &buffer.frame));
    }
}
