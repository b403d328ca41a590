//! Counts the instructions of one round of each bench with valgrind's callgrind: these hardly vary,
//! also where times are noise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::list::{Bench, Counting};
use super::{Plan, words_for};
use crate::failure::Failure;
use crate::step::{self, Runner, Step};

/// Whose instructions count: benches put what they measure into functions that are named so.
const COUNTED: &str = "*::measured*";

/// Counts, by name.
pub(super) fn count(
    runner: &Runner<'_>,
    plan: &Plan,
    benches: &[Bench],
) -> Result<BTreeMap<String, f64>, Failure> {
    let repeat = plan.command_line();
    if !is_installed() {
        let why = "instructions are counted by valgrind, which is not installed; \
                   on Debian: apt-get install valgrind";
        return Err(Failure::new("count instructions", why, &repeat));
    }
    let (possible, too_slow): (Vec<Bench>, Vec<Bench>) = benches
        .iter()
        .copied()
        .partition(|bench| bench.counting == Counting::Possible);
    for bench in too_slow {
        println!("  {}: not counted, too slow under valgrind", bench.name);
    }
    if possible.is_empty() {
        let why = "none of these benches can be counted";
        return Err(Failure::new("count instructions", why, &repeat));
    }
    let programs = build(runner, &repeat, &possible)?;
    let mut counts = BTreeMap::new();
    for bench in possible {
        let program = programs.get(bench.target).ok_or_else(|| {
            let why = format!("Cargo built no bench {}", bench.target);
            Failure::new("build the benches", why, &repeat)
        })?;
        let count = count_one(runner, &repeat, bench, program)?;
        counts.insert(bench.name.to_owned(), count);
    }
    Ok(counts)
}

fn is_installed() -> bool {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Builds the benches and returns their programs by target.
fn build(
    runner: &Runner<'_>,
    repeat: &str,
    benches: &[Bench],
) -> Result<BTreeMap<String, String>, Failure> {
    let fail = |reason: String| Failure::new("build the benches", reason, repeat);
    let mut words = words_for(benches);
    words.extend(["--no-run", "--message-format=json-render-diagnostics"].map(str::to_owned));
    println!("$ {}", words.join(" "));
    let output = step::command(&words)
        .current_dir(runner.root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        return Err(fail(output.status.to_string()));
    }
    Ok(programs(&String::from_utf8_lossy(&output.stdout)))
}

/// The programs that Cargo's messages tell of, by target.
fn programs(messages: &str) -> BTreeMap<String, String> {
    let messages = messages.lines().map(serde_json::from_str::<Value>);
    let programs = messages.filter_map(|message| {
        let message = message.ok()?;
        let target = &message["target"];
        let is_bench = target["kind"]
            .as_array()?
            .iter()
            .any(|kind| kind == "bench");
        let program = message["executable"].as_str()?;
        is_bench.then(|| Some((target["name"].as_str()?.to_owned(), program.to_owned())))?
    });
    programs.collect()
}

fn count_one(
    runner: &Runner<'_>,
    repeat: &str,
    bench: Bench,
    program: &str,
) -> Result<f64, Failure> {
    let out = runner.root.join("target/bench/callgrind.out");
    let fail = |reason: String| Failure::new("count instructions", reason, repeat);
    let folder = out.parent().unwrap_or(runner.root);
    fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
    let file = format!("--callgrind-out-file={}", out.display());
    let collect = format!("--toggle-collect={COUNTED}");
    // In Criterion's test mode every function is called once.
    let words = ["valgrind", "--quiet", "--tool=callgrind", &file, &collect];
    let words = [&words[..], &[program, "--test", "--exact", bench.name]].concat();
    let mut step = Step::new("count", &words);
    step.repeat = Some(repeat.to_owned());
    runner.run(&step)?;
    let total = total(&out).map_err(fail)?;
    if total > 0.0 {
        Ok(total)
    } else {
        let why = format!("no function of {} is called {COUNTED}", bench.target);
        Err(fail(why))
    }
}

fn total(out: &Path) -> Result<f64, String> {
    let named = |why: &str| format!("{}: {why}", out.display());
    let text = fs::read_to_string(out).map_err(|error| named(&error.to_string()))?;
    total_in(&text).ok_or_else(|| named("callgrind wrote no total"))
}

/// The line `totals: 12345` at the end, or `summary: 12345`.
fn total_in(text: &str) -> Option<f64> {
    let totals = text.lines().rev().find_map(|line| {
        let rest = line.strip_prefix("totals:");
        rest.or_else(|| line.strip_prefix("summary:"))
    });
    totals?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_cargos_messages() {
        let messages = r#"{"target":{"kind":["lib"],"name":"a"},"executable":null}
not JSON
{"target":{"kind":["bench"],"name":"tick"},"executable":"/x/tick-1"}
{"target":{"kind":["bin"],"name":"tool"},"executable":"/x/tool"}
{"reason":"build-finished","success":true}"#;
        let expected = BTreeMap::from([("tick".to_owned(), "/x/tick-1".to_owned())]);
        assert_eq!(programs(messages), expected);
    }

    #[test]
    fn the_total_of_callgrind_is_read() {
        let text = "version: 1\nevents: Ir\nsummary: 12\nfn=(1) a\n3 5\n\ntotals: 34567\n";
        assert_eq!(total_in(text), Some(34_567.0));
        assert_eq!(total_in("events: Ir\nsummary: 12\n"), Some(12.0));
        assert_eq!(total_in("events: Ir\n"), None);
    }
}
