//! What the bots saw, as a table for people and as JSON for programs.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::{Session, SessionState};
use serde::Serialize;

use crate::bot::{BotEnd, BotSnapshot};
use crate::bots::wait_for_end;
use crate::lobby::{LobbyError, LoggedIn};

/// The bots' numbers; the top-level names are part of the contract with scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The session played in.
    pub session: SessionId,
    /// Bots.
    pub players: usize,
    /// Matches played in.
    pub matches: usize,
    /// Seconds played.
    pub seconds: f64,
    /// The bots' own simulation rate, the mean over all.
    pub ticks_per_s: f64,
    /// State updates received a second, the mean over all.
    pub snapshots_per_s: f64,
    /// Connections that ended otherwise than by the end of the match or of the time.
    pub disconnects: usize,
    /// Connections that were replaced, by another transport or by a new one of the same.
    pub reconnects: u64,
    /// Payload bytes received a second by the bot that received most but 5 %.
    pub bytes_down_per_s_p95: f64,
    /// Payload bytes sent a second, likewise.
    pub bytes_up_per_s_p95: f64,
    /// Ticks whose prediction was compared with the server's state.
    pub predicted_ticks: u64,
    /// Of these, wrong ones.
    pub mispredicted_ticks: u64,
    /// Ticks in which the server's rules moved a player; not in the two numbers above.
    pub moved_by_server_ticks: u64,
    /// Ticks that the server simulated without a bot's input.
    pub inputs_late: u64,
    /// Rollbacks a minute, the mean over all bots.
    pub rollbacks_per_min: f64,
    /// Ticks that a rollback repeats, the mean.
    pub rollback_depth_mean: f64,
    /// Longest time that a frame of the bots began too late.
    pub own_lag_ms_max: f64,
    /// Opponents defeated, by all.
    pub kills: u64,
    /// Results stored for this session: 1 when the match was played to its end.
    pub results: usize,
    /// The session's state afterwards.
    pub session_state: SessionState,
    #[serde(skip)]
    bots: Vec<BotSnapshot>,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub(crate) fn of(
        session: &Session,
        bots: Vec<BotSnapshot>,
        lag: Duration,
        elapsed: Duration,
    ) -> Self {
        let sum = |of: fn(&BotSnapshot) -> u64| bots.iter().map(of).sum::<u64>();
        let minutes = bots.iter().map(|bot| bot.seconds).sum::<f64>() / 60.0;
        let (rollbacks, repeated) = (
            sum(|bot| bot.rollbacks.into()),
            sum(|bot| bot.rollback_ticks.into()),
        );
        let is_disconnect = |bot: &&BotSnapshot| matches!(bot.end, Some(BotEnd::Disconnected(_)));
        Self {
            session: session.id,
            players: bots.len(),
            matches: 1,
            seconds: elapsed.as_secs_f64(),
            ticks_per_s: mean_rate(&bots, |bot| bot.ticks),
            snapshots_per_s: mean_rate(&bots, |bot| bot.snapshots),
            disconnects: bots.iter().filter(is_disconnect).count(),
            reconnects: sum(|bot| bot.reconnects.into()),
            bytes_down_per_s_p95: rate_p95(&bots, |bot| bot.bytes_in),
            bytes_up_per_s_p95: rate_p95(&bots, |bot| bot.bytes_out),
            predicted_ticks: sum(|bot| bot.prediction.predicted_ticks),
            mispredicted_ticks: sum(|bot| bot.prediction.mispredicted_ticks),
            moved_by_server_ticks: sum(|bot| bot.prediction.moved_by_server_ticks),
            inputs_late: sum(|bot| bot.inputs_late.into()),
            rollbacks_per_min: ratio(rollbacks as f64, minutes),
            rollback_depth_mean: ratio(repeated as f64, rollbacks as f64),
            own_lag_ms_max: lag.as_secs_f64() * 1e3,
            kills: sum(|bot| bot.tally.kills.into()),
            results: 0,
            session_state: session.state,
            bots,
        }
    }

    /// Asks the API what became of the match.
    pub(crate) async fn look_up_results(
        &mut self,
        host: &LoggedIn,
        players: &[LoggedIn],
        session: SessionId,
    ) -> Result<(), LobbyError> {
        self.session_state = wait_for_end(host, session).await?;
        let mut of_host = 0;
        if let Some(first) = players.first() {
            let records = host.matches(first.player).await?;
            of_host = records
                .iter()
                .filter(|record| record.session_id == session)
                .count();
        }
        self.results = of_host;
        Ok(())
    }

    /// Each bot's numbers.
    #[must_use]
    pub fn bots(&self) -> &[BotSnapshot] {
        &self.bots
    }

    /// One line while they play.
    #[must_use]
    pub fn progress_line(&self) -> String {
        let playing = self
            .bots
            .iter()
            .filter(|bot| bot.seconds > 0.0 && bot.end.is_none())
            .count();
        format!(
            "{:5.1} s  {playing}/{} playing  {:.1} ticks/s  {:.1} snapshots/s  {} kills  {} disconnects",
            self.seconds,
            self.players,
            self.ticks_per_s,
            self.snapshots_per_s,
            self.kills,
            self.disconnects,
        )
    }

    /// A row a bot, and what they add up to.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
            "bot",
            "transport",
            "RTT ms",
            "snapshots/s",
            "late inputs",
            "rollbacks/min",
            "mispredicted",
            "moved by server",
            "kills",
            "score",
            "end",
        ]);
        for bot in &self.bots {
            table.add_row(row(bot));
        }
        for column in table.column_iter_mut().skip(2).take(8) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n{}", self.summary())
    }

    fn summary(&self) -> String {
        let results = match (self.session_state, self.results) {
            (SessionState::Ended, 1) => "result stored once".to_owned(),
            (SessionState::Ended, count) => format!("result stored {count} times"),
            (state, _) => format!("session is {}", state.as_str()),
        };
        format!(
            "{} players, {:.1} s, {:.2} ticks/s, {} of {} compared ticks mispredicted, \
             {} moved by the server, {} disconnects, {} reconnects, {} kills, {results}",
            self.players,
            self.seconds,
            self.ticks_per_s,
            self.mispredicted_ticks,
            self.predicted_ticks,
            self.moved_by_server_ticks,
            self.disconnects,
            self.reconnects,
            self.kills,
        )
    }
}

fn row(bot: &BotSnapshot) -> [String; 11] {
    let prediction = bot.prediction;
    [
        bot.name.clone(),
        bot.transport
            .map_or_else(|| "-".to_owned(), |kind| kind.to_string()),
        bot.rtt.map_or_else(
            || "-".to_owned(),
            |rtt| format!("{:.1}", rtt.as_secs_f64() * 1e3),
        ),
        format!("{:.1}", ratio(bot.snapshots as f64, bot.seconds)),
        bot.inputs_late.to_string(),
        format!("{:.1}", ratio(f64::from(bot.rollbacks) * 60.0, bot.seconds)),
        format!(
            "{} of {}",
            prediction.mispredicted_ticks, prediction.predicted_ticks
        ),
        prediction.moved_by_server_ticks.to_string(),
        bot.tally.kills.to_string(),
        bot.tally.score.to_string(),
        match &bot.end {
            None => "playing".to_owned(),
            Some(BotEnd::MatchOver) => "match over".to_owned(),
            Some(BotEnd::TimeUp) => "time up".to_owned(),
            Some(BotEnd::Disconnected(why)) => why.clone(),
        },
    ]
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn rates(bots: &[BotSnapshot], of: fn(&BotSnapshot) -> u64) -> Vec<f64> {
    let playing = bots.iter().filter(|bot| bot.seconds > 0.0);
    playing.map(|bot| of(bot) as f64 / bot.seconds).collect()
}

fn mean_rate(bots: &[BotSnapshot], of: fn(&BotSnapshot) -> u64) -> f64 {
    let rates = rates(bots, of);
    ratio(rates.iter().sum(), rates.len() as f64)
}

fn rate_p95(bots: &[BotSnapshot], of: fn(&BotSnapshot) -> u64) -> f64 {
    let mut rates = rates(bots, of);
    rates.sort_by(f64::total_cmp);
    // The smallest value that 95 % do not exceed (nearest rank).
    let rank = (rates.len() * 95).div_ceil(100);
    rank.checked_sub(1)
        .and_then(|index| rates.get(index))
        .copied()
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        let bot = |bytes_in| BotSnapshot {
            bytes_in,
            seconds: 1.0,
            ..BotSnapshot::default()
        };
        let bots: Vec<_> = (1..=100).map(bot).collect();
        assert!((rate_p95(&bots, |bot| bot.bytes_in) - 95.0).abs() < f64::EPSILON);
        assert!(rate_p95(&[], |bot| bot.bytes_in).abs() < f64::EPSILON);
    }
}
