//! Figures of now against figures of then, as ratios: what became slower beyond noise. It knows
//! neither files nor benches.

use std::collections::BTreeMap;

/// Times that grew by more than this factor became slower; less is noise on a shared machine.
pub(crate) const SLOWER_MAX: f64 = 1.25;
/// Instructions hardly vary: this is more than what a hash map's seed changes.
pub(crate) const MORE_INSTRUCTIONS_MAX: f64 = 1.05;
/// With fewer benches in common, how fast another machine is as a whole cannot be told from what
/// became slower.
const COMMON_MIN: usize = 5;

/// Whose figures of then these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Of the same machine, or they do not depend on it.
    SameMachine,
    /// Of another machine: only what became slower than the rest counts.
    OtherMachine,
}

/// How one figure stands to the one of then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The bench.
    pub(crate) name: String,
    /// Now divided by then.
    pub(crate) ratio: f64,
    /// The same, with the other machine's speed taken out; none when that is not known.
    pub(crate) judged: Option<f64>,
    /// Whether that is too much.
    pub(crate) verdict: Verdict,
}

/// What a ratio says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More than the factor.
    Slower,
    /// Less than one divided by the factor.
    Faster,
    /// Neither, or unknown.
    Alike,
}

/// A row for each bench that has a figure on both sides. `factor` is what counts as slower.
pub(crate) fn compare(
    now: &BTreeMap<String, f64>,
    then: &BTreeMap<String, f64>,
    origin: Origin,
    factor: f64,
) -> Vec<Row> {
    let both = now.iter().filter_map(|(name, now)| {
        let then = then.get(name).filter(|then| **then > 0.0)?;
        Some((name.clone(), now / then))
    });
    let ratios: Vec<(String, f64)> = both.collect();
    let machine = match origin {
        Origin::SameMachine => Some(1.0),
        Origin::OtherMachine if ratios.len() >= COMMON_MIN => median(&ratios),
        Origin::OtherMachine => None,
    };
    let row = |(name, ratio): (String, f64)| {
        let judged = machine.map(|machine| ratio / machine);
        let verdict = match judged {
            Some(judged) if judged > factor => Verdict::Slower,
            Some(judged) if judged < factor.recip() => Verdict::Faster,
            Some(_) | None => Verdict::Alike,
        };
        Row {
            name,
            ratio,
            judged,
            verdict,
        }
    };
    ratios.into_iter().map(row).collect()
}

fn median(ratios: &[(String, f64)]) -> Option<f64> {
    let mut sorted: Vec<f64> = ratios.iter().map(|row| row.1).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len().is_multiple_of(2) {
        Some(f64::midpoint(upper, *sorted.get(middle - 1)?))
    } else {
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[f64]) -> BTreeMap<String, f64> {
        let named = values.iter().enumerate();
        named
            .map(|(index, value)| (format!("bench {index}"), *value))
            .collect()
    }

    fn verdicts(rows: &[Row]) -> Vec<Verdict> {
        rows.iter().map(|row| row.verdict).collect()
    }

    use Verdict::{Alike, Faster, Slower};

    #[test]
    fn what_grew_by_more_than_the_factor_became_slower() {
        let then = figures(&[100.0, 100.0, 100.0]);
        let now = figures(&[126.0, 124.0, 79.0]);
        let rows = compare(&now, &then, Origin::SameMachine, SLOWER_MAX);
        assert_eq!(verdicts(&rows), [Slower, Alike, Faster]);
        assert_eq!(rows[0].judged, Some(1.26));
    }

    #[test]
    fn a_bench_that_was_not_measured_on_both_sides_is_not_compared() {
        let then = figures(&[100.0, 0.0]);
        let now = figures(&[100.0, 900.0, 900.0]);
        let rows = compare(&now, &then, Origin::SameMachine, SLOWER_MAX);
        assert_eq!(rows.len(), 1);
        assert!(compare(&now, &figures(&[]), Origin::SameMachine, SLOWER_MAX).is_empty());
    }

    #[test]
    fn a_slower_machine_is_no_slower_code() {
        let then = figures(&[10.0, 20.0, 30.0, 40.0, 50.0]);
        let now = figures(&[30.0, 60.0, 90.0, 120.0, 300.0]);
        let rows = compare(&now, &then, Origin::OtherMachine, SLOWER_MAX);
        assert_eq!(verdicts(&rows), [Alike, Alike, Alike, Alike, Slower]);
        assert_eq!((rows[4].ratio, rows[4].judged), (6.0, Some(2.0)));
    }

    #[test]
    fn too_few_benches_tell_nothing_about_another_machine() {
        let (then, now) = (figures(&[10.0, 20.0]), figures(&[30.0, 90.0]));
        let rows = compare(&now, &then, Origin::OtherMachine, SLOWER_MAX);
        assert_eq!(verdicts(&rows), [Alike, Alike]);
        assert_eq!((rows[1].ratio, rows[1].judged), (4.5, None));
    }

    #[test]
    fn the_middle_of_an_even_number_of_ratios_lies_between_two() {
        let rows = figures(&[1.0, 2.0, 4.0, 8.0])
            .into_iter()
            .collect::<Vec<_>>();
        assert_eq!(median(&rows), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
