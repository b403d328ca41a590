//! The report of `bots`: a row for each full client.

use comfy_table::{CellAlignment, Table, presets};
use gameserver_contract::session::SessionState;

use super::LoadReport;
use crate::bot::{BotEnd, BotStats};

impl LoadReport {
    /// One line while they play.
    #[must_use]
    pub fn progress_line(&self) -> String {
        let playing = self
            .bots
            .iter()
            .filter(|bot| bot.seconds > 0.0 && bot.end.is_none())
            .count();
        let figures = &self.figures;
        format!(
            "{:5.1} s  {playing}/{} playing  {:.1} ticks/s  {:.1} snapshots/s  {} kills  \
             {} disconnects",
            figures.seconds,
            figures.players,
            figures.ticks_per_s.unwrap_or_default(),
            figures.snapshots_per_s.unwrap_or_default(),
            figures.kills,
            figures.disconnects,
        )
    }

    /// A row for each full client, then a line for all of them.
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
        format!("{table}\n{}", self.session_line())
    }

    fn session_line(&self) -> String {
        let figures = &self.figures;
        let clients = figures.clients.clone().unwrap_or_default();
        let line = format!(
            "{} players, {:.1} s, {:.2} ticks/s, {} of {} compared ticks mispredicted, \
             {} disconnects, {} kills",
            figures.players,
            figures.seconds,
            figures.ticks_per_s.unwrap_or_default(),
            clients.mispredicted_ticks,
            clients.predicted_ticks,
            figures.disconnects,
            figures.kills,
        );
        let Some(session) = &figures.session else {
            return line;
        };
        let results = match (session.session_state, session.results) {
            (SessionState::Ended, 1) => "result stored once".to_owned(),
            (SessionState::Ended, count) => format!("result stored {count} times"),
            (state, _) => format!("session is {}", state.as_str()),
        };
        format!(
            "{line}, {} moved by the server, {} reconnects, {results}",
            session.moved_by_server_ticks, session.reconnects
        )
    }
}

fn row(bot: &BotStats) -> [String; 11] {
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
