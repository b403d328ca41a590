//! Reads the frames of thin clients, within limits. It does not know what an input means.

use bevy_ecs::prelude::*;
use gameserver_shared::event::MatchEvent;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::stream::frame::ClientFrame;
use gameserver_shared::tick::CurrentTick;
use gameserver_transport::close::CloseCode;

use super::chat::{MatchChat, drop_line};
use super::client::{Lead, Thin};
use super::inputs::ThinInputs;
use crate::simulation::client_link::{ClientLink, RECEIVED_PER_TICK_MAX};
use crate::simulation::frame_io::send_pong;
use crate::telemetry;

/// Reads what came since the last tick.
pub(super) fn receive_frames<G: Game>(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    mut chat: ResMut<MatchChat>,
    mut clients: Query<(&mut ClientLink, &mut Thin, &mut ThinInputs<G>, &mut Lead)>,
    mut events: MessageWriter<MatchEvent>,
) {
    let ticks_per_s = u32::from(settings.tick_rate_hz);
    chat.0.grow(ticks_per_s);
    for (mut link, mut thin, mut inputs, mut lead) in &mut clients {
        link.refill(ticks_per_s);
        thin.chat.grow(ticks_per_s);
        for _ in 0..RECEIVED_PER_TICK_MAX {
            let Some(frame) = link.receive() else {
                break;
            };
            if link.spend_frame() {
                // The tick that just ended is the newest; the next one is about to begin.
                let now = (tick.number(), 1_000_000 / ticks_per_s);
                let client = (&mut *link, &mut *thin, &mut *inputs, &mut *lead);
                events.write_batch(apply(&frame, client, &mut chat, now));
            }
        }
    }
}

fn apply<G: Game>(
    frame: &[u8],
    (link, thin, inputs, lead): (&mut ClientLink, &mut Thin, &mut ThinInputs<G>, &mut Lead),
    chat: &mut MatchChat,
    (tick, tick_us): (u32, u32),
) -> Option<MatchEvent> {
    match ClientFrame::decode(frame) {
        Ok(ClientFrame::Input {
            tick: at,
            inputs: raw,
            acks,
        }) => {
            thin.viewer.acknowledge(acks.newest, acks.before);
            if let Err(refusal) = inputs.insert(lead, tick, at, raw) {
                telemetry::input_rejected(refusal.rule);
            }
        }
        Ok(ClientFrame::Ack(acks)) => thin.viewer.acknowledge(acks.newest, acks.before),
        Ok(ClientFrame::Ping { stamp }) => send_pong(link.connection(), stamp, tick, tick_us),
        Ok(ClientFrame::Chat(text)) => return chat.write(link.seat(), &mut thin.chat, text),
        Ok(ClientFrame::BadChat) => drop_line(),
        Ok(ClientFrame::Leave) => link.close(CloseCode::Consented, "left"),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "unacceptable frame"
            );
            link.record_violation("frame_malformed");
        }
    }
    None
}
