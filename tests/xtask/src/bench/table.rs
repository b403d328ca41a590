//! Figures as lines for people. It judges nothing but budgets.

use std::collections::BTreeMap;

use super::compare::{Origin, Row, Verdict};
use super::figures::{Figures, Kind};
use super::list::Bench;

/// One line for each bench that was measured.
pub(super) fn print(kind: Kind, benches: &[Bench], figures: &BTreeMap<String, f64>) {
    let head = match kind {
        Kind::Times => "time",
        Kind::Counts => "instructions",
    };
    println!("{:<50}{head:>14}  {:<30}budget", "bench", "each");
    for bench in benches {
        if let Some(figure) = figures.get(bench.name) {
            println!("{}", line(kind, bench, *figure));
        }
    }
}

fn line(kind: Kind, bench: &Bench, figure: f64) -> String {
    let shown = |figure| match kind {
        Kind::Times => time(figure),
        Kind::Counts => count(figure),
    };
    let each = bench.unit.map_or(String::new(), |(unit, of)| {
        format!("{} a {unit}", shown(figure / f64::from(of)))
    });
    let budget = bench.budget_ms.filter(|_| kind == Kind::Times);
    let budget = budget.map_or(String::new(), |budget_ms| {
        let word = if figure <= budget_ms * 1e6 {
            "holds"
        } else {
            "FAILS"
        };
        format!("{} {word}", time(budget_ms * 1e6))
    });
    let line = format!(
        "{:<50}{:>14}  {each:<30}{budget}",
        bench.name,
        shown(figure)
    );
    line.trim_end().to_owned()
}

/// Nanoseconds as three significant digits or so.
fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns >= 1e6 => (ns / 1e6, "ms"),
        ns if ns >= 1e3 => (ns / 1e3, "µs"),
        ns => (ns, "ns"),
    };
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// Thousands set apart.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Now divided by then.
pub(super) fn print_ratios(path: &str, then: &Figures, origin: Origin, rows: &[Row]) {
    println!("\nnow / {path} ({})", then.machine);
    match origin {
        Origin::SameMachine => {}
        Origin::OtherMachine => println!("  another machine: what counts is the second number"),
    }
    for row in rows {
        println!("{}", ratio_line(row));
    }
    if rows.is_empty() {
        println!("  nothing was measured on both sides");
    }
}

fn ratio_line(row: &Row) -> String {
    let judged = row
        .judged
        .filter(|judged| (judged - row.ratio).abs() > 1e-9);
    let judged = judged.map_or(String::new(), |judged| format!("{judged:.2}"));
    let word = match row.verdict {
        Verdict::Slower => "SLOWER",
        Verdict::Faster => "faster",
        Verdict::Alike => "",
    };
    let line = format!("{:<50}{:>8.2}{judged:>8}  {word}", row.name, row.ratio);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::list::named;
    use super::*;

    #[test]
    fn a_line_shows_the_time_of_one_unit_and_the_budget() {
        let bench = named(Some("arena tick"))[0];
        let words = |ns| {
            let line = line(Kind::Times, &bench, ns);
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            words(1_234_567.0),
            "arena tick, 1,000 players 1.23 ms 1.23 µs a player 2.00 ms holds"
        );
        assert!(words(2_000_001.0).ends_with("FAILS"));
        let counted = line(Kind::Counts, &bench, 12_345_678.0);
        assert!(
            counted.contains("12,345,678") && !counted.contains("ms"),
            "{counted}"
        );
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        let shown = [0.5, 12.34, 999.0, 1_500.0, 250_000.0, 16_600_000.0].map(time);
        let expected = [
            "0.50 ns", "12.3 ns", "999 ns", "1.50 µs", "250 µs", "16.6 ms",
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            [1.0, 999.0, 1_000.0, 1e6].map(count),
            ["1", "999", "1,000", "1,000,000"]
        );
    }
}
