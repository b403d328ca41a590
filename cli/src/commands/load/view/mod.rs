//! A run as a person sees it while it goes on: one screen, drawn anew every second. It draws what
//! it is given and knows no terminal.

mod rows;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gameserver_client_sim::load::{Phase, Progress};
use gameserver_client_sim::report::{GateResult, RunOutcome};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, Sparkline};

use rows::{Row, TREND_SECONDS, Tone, number, parts};

/// Columns for a figure's name, and for what it is.
const NAME_WIDTH: u16 = 14;
const TEXT_WIDTH: u16 = 42;
/// Columns that one gate needs.
const GATE_WIDTH: u16 = 60;
/// Lines that logs have at least, with one between them and the gates.
const LOG_HEIGHT_MIN: u16 = 3;
const HELP: &str = "Ctrl-C ends the run and writes the report; a second one ends it at once";

/// What is to be seen.
pub(super) struct Look<'a> {
    pub(super) standing: &'a Progress<'a>,
    /// What was logged, the oldest line first.
    pub(super) log: &'a [String],
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, look: &Look<'_>) {
    let rows = rows::rows(look.standing.report);
    let gates = &look.standing.report.gates;
    let [head, gauge, _, figures, _, rest, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::try_from(rows.len()).unwrap_or(u16::MAX)),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let log_height = if look.log.is_empty() {
        0
    } else {
        LOG_HEIGHT_MIN
    };
    let gates_height = gates_height(gates.len(), rest.width);
    let gates_height = gates_height.min(rest.height.saturating_sub(log_height));
    let [gates_area, log] =
        Layout::vertical([Constraint::Length(gates_height), Constraint::Fill(1)]).areas(rest);
    frame.render_widget(headline(look.standing), head);
    draw_progress(frame, gauge, look.standing);
    draw_rows(frame, figures, &rows);
    draw_gates(frame, gates_area, gates);
    draw_log(frame, log, look.log);
    frame.render_widget(Line::from(HELP).dim(), help);
}

fn headline<'a>(standing: &Progress<'a>) -> Line<'a> {
    let phase = match standing.phase {
        Phase::Ramp => "they come",
        Phase::Measuring => "it counts",
        Phase::Leaving => "they leave",
        Phase::Settling => "the server is watched",
    };
    let void = standing.report.verdict.state == RunOutcome::Void;
    let warning = if void { " · VOID: bots too slow" } else { "" };
    Line::from(vec![
        Span::from(standing.report.title.as_str()).bold(),
        Span::from(format!(" · {phase}")),
        Span::from(warning).style(Tone::Bad.style()),
    ])
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, standing: &Progress<'_>) {
    let (elapsed, whole) = (standing.elapsed, standing.whole);
    let share = elapsed.as_secs_f64() / whole.as_secs_f64().max(1e-3);
    let left = whole.saturating_sub(elapsed);
    let label = format!(
        "{} of {}, {} left",
        clock(elapsed),
        clock(whole),
        clock(left)
    );
    let gauge = LineGauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("━")
        .filled_style(Style::new().fg(Color::Cyan))
        .unfilled_style(Style::new().dim());
    frame.render_widget(gauge, area);
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round();
    format!("{}:{:02}", (seconds / 60.0).floor(), seconds % 60.0)
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, rows: &[Row]) {
    let lines = Layout::vertical(rows.iter().map(|_| Constraint::Length(1))).split(area);
    for (row, line) in rows.iter().zip(lines.iter()) {
        let [name, text, trend] = Layout::horizontal([
            Constraint::Length(NAME_WIDTH),
            Constraint::Length(TEXT_WIDTH),
            Constraint::Max(u16::try_from(TREND_SECONDS).unwrap_or(u16::MAX)),
        ])
        .spacing(1)
        .areas(*line);
        frame.render_widget(Line::from(row.name).dim(), name);
        frame.render_widget(Line::from(row.text.as_str()).style(row.tone.style()), text);
        if let Some(shown) = &row.trend {
            let columns = shown.columns(trend.width);
            let full = columns
                .iter()
                .flatten()
                .copied()
                .fold(parts(shown.full), u64::max);
            let line = Sparkline::default()
                .data(columns)
                .max(full)
                .style(row.tone.style());
            frame.render_widget(line, trend);
        }
    }
}

/// Gates stand side by side where there is room.
fn gate_columns(width: u16) -> usize {
    usize::from((width / GATE_WIDTH).max(1))
}

fn gates_height(gates: usize, width: u16) -> u16 {
    let rows = gates.div_ceil(gate_columns(width));
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// All of them in their order, or, when there is not enough room, those that fail before others.
fn draw_gates(frame: &mut Frame<'_>, area: Rect, gates: &[GateResult]) {
    let columns = gate_columns(area.width);
    let room = usize::from(area.height) * columns;
    let mut shown: Vec<&GateResult> = gates.iter().collect();
    if shown.len() > room {
        shown.sort_by_key(|gate| gate.passed);
    }
    let mut lines: Vec<Line<'_>> = shown
        .iter()
        .take(room)
        .map(|gate| gate_line(gate))
        .collect();
    if let (true, Some(last)) = (gates.len() > room, lines.last_mut()) {
        *last = Line::from(format!("… {} more gates", gates.len() + 1 - room)).dim();
    }
    let rows = lines.chunks(columns).zip(area.rows());
    for (row, area) in rows {
        let places = Layout::horizontal(vec![Constraint::Fill(1); columns]).split(area);
        for (line, place) in row.iter().zip(places.iter()) {
            frame.render_widget(line, *place);
        }
    }
}

fn gate_line(gate: &GateResult) -> Line<'_> {
    let (mark, tone) = match (gate.passed, gate.value) {
        (true, _) => ("holds", Tone::Good),
        (false, Some(_)) => ("FAILS", Tone::Bad),
        (false, None) => ("open ", Tone::Plain),
    };
    let measured = number(gate.value, "");
    Line::from(vec![
        Span::from(mark).style(tone.style()),
        Span::from(format!(
            " {:<24} {measured:>8}  limit {}",
            gate.name, gate.limit
        )),
    ])
}

/// The newest lines, at the bottom.
fn draw_log(frame: &mut Frame<'_>, area: Rect, log: &[String]) {
    let room = usize::from(area.height.saturating_sub(1));
    let newest = &log[log.len().saturating_sub(room)..];
    let lines: Vec<Line<'_>> = newest
        .iter()
        .map(|line| Line::from(line.as_str()))
        .collect();
    let [_, place] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(u16::try_from(lines.len()).unwrap_or(u16::MAX)),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(lines).dim(), place);
}
