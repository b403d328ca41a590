//! What is in a log, counted.

use std::collections::{BTreeMap, BTreeSet};

use gameserver_contract::ids::{PlayerId, Seat};

use super::reader::{Item, LogReader};
use super::record::{Record, SeatChange, TickRecord};

/// Numbers of a whole log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSummary {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of its records.
    pub raw_bytes: u64,
    /// Blocks that can be read.
    pub blocks: u64,
    /// Ticks that can be read.
    pub ticks: u32,
    /// The last of them.
    pub last_tick: u32,
    /// Up to this tick nothing is missing.
    pub whole_to_tick: u32,
    /// Places where something is missing: damaged, or never recorded.
    pub losses: u32,
    /// Snapshots for spectators.
    pub snapshots: u32,
    /// Bytes of their frames.
    pub snapshot_bytes: u64,
    /// Events for spectators.
    pub events: u32,
    /// Key frames.
    pub key_frames: u32,
    /// Bytes of their states.
    pub key_frame_bytes: u64,
    /// Inputs that differed from the tick before.
    pub inputs: u64,
    /// Bytes of these inputs.
    pub input_bytes: u64,
    /// Everybody who ever sat in the match: the seat and the name.
    pub players: BTreeMap<PlayerId, (Seat, String)>,
    /// Ticks of all players together.
    pub player_ticks: u64,
    /// Whether the log has its footer.
    pub end: LogEnd,
}

/// Whether a log has its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogEnd {
    /// It has no footer: the match did not end, or the file is cut off.
    #[default]
    Open,
    /// It has its footer.
    Complete,
}

impl LogSummary {
    /// Reads a log to its end.
    #[must_use]
    pub fn of(reader: &LogReader<'_>) -> Self {
        let mut count = Count::default();
        let mut playback = reader.play();
        while let Some(item) = playback.next_item() {
            match item {
                Item::Record(record) => count.take(record),
                Item::Damaged(_) => count.lose(),
            }
        }
        let blocks = reader.blocks();
        let raw_bytes = |block: &super::BlockEntry| u64::from(block.header.raw_bytes);
        Self {
            bytes: reader.bytes().len() as u64,
            raw_bytes: blocks.iter().map(raw_bytes).sum(),
            blocks: blocks.len() as u64,
            whole_to_tick: count.whole_to.unwrap_or(count.summary.last_tick),
            ..count.summary
        }
    }

    /// Bytes of the file for each hour of each player; `None` when nobody played.
    #[must_use]
    pub fn bytes_per_player_hour(&self, tick_rate_hz: u16) -> Option<u64> {
        let ticks_an_hour = u64::from(tick_rate_hz) * 3_600;
        self.bytes
            .saturating_mul(ticks_an_hour)
            .checked_div(self.player_ticks)
    }
}

#[derive(Debug, Default)]
struct Count {
    summary: LogSummary,
    seated: BTreeSet<Seat>,
    /// The last tick before the first loss.
    whole_to: Option<u32>,
}

impl Count {
    fn take(&mut self, record: Record<'_>) {
        let summary = &mut self.summary;
        match record {
            Record::Header(_) => {}
            Record::Tick(tick) => self.take_tick(tick),
            Record::Snapshot { frame, .. } => {
                summary.snapshots += 1;
                summary.snapshot_bytes += frame.len() as u64;
            }
            Record::Event { .. } => summary.events += 1,
            Record::KeyFrame { state, .. } => {
                summary.key_frames += 1;
                summary.key_frame_bytes += state.len() as u64;
            }
            Record::Gap { .. } => self.lose(),
            Record::Footer(_) => summary.end = LogEnd::Complete,
        }
    }

    fn take_tick(&mut self, tick: TickRecord<'_>) {
        let follows = self.summary.last_tick.checked_add(1) == Some(tick.tick);
        if !follows && self.summary.ticks > 0 && self.whole_to.is_none() {
            self.whole_to = Some(self.summary.last_tick);
        }
        for change in tick.changes {
            match change {
                SeatChange::Joined {
                    seat,
                    player,
                    display_name,
                } => {
                    self.seated.insert(seat);
                    self.summary.players.insert(player, (seat, display_name));
                }
                SeatChange::Left { seat, .. } => {
                    self.seated.remove(&seat);
                }
            }
        }
        self.summary.ticks += 1;
        self.summary.last_tick = tick.tick;
        self.summary.player_ticks += self.seated.len() as u64;
        self.summary.inputs += tick.inputs.len() as u64;
        let input_bytes = tick.inputs.iter().map(|row| row.1.len() as u64);
        self.summary.input_bytes += input_bytes.sum::<u64>();
    }

    fn lose(&mut self) {
        self.summary.losses += 1;
        self.whole_to.get_or_insert(self.summary.last_tick);
    }
}
