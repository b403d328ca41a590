//! Verifies a log: simulates the match again and compares every tick. It does not know files.

use gameserver_stream::log::record::HASH_BYTES;
use gameserver_stream::log::{Damage, Footer, Item, LogReader, Record, TickRecord};
use sha2::{Digest as _, Sha256};

use super::rerun::{Rerun, RerunError, first_difference};
use crate::games::HostedGames;

/// What came of verifying a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Ticks that were simulated again and came out as recorded.
    pub ticks_equal: u32,
    /// The last of them; 0 when there is none.
    pub last_tick: u32,
    /// The first tick that came out otherwise. Nothing behind it was looked at.
    pub divergence: Option<Divergence>,
    /// Ticks that the log does not have, first and last of each stretch. Behind each stretch the
    /// simulation went on from the next key frame.
    pub missing: Vec<(u32, u32)>,
    /// Places of the file that cannot be read.
    pub damages: Vec<Damage>,
    /// Places where something was lost on the way through the file: damage, blocks that are not
    /// there, and ticks that were not recorded.
    pub losses: u32,
    /// Whether the log has its end, and whether that fits the rest.
    pub evidence: Evidence,
}

/// A tick that came out otherwise than recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The tick.
    pub tick: u32,
    /// The first kind of state that differs.
    pub component: String,
    /// Its hash in the log.
    pub expected: u32,
    /// Its hash now.
    pub found: u32,
}

/// What a log's end proves about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The footer's SHA-256 is that of the bytes before it.
    Sealed,
    /// It is another one: something was changed after the match.
    Broken,
    /// There is no footer: the match did not end, or the file is cut off.
    Unsealed,
}

/// What a log is worth as a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every tick of the match is there and came out as recorded, up to the end.
    Verified,
    /// Every tick up to this one came out as recorded; something behind it is missing or cannot be
    /// read. It need not have been changed on purpose.
    VerifiedUpTo(u32),
    /// A tick came out otherwise, or the file is whole and not what was recorded.
    Differs,
}

impl VerifyReport {
    /// What follows from it all.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let lacks_nothing = self.missing.is_empty() && self.damages.is_empty() && self.losses == 0;
        match self.evidence {
            _ if self.divergence.is_some() => Verdict::Differs,
            Evidence::Broken if lacks_nothing => Verdict::Differs,
            Evidence::Sealed if lacks_nothing => Verdict::Verified,
            Evidence::Sealed | Evidence::Broken | Evidence::Unsealed => {
                Verdict::VerifiedUpTo(self.whole_to_tick())
            }
        }
    }

    /// The last tick before the first that is missing.
    fn whole_to_tick(&self) -> u32 {
        let first_missing = self.missing.first().map(|(first, _)| *first);
        first_missing.map_or(self.last_tick, |first| first.saturating_sub(1))
    }
}

/// Simulates the whole match again.
///
/// # Errors
///
/// It cannot be simulated: see [`RerunError`].
pub fn verify(bytes: &[u8], games: &HostedGames) -> Result<VerifyReport, RerunError> {
    let reader = LogReader::open(bytes)?;
    verify_from(&reader, 0, games)
}

/// Simulates the match again from this block on: the first one, or one with a key frame.
///
/// # Errors
///
/// It cannot be simulated: see [`RerunError`].
pub fn verify_from(
    reader: &LogReader<'_>,
    block: usize,
    games: &HostedGames,
) -> Result<VerifyReport, RerunError> {
    let mut check = Check {
        reader,
        games,
        rerun: (block == 0)
            .then(|| Rerun::begin(reader.header(), games))
            .transpose()?,
        next_tick: (block == 0).then_some(1),
        report: VerifyReport {
            ticks_equal: 0,
            last_tick: 0,
            divergence: None,
            missing: Vec::new(),
            damages: reader.damages().to_vec(),
            losses: 0,
            evidence: Evidence::Unsealed,
        },
    };
    let mut playback = reader.play_from(block);
    while let Some(item) = playback.next_item() {
        check.apply(item)?;
        if check.report.divergence.is_some() {
            break;
        }
    }
    Ok(check.report)
}

struct Check<'a> {
    reader: &'a LogReader<'a>,
    games: &'a HostedGames,
    /// The match, while its state is known.
    rerun: Option<Rerun>,
    /// The tick that would follow on what was simulated; unknown before the first key frame.
    next_tick: Option<u32>,
    report: VerifyReport,
}

impl Check<'_> {
    fn apply(&mut self, item: Item<'_>) -> Result<(), RerunError> {
        match item {
            // The next key frame states everything again.
            Item::Damaged(_) | Item::Record(Record::Gap { .. }) => {
                self.rerun = None;
                self.report.losses += 1;
            }
            Item::Record(Record::Tick(tick)) => self.simulate(&tick)?,
            Item::Record(Record::KeyFrame { tick, state }) => self.restore(tick, state)?,
            Item::Record(Record::Footer(footer)) => self.compare_bytes(&footer),
            Item::Record(Record::Header(_) | Record::Snapshot { .. } | Record::Event { .. }) => {}
        }
        Ok(())
    }

    fn restore(&mut self, tick: u32, state: &[u8]) -> Result<(), RerunError> {
        let known = self.rerun.as_ref().map(Rerun::tick);
        if known == Some(tick) {
            return Ok(());
        }
        if let Some(next) = self.next_tick.filter(|next| *next <= tick) {
            self.report.missing.push((next, tick));
        }
        self.next_tick = tick.checked_add(1);
        let rerun = Rerun::resume(self.reader.header(), self.games, state)?;
        if rerun.tick() != tick {
            return Err(RerunError::OutOfStep(tick));
        }
        self.rerun = Some(rerun);
        Ok(())
    }

    fn simulate(&mut self, record: &TickRecord<'_>) -> Result<(), RerunError> {
        let Some(rerun) = &mut self.rerun else {
            return Ok(());
        };
        let found = rerun.step(record)?;
        if let Some(index) = first_difference(found, record.hashes) {
            let names = &self.reader.header().components;
            self.report.divergence = Some(Divergence {
                tick: record.tick,
                component: names.get(index).cloned().unwrap_or_default(),
                expected: recorded_hash(record.hashes, index),
                found: found.get(index).copied().unwrap_or_default(),
            });
            return Ok(());
        }
        self.report.ticks_equal += 1;
        self.report.last_tick = record.tick;
        self.next_tick = record.tick.checked_add(1);
        Ok(())
    }

    fn compare_bytes(&mut self, footer: &Footer) {
        let Some(last) = self.reader.blocks().last() else {
            return;
        };
        let before: [u8; 32] = Sha256::digest(self.reader.bytes_before(last)).into();
        self.report.evidence = if before == footer.sha256 {
            Evidence::Sealed
        } else {
            Evidence::Broken
        };
    }
}

fn recorded_hash(hashes: &[u8], index: usize) -> u32 {
    let hash = hashes.chunks_exact(HASH_BYTES).nth(index);
    hash.and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}
