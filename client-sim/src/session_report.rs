//! Computes the report of `bots`: full clients that play in one session.

use std::time::Duration;

use gameserver_contract::session::Session;

use crate::bot::{BotEnd, BotStats};
use crate::client_counts::{self, ClientCounts};
use crate::report::{Figures, LoadReport, SessionFigures};

/// Completes a report in which nothing has happened yet.
pub(crate) fn session_report(
    blank: &LoadReport,
    session: &Session,
    bots: Vec<BotStats>,
    lag: Duration,
    elapsed: Duration,
) -> LoadReport {
    let sum = |of: fn(&BotStats) -> u64| bots.iter().map(of).sum::<u64>();
    let mut counts = ClientCounts::default();
    for bot in &bots {
        counts += bot.into();
    }
    let disconnected = |bot: &BotStats| matches!(bot.end, Some(BotEnd::Disconnected(_)));
    let figures = Figures {
        players: blank.plan.players,
        matches: 1,
        seconds: elapsed.as_secs_f64(),
        ticks_per_s: Some(mean_rate(&bots, |bot| bot.ticks)),
        snapshots_per_s: Some(mean_rate(&bots, |bot| bot.snapshots)),
        connected: counts.connected,
        refused: counts.refused,
        disconnects: bots.iter().map(|bot| u64::from(disconnected(bot))).sum(),
        bytes_down_per_s_p95: Some(rate_p95(&bots, |bot| bot.bytes_in)),
        bytes_up_per_s_p95: Some(rate_p95(&bots, |bot| bot.bytes_out)),
        kills: sum(|bot| bot.tally.kills.into()),
        clients: Some(client_counts::figures(&counts, &counts).unwrap_or_default()),
        session: Some(SessionFigures {
            session: session.id,
            session_state: session.state,
            results: 0,
            reconnects: sum(|bot| bot.reconnects.into()),
            moved_by_server_ticks: sum(|bot| bot.prediction.moved_by_server_ticks),
            inputs_late: sum(|bot| bot.inputs_late.into()),
            own_lag_ms_max: lag.as_secs_f64() * 1e3,
        }),
        ..Figures::default()
    };
    LoadReport {
        figures,
        bots,
        ..blank.clone()
    }
}

fn rates(bots: &[BotStats], of: fn(&BotStats) -> u64) -> Vec<f64> {
    let playing = bots.iter().filter(|bot| bot.seconds > 0.0);
    playing.map(|bot| of(bot) as f64 / bot.seconds).collect()
}

fn mean_rate(bots: &[BotStats], of: fn(&BotStats) -> u64) -> f64 {
    let rates = rates(bots, of);
    rates.iter().sum::<f64>() / rates.len().max(1) as f64
}

fn rate_p95(bots: &[BotStats], of: fn(&BotStats) -> u64) -> f64 {
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
        let bot = |bytes_in| BotStats {
            bytes_in,
            seconds: 1.0,
            ..BotStats::default()
        };
        let bots: Vec<_> = (1..=100).map(bot).collect();
        assert!((rate_p95(&bots, |bot| bot.bytes_in) - 95.0).abs() < f64::EPSILON);
        assert!(rate_p95(&[], |bot| bot.bytes_in).abs() < f64::EPSILON);
    }
}
