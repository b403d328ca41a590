//! What bots count while they play: each thread reports a window every second, and the run adds the
//! windows up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bot_rates::BotRates;
use super::duration_histogram::DurationHistogram;
use super::latency_probe::LatencyProbe;
use crate::client_counts::ClientCounts;

/// What happened in one second, or in many.
#[derive(Debug, Clone, Default)]
pub(super) struct StatsWindow {
    /// Bots that play at its end.
    pub(super) playing: usize,
    /// Those who watch.
    pub(super) watching: usize,
    /// Snapshots taken in.
    pub(super) snapshots: u64,
    /// Inputs sent.
    pub(super) inputs: u64,
    /// From sending a tick's input to having the state of that tick.
    pub(super) answered: DurationHistogram,
    /// How late the bots' own work began.
    pub(super) lag: DurationHistogram,
    /// How long tasks of the bots' network waited for their turn.
    pub(super) network_lag: DurationHistogram,
    /// Round trips, one of each bot.
    pub(super) rtt: DurationHistogram,
    /// Payload bytes received.
    pub(super) bytes_in: u64,
    /// Payload bytes sent.
    pub(super) bytes_out: u64,
    /// Snapshots of each bot that played all the time.
    pub(super) snapshots_by_bot: Vec<u32>,
    /// What each bot has had of the time that counts so far.
    pub(super) rates: BotRates,
    /// Opponents defeated so far.
    pub(super) kills: u64,
    /// Bots that left because they were asked to.
    pub(super) leaves: u64,
    /// What canaries counted.
    pub(super) clients: ClientCounts,
    /// How bots ended, and how many so.
    pub(super) ends: BTreeMap<String, u64>,
}

impl StatsWindow {
    /// The windows of all threads of one second, added up.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut window = Self::default();
        parts.for_each(|part| window.add_beside(part));
        window
    }

    /// Adds another thread's window of the same second.
    pub(super) fn add_beside(&mut self, other: &Self) {
        self.playing += other.playing;
        self.watching += other.watching;
        self.kills += other.kills;
        self.rates.add(&other.rates);
        self.snapshots_by_bot
            .extend_from_slice(&other.snapshots_by_bot);
        self.add_counts(other);
    }

    /// Adds the next second. Counts of single bots stay with their windows, and running totals
    /// replace the earlier ones.
    pub(super) fn add_after(&mut self, next: &Self) {
        (self.playing, self.watching) = (next.playing, next.watching);
        self.kills = next.kills;
        self.rates.clone_from(&next.rates);
        self.add_counts(next);
    }

    fn add_counts(&mut self, other: &Self) {
        self.snapshots += other.snapshots;
        self.inputs += other.inputs;
        self.leaves += other.leaves;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.answered.add(&other.answered);
        self.lag.add(&other.lag);
        self.network_lag.add(&other.network_lag);
        self.rtt.add(&other.rtt);
        self.clients += other.clients;
        for (why, count) in &other.ends {
            *self.ends.entry(why.clone()).or_default() += count;
        }
    }
}

impl LatencyProbe for StatsWindow {
    fn snapshot_received(&mut self) {
        self.snapshots += 1;
    }

    fn input_answered(&mut self, after: Duration) {
        self.answered.record(after);
    }

    fn input_sent(&mut self) {
        self.inputs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_one_second_add_up_and_later_ones_replace_who_plays() {
        let window = |playing| StatsWindow {
            playing,
            snapshots: 10,
            ends: [("time up".to_owned(), 1)].into(),
            ..StatsWindow::default()
        };
        let mut second = window(3);
        second.add_beside(&window(4));
        assert_eq!((second.playing, second.snapshots), (7, 20));
        let mut run = second.clone();
        run.add_after(&window(5));
        assert_eq!(
            (run.playing, run.snapshots, run.ends["time up"]),
            (5, 30, 3)
        );
    }
}
