//! What a thin player is sent: first what the numbers mean and what happened so far, then the
//! snapshots.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use bytes::{Bytes, BytesMut};
use gameserver_shared::game::Game;
use gameserver_shared::sight::Sight;
use gameserver_shared::snapshot::Shown;
use gameserver_shared::stream::frame::put_start;
use gameserver_shared::stream::schema::Schema;
use gameserver_shared::stream::stage::Stage;
use gameserver_shared::stream::viewer::Seen;
use gameserver_shared::tick::CurrentTick;
use gameserver_transport::close::CloseCode;

use super::inputs::Lead;
use super::link::ThinLink;
use crate::telemetry;

/// Bytes that frames are cut from; used again once all of them were sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the first frame of every connection to a match of this game says.
#[derive(Resource, Debug, Clone)]
pub struct StartFrame {
    shared: Arc<Said>,
}

#[derive(Debug)]
struct Said {
    interval: u32,
    schema: Schema,
    config: String,
}

impl StartFrame {
    /// Of a finished App.
    pub(super) fn of<G: Game>(stage: &Stage) -> Self {
        let said = Said {
            interval: stage.interval(),
            schema: stage.schema().clone(),
            config: G::public_config(),
        };
        Self {
            shared: Arc::new(said),
        }
    }

    /// The frame for a connection that begins at this tick.
    #[must_use]
    pub fn frame(&self, tick: u32) -> Bytes {
        let Said {
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
pub(super) struct Arena {
    frame: Vec<u8>,
    chunk: BytesMut,
}

impl Arena {
    /// The frame that was written, without an allocation of its own.
    fn cut(&mut self) -> Bytes {
        self.chunk.reserve(CHUNK_BYTES.min(self.frame.len().max(1)));
        self.chunk.extend_from_slice(&self.frame);
        self.chunk.split().freeze()
    }
}

/// Sends each thin player what they may see.
pub(super) fn send_snapshots(
    tick: CurrentTick,
    mut shown: ResMut<Shown>,
    sight: Option<Res<Sight>>,
    mut arena: ResMut<Arena>,
    mut links: Query<(&mut ThinLink, &Lead)>,
) {
    let Shown { stage, records, .. } = &mut *shown;
    let arena = &mut *arena;
    for (mut link, lead) in &mut links {
        let link = &mut *link;
        let seen = sight
            .as_ref()
            .map_or(Seen::All, |sight| Seen::Only(sight.of(link.seat)));
        arena.frame.clear();
        let lead = lead.at(tick.number());
        if !link
            .viewer
            .write(stage, records, seen, lead, &mut arena.frame)
        {
            continue;
        }
        // A closed connection is noticed after the tick.
        let _ = link.connection.send_latest(arena.cut());
        if link.viewer.is_stalled() {
            let text = "snapshots are not acknowledged";
            link.connection.close(CloseCode::SlowConsumer, text);
            telemetry::packet_dropped("unacknowledged");
        }
    }
}
