//! Runs benches with Criterion and reads the times that it writes down.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use super::list::Bench;
use super::{Length, Plan, words_for};
use crate::failure::Failure;
use crate::step::{Runner, Step};

/// Seconds and samples of a short run, in place of Criterion's 3 s, 5 s and 100.
const SHORT: [&str; 6] = [
    "--warm-up-time",
    "0.5",
    "--measurement-time",
    "1",
    "--sample-size",
    "10",
];

/// Measures and returns the medians in nanoseconds, by name.
pub(super) fn measure(
    runner: &Runner<'_>,
    plan: &Plan,
    benches: &[Bench],
) -> Result<BTreeMap<String, f64>, Failure> {
    let home = runner.root.join("target/bench/criterion");
    let repeat = plan.command_line();
    let fail = |error: io::Error| Failure::new("keep Criterion's files", error, &repeat);
    // What is found there afterwards is of this run.
    if home.exists() {
        fs::remove_dir_all(&home).map_err(fail)?;
    }
    let mut step = Step::new("measure", &[]);
    step.words = words_for(benches);
    step.words.extend(["--", "--noplot"].map(str::to_owned));
    if plan.length == Length::Short {
        step.words.extend(SHORT.map(str::to_owned));
    }
    step.words.extend(plan.name.as_deref().map(pattern));
    step.variables
        .push(("CRITERION_HOME", home.display().to_string()));
    step.repeat = Some(repeat.clone());
    runner.run(&step)?;
    read(&home).map_err(fail)
}

/// Criterion's filter is a regular expression.
fn pattern(name: &str) -> String {
    let letters = name.chars().flat_map(|letter| {
        let is_special = r"\.+*?()|[]{}^$#&-~".contains(letter);
        is_special.then_some('\\').into_iter().chain([letter])
    });
    let escaped: String = letters.collect();
    format!("(?i){escaped}")
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Everything that Criterion wrote into this folder.
fn read(home: &Path) -> io::Result<BTreeMap<String, f64>> {
    let mut times = BTreeMap::new();
    for entry in fs::read_dir(home)? {
        let folder = entry?.path().join("new");
        if !folder.is_dir() {
            continue;
        }
        let benchmark: Benchmark = read_json(&folder.join("benchmark.json"))?;
        let estimates: Estimates = read_json(&folder.join("estimates.json"))?;
        times.insert(benchmark.full_id, estimates.median.point_estimate);
    }
    Ok(times)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<T> {
    let named = |error: String| io::Error::other(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| named(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_as_it_is_written() {
        assert_eq!(pattern("capture + enc"), r"(?i)capture \+ enc");
        assert_eq!(pattern("1,000 × 32"), "(?i)1,000 × 32");
    }

    #[test]
    fn the_medians_that_criterion_writes_are_read_by_name() {
        let home = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let new = home.join("a bench/new");
        fs::create_dir_all(&new).unwrap();
        fs::create_dir_all(home.join("report")).unwrap();
        let id = r#"{"group_id":"a bench","full_id":"a bench, 1 µs","directory_name":"a bench"}"#;
        fs::write(new.join("benchmark.json"), id).unwrap();
        let estimate = |ns| format!(r#"{{"point_estimate":{ns},"standard_error":1.0}}"#);
        let (mean, median) = (estimate(2_000.0), estimate(1_000.5));
        let estimates = format!(r#"{{"mean":{mean},"median":{median},"slope":null}}"#);
        fs::write(new.join("estimates.json"), estimates).unwrap();
        let times = read(&home).unwrap();
        assert_eq!(
            times,
            BTreeMap::from([("a bench, 1 µs".to_owned(), 1_000.5)])
        );
        fs::remove_file(new.join("estimates.json")).unwrap();
        let error = read(&home).unwrap_err().to_string();
        assert!(error.contains("estimates.json"), "{error}");
        fs::remove_dir_all(&home).unwrap();
    }
}
