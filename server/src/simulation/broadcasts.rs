//! Encodes what spectators are shown and what the match log keeps: each view once a snapshot,
//! however many watch it. It does not know spectators.

use std::collections::BTreeMap;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_contract::ids::Seat;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::send_schedule::{SendSchedule, is_common_send};
use gameserver_shared::snapshot::{SnapshotState, SnapshotSystems};
use gameserver_shared::stream::broadcast::{Broadcast, Form, View};
use gameserver_shared::stream::snapshot_buffer::{Slot, SnapshotBuffer};
use gameserver_shared::stream::viewer::Seen;
use gameserver_shared::visibility::Visibility;

use crate::match_log::MatchRecorder;

/// Seconds between two key frames.
const KEY_FRAME_S: u32 = 2;
/// Views of one match, beside the one of everything.
const VIEWS_MAX: usize = 64;

/// A frame that spectators are sent.
#[derive(Debug, Clone)]
pub struct BroadcastFrame {
    /// What it shows.
    pub view: View,
    /// The snapshot's tick.
    pub tick: u32,
    /// Whether a spectator may begin here.
    pub form: Form,
    /// The frame.
    pub frame: Bytes,
}

/// The views that are encoded.
#[derive(Resource, Debug)]
pub struct Broadcasts {
    views: BTreeMap<View, Broadcast>,
    next_key_tick: u32,
    seen: Vec<(u32, Slot)>,
    /// The frames of the last tick.
    pub recent: Vec<BroadcastFrame>,
}

impl Default for Broadcasts {
    fn default() -> Self {
        Self {
            views: BTreeMap::from([(View::All, Broadcast::new(View::All))]),
            next_key_tick: 0,
            seen: Vec::new(),
            recent: Vec::new(),
        }
    }
}

impl Broadcasts {
    /// Encodes this view from the next snapshot on, until the match ends. With too many views it
    /// is not shown.
    pub fn show(&mut self, view: View) {
        if self.views.len() <= VIEWS_MAX {
            self.views
                .entry(view)
                .or_insert_with(|| Broadcast::new(view));
        }
    }
}

/// Adds the encoding.
#[derive(Debug)]
pub(super) struct BroadcastPlugin;

impl Plugin for BroadcastPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Broadcasts>().add_systems(
            FixedPostUpdate,
            (
                forget_last_tick.before(SnapshotSystems::Enter),
                gather_watched_teams
                    .in_set(SnapshotSystems::Capture)
                    .run_if(is_common_send),
                encode_views
                    .in_set(SnapshotSystems::Send)
                    .run_if(is_common_send),
            ),
        );
    }
}

fn forget_last_tick(mut broadcasts: ResMut<Broadcasts>) {
    broadcasts.recent.clear();
}

/// What a team sees together is what its players see in the same tick: they look in the common
/// turn, with the spectators.
fn gather_watched_teams(
    broadcasts: Res<Broadcasts>,
    shown: Res<SnapshotState>,
    mut schedule: ResMut<SendSchedule>,
) {
    for view in broadcasts.views.keys() {
        let View::Team(team) = view else { continue };
        let players = owners_in(&shown.snapshots, *team);
        players.for_each(|seat| schedule.join_common(seat));
    }
}

fn owners_in(snapshots: &SnapshotBuffer, team: u16) -> impl Iterator<Item = Seat> {
    let actors = snapshots
        .present()
        .iter()
        .map(|(_, slot)| snapshots.actor(*slot));
    let members = actors.filter(move |actor| actor.team == Some(team));
    members.filter_map(|actor| actor.owner)
}

fn encode_views(
    mut broadcasts: ResMut<Broadcasts>,
    mut shown: ResMut<SnapshotState>,
    visibility: Option<Res<Visibility>>,
    settings: Res<MatchSettings>,
    recorder: Option<Res<MatchRecorder>>,
) {
    let SnapshotState {
        snapshots, records, ..
    } = &mut *shown;
    let Broadcasts {
        views,
        next_key_tick,
        seen,
        recent,
    } = &mut *broadcasts;
    let Some(tick) = snapshots.tick() else { return };
    let is_wanted = recorder.is_some_and(|recorder| recorder.wants_key_snapshot());
    let form = if tick >= *next_key_tick || is_wanted {
        *next_key_tick = tick + KEY_FRAME_S * u32::from(settings.tick_rate_hz);
        Form::KeyFrame
    } else {
        Form::Delta
    };
    for (view, broadcast) in views {
        let visible = match (view, &visibility) {
            (View::Team(team), Some(visibility)) => {
                collect_team(seen, snapshots, visibility, *team);
                Seen::Only(seen)
            }
            (View::All, _) | (View::Team(_), None) => Seen::All,
        };
        broadcast.write(snapshots, records, visible, form, |frame, form| {
            recent.push(BroadcastFrame {
                view: *view,
                tick,
                form,
                frame: Bytes::copy_from_slice(frame),
            });
        });
    }
}

/// What the players of a team see together.
fn collect_team(
    seen: &mut Vec<(u32, Slot)>,
    snapshots: &SnapshotBuffer,
    visibility: &Visibility,
    team: u16,
) {
    seen.clear();
    for seat in owners_in(snapshots, team) {
        seen.extend_from_slice(visibility.of(seat));
    }
    seen.sort_unstable();
    seen.dedup();
}
