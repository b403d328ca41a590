//! Simulates one recorded match again, a tick at a time. It does not compare the outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bevy_app::App;
use gameserver_contract::ids::{GameId, Seat};
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::player::{PlayerJoined, seat_player, unseat_player};
use gameserver_shared::state::{self, StateError, StateHashes, StateRegistry};
use gameserver_stream::log::record::HASH_BYTES;
use gameserver_stream::log::{LogError, LogHeader, SeatChange, TickRecord};
use lightyear::prelude::LocalTimeline;

use crate::games::{HostedGame, HostedGames};
use crate::match_log::inputs::ReplayedInputs;

/// The first update of an App may pass without a tick, but no second one.
const UPDATES_PER_TICK_MAX: u32 = 2;

/// Why a match cannot be simulated again.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The file is no log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// This build does not have the game.
    #[error("simulate the game {0}, which this build does not have")]
    UnknownGame(GameId),
    /// This build would simulate it differently. The log can still be shown.
    #[error("simulate a match that was recorded with other {0}: not verifiable with this build")]
    OtherBuild(&'static str),
    /// The game's code panicked.
    #[error("simulate tick {0}: the game panicked")]
    Panicked(u32),
    /// The simulation did not advance by one tick.
    #[error("simulate tick {0}: the simulation stands at another one")]
    OutOfStep(u32),
    /// An input cannot be read, or nobody is there to follow it.
    #[error("follow the input of seat {seat} in tick {tick}")]
    Input {
        /// The tick.
        tick: u32,
        /// Whose input.
        seat: Seat,
    },
    /// A key frame cannot be restored.
    #[error("restore a key frame")]
    KeyFrame(#[from] StateError),
}

/// A match that is simulated again.
pub struct Rerun {
    app: App,
    tick: u32,
}

impl fmt::Debug for Rerun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rerun(tick {})", self.tick)
    }
}

impl Rerun {
    /// Builds the match as it was before its first tick.
    ///
    /// # Errors
    ///
    /// This build cannot simulate it as it was.
    pub fn begin(header: &LogHeader, games: &HostedGames) -> Result<Self, RerunError> {
        let game = games
            .get(&header.game)
            .ok_or_else(|| RerunError::UnknownGame(header.game.clone()))?;
        catch_panic(0, || build(header, game))?
    }

    /// Builds the match as it was at the end of the tick that a key frame was taken in.
    ///
    /// # Errors
    ///
    /// This build cannot simulate it, or the key frame makes no sense.
    pub fn resume(
        header: &LogHeader,
        games: &HostedGames,
        frame: &[u8],
    ) -> Result<Self, RerunError> {
        let mut rerun = Self::begin(header, games)?;
        catch_panic(0, || {
            // What an App does once at its start is part of the frame already.
            rerun.app.update();
            rerun.tick = state::restore(rerun.app.world_mut(), frame)?;
            Ok::<_, RerunError>(())
        })??;
        Ok(rerun)
    }

    /// The last tick that was simulated.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick
    }

    /// Simulates the next tick from what the log recorded as its input. Returns the hashes of
    /// its state, one for each of the header's components.
    ///
    /// # Errors
    ///
    /// Why it cannot be simulated. The match cannot be used after that.
    pub fn step(&mut self, record: &TickRecord<'_>) -> Result<&[u32], RerunError> {
        catch_panic(record.tick, || self.advance(record))??;
        Ok(&self.app.world().resource::<StateHashes>().values)
    }

    fn advance(&mut self, record: &TickRecord<'_>) -> Result<(), RerunError> {
        let tick = record.tick;
        if self.tick.checked_add(1) != Some(tick) {
            return Err(RerunError::OutOfStep(tick));
        }
        let world = self.app.world_mut();
        for change in &record.changes {
            match change.clone() {
                SeatChange::Joined {
                    seat,
                    player,
                    display_name,
                } => {
                    let joined = PlayerJoined {
                        seat,
                        player,
                        display_name,
                    };
                    seat_player(world, joined);
                }
                SeatChange::Left { seat, .. } => unseat_player(world, seat),
            }
        }
        let inputs = record.inputs.iter();
        world.resource_mut::<ReplayedInputs>().changed = inputs
            .map(|(seat, input)| (*seat, input.to_vec()))
            .collect();
        for _ in 0..UPDATES_PER_TICK_MAX {
            self.app.update();
            self.tick = self.app.world().resource::<LocalTimeline>().tick().0;
            if self.tick == tick {
                break;
            }
        }
        if self.tick != tick {
            return Err(RerunError::OutOfStep(tick));
        }
        let refused = self.app.world().resource::<ReplayedInputs>().refused;
        refused.map_or(Ok(()), |seat| Err(RerunError::Input { tick, seat }))
    }
}

fn build(header: &LogHeader, game: &HostedGame) -> Result<Rerun, RerunError> {
    if header.fingerprint != game.fingerprint {
        return Err(RerunError::OtherBuild("messages and components"));
    }
    let mut app = (game.build)(MatchSettings {
        mode: header.mode.clone(),
        players_min: header.players_min,
        players_max: header.players_max,
        tick_rate_hz: header.tick_rate_hz,
        seed: header.seed,
    });
    let world = app.world_mut();
    let registry = world.resource::<StateRegistry>();
    if registry.rules_hash() != header.rules_hash {
        return Err(RerunError::OtherBuild("rules"));
    }
    if !registry.hashed_names().eq(header.components.iter()) {
        return Err(RerunError::OtherBuild("state"));
    }
    world.init_resource::<StateHashes>();
    world.init_resource::<ReplayedInputs>();
    Ok(Rerun { app, tick: 0 })
}

fn catch_panic<T>(tick: u32, run: impl FnOnce() -> T) -> Result<T, RerunError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| RerunError::Panicked(tick))
}

/// The index of the first hash that differs from the recorded ones.
#[must_use]
pub fn first_difference(found: &[u32], recorded: &[u8]) -> Option<usize> {
    let recorded = recorded.chunks_exact(HASH_BYTES);
    if found.len() != recorded.len() {
        return Some(found.len().min(recorded.len()));
    }
    found
        .iter()
        .zip(recorded)
        .position(|(found, recorded)| found.to_be_bytes() != recorded)
}
