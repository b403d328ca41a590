//! `cargo xtask bench`: runs the benches, shows what they took beside what they may take, and
//! compares with what they took before.
//!
//! Reading order: `list`, `times`, `counts`, `figures`, `compare`, `table`.

mod compare;
mod counts;
mod figures;
mod list;
mod table;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use compare::{MORE_INSTRUCTIONS_MAX, Origin, SLOWER_MAX, Verdict};
use figures::{Figures, Kind};
use list::Bench;

use crate::failure::Failure;
use crate::step::Runner;

/// The figures of the last run without `--compare`.
const LAST: &str = "target/bench/last.json";
/// Figures that are committed, to compare with where there are no others.
const BASELINE: &str = "docs/bench-baseline.json";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A part of the names.
    name: Option<String>,
    length: Length,
    kind: Measure,
    then: Then,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Full,
    Short,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Measure {
    #[default]
    Times,
    Counts,
}

/// What to do with the figures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Then {
    #[default]
    Store,
    Compare,
}

impl Plan {
    /// Reads the words behind `bench`.
    pub(crate) fn read(words: &[&str]) -> Result<Self, Failure> {
        let mut plan = Self::default();
        for word in words {
            match *word {
                "--quick" => plan.length = Length::Short,
                "--counts" => plan.kind = Measure::Counts,
                "--compare" => plan.then = Then::Compare,
                name if plan.name.is_none() && !name.starts_with('-') => {
                    plan.name = Some(name.to_owned());
                }
                unknown => {
                    let why = format!("{unknown:?} is not understood");
                    return Err(Failure::new("read the arguments", why, "cargo xtask help"));
                }
            }
        }
        Ok(plan)
    }

    fn command_line(&self) -> String {
        let quick = (self.length == Length::Short).then_some("--quick");
        let counts = (self.kind == Measure::Counts).then_some("--counts");
        let compare = (self.then == Then::Compare).then_some("--compare");
        let name = self.name.as_ref().map(|name| format!("'{name}'"));
        let options = [quick, counts, compare].into_iter().flatten();
        let words = options.map(str::to_owned).chain(name);
        words.fold("cargo xtask bench".to_owned(), |line, word| {
            line + " " + &word
        })
    }

    fn kind(&self) -> Kind {
        match self.kind {
            Measure::Times => Kind::Times,
            Measure::Counts => Kind::Counts,
        }
    }
}

/// Runs the benches and shows, stores or compares their figures.
pub(crate) fn bench(runner: &Runner<'_>, plan: &Plan) -> Result<(), Failure> {
    let benches = list::named(plan.name.as_deref());
    if benches.is_empty() {
        let names = list::named(None);
        let names: Vec<_> = names.iter().map(|bench| bench.name).collect();
        let why = format!("no bench is called so; there are: {}", names.join("; "));
        return Err(Failure::new("find the bench", why, "cargo xtask bench"));
    }
    // Before minutes of building.
    let before = match plan.then {
        Then::Store => Vec::new(),
        Then::Compare => figures_of_then(runner, plan)?,
    };
    let figures = match plan.kind {
        Measure::Times => times::measure(runner, plan, &benches)?,
        Measure::Counts => counts::count(runner, plan, &benches)?,
    };
    table::print(plan.kind(), &benches, &figures);
    match plan.then {
        Then::Store => store(runner, plan, &figures),
        Then::Compare => judge(plan, &figures, &before),
    }
}

/// Figures to compare with, and what to call them.
type Before = Vec<(&'static str, Figures)>;

fn figures_of_then(runner: &Runner<'_>, plan: &Plan) -> Result<Before, Failure> {
    let mut before = Vec::new();
    for path in [LAST, BASELINE] {
        let figures = Figures::read(&runner.root.join(path))
            .map_err(|error| Failure::new("read earlier figures", error, &plan.command_line()))?;
        before.extend(figures.map(|figures| (path, figures)));
    }
    if before
        .iter()
        .all(|(_, then)| then.of(plan.kind()).is_empty())
    {
        let why = format!("there is nothing to compare with in {LAST} or {BASELINE}");
        let stores = Plan {
            then: Then::Store,
            name: plan.name.clone(),
            ..*plan
        };
        let repeat = stores.command_line();
        return Err(Failure::new("compare", why, &repeat));
    }
    Ok(before)
}

/// Keeps the figures of other benches, unless they are of another machine.
fn store(runner: &Runner<'_>, plan: &Plan, figures: &BTreeMap<String, f64>) -> Result<(), Failure> {
    let path: PathBuf = runner.root.join(LAST);
    let fail = |error| Failure::new("store the figures", error, &plan.command_line());
    let here = Figures::here();
    let known = Figures::read(&path).map_err(fail)?;
    let known = known.filter(|known| known.machine == here.machine);
    let mut all = known.unwrap_or(here);
    let commit = figures::commit(runner.root);
    all.put(plan.kind(), figures, &commit);
    all.write(&path).map_err(fail)?;
    println!("{}, commit {commit}: stored in {LAST}", all.machine);
    Ok(())
}

fn judge(
    plan: &Plan,
    now: &BTreeMap<String, f64>,
    before: &[(&str, Figures)],
) -> Result<(), Failure> {
    let machine = Figures::here().machine;
    let factor = match plan.kind {
        Measure::Times => SLOWER_MAX,
        Measure::Counts => MORE_INSTRUCTIONS_MAX,
    };
    let mut slower = Vec::new();
    for (path, then) in before {
        let is_comparable = plan.kind == Measure::Counts || then.machine == machine;
        let origin = if is_comparable {
            Origin::SameMachine
        } else {
            Origin::OtherMachine
        };
        let rows = compare::compare(now, &then.of(plan.kind()), origin, factor);
        table::print_ratios(path, then, origin, &rows);
        let found = rows.iter().filter(|row| row.verdict == Verdict::Slower);
        slower.extend(found.map(|row| format!("{} against {path}", row.name)));
    }
    if slower.is_empty() {
        return Ok(());
    }
    let why = format!("more than {factor} times: {}", slower.join("; "));
    Err(Failure::new(
        "stay as fast as before",
        why,
        &plan.command_line(),
    ))
}

/// The command that builds and runs these benches, without what they are told.
fn words_for(benches: &[Bench]) -> Vec<String> {
    let packages: BTreeSet<_> = benches.iter().map(|bench| bench.package).collect();
    let targets: BTreeSet<_> = benches.iter().map(|bench| bench.target).collect();
    let packages = packages
        .into_iter()
        .flat_map(|package| ["--package", package]);
    let targets = targets.into_iter().flat_map(|target| ["--bench", target]);
    let words = ["cargo", "bench", "--locked"].into_iter();
    words
        .chain(packages)
        .chain(targets)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_in_any_order_and_can_be_repeated() {
        let plan = Plan::read(&["--compare", "match log", "--quick"]).unwrap();
        assert_eq!(plan.name.as_deref(), Some("match log"));
        assert_eq!(
            (plan.length, plan.kind, plan.then),
            (Length::Short, Measure::Times, Then::Compare)
        );
        let line = "cargo xtask bench --quick --compare 'match log'";
        assert_eq!(plan.command_line(), line);
        assert!(Plan::read(&["--fast"]).is_err());
        assert!(Plan::read(&["tick", "sight"]).is_err(), "one name");
    }

    #[test]
    fn benches_of_one_crate_are_built_together() {
        let words = words_for(&list::named(Some("hello")));
        let line = "cargo bench --locked --package gameserver-transport --bench hello";
        assert_eq!(words.join(" "), line);
    }

    #[test]
    fn what_became_slower_fails_and_is_named() {
        let now = |ns: f64| BTreeMap::from([("hello encode".to_owned(), ns)]);
        let then = |ns: f64| {
            let mut figures = Figures::here();
            figures.put(Kind::Times, &now(ns), "then");
            vec![(LAST, figures)]
        };
        let plan = Plan::read(&["--compare"]).unwrap();
        assert!(judge(&plan, &now(120.0), &then(100.0)).is_ok());
        let failure = judge(&plan, &now(130.0), &then(100.0)).unwrap_err();
        assert!(failure.to_string().contains("hello encode"), "{failure}");
    }
}
