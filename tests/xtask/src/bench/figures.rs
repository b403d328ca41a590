//! Figures of benches, as they are kept between two runs. It knows no bench.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io, thread};

use serde::{Deserialize, Serialize};

/// What was measured, by the names of the benches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Processor and cores that all of it was measured on.
    pub(crate) machine: String,
    /// Nanoseconds, the medians.
    pub(crate) times_ns: BTreeMap<String, Figure>,
    /// Instructions.
    pub(crate) instructions: BTreeMap<String, Figure>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The figure.
    pub(crate) value: f64,
    /// What was measured.
    pub(crate) commit: String,
}

/// What figures stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nanoseconds.
    Times,
    /// Instructions.
    Counts,
}

impl Figures {
    /// None so far, on this machine.
    pub(crate) fn here() -> Self {
        Self {
            machine: machine(),
            times_ns: BTreeMap::new(),
            instructions: BTreeMap::new(),
        }
    }

    /// Reads figures; none when there is no such file.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let figures = serde_json::from_str(&text).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(Some(figures))
    }

    /// Writes figures, and the folder that they belong into.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// Those of one kind.
    pub(crate) fn of(&self, kind: Kind) -> BTreeMap<String, f64> {
        let figures = match kind {
            Kind::Times => &self.times_ns,
            Kind::Counts => &self.instructions,
        };
        let values = figures.iter();
        values
            .map(|(name, figure)| (name.clone(), figure.value))
            .collect()
    }

    /// Takes new figures in; others stay as they were measured before.
    pub(crate) fn put(&mut self, kind: Kind, values: &BTreeMap<String, f64>, commit: &str) {
        let figures = match kind {
            Kind::Times => &mut self.times_ns,
            Kind::Counts => &mut self.instructions,
        };
        figures.extend(values.iter().map(|(name, value)| {
            let figure = Figure {
                value: *value,
                commit: commit.to_owned(),
            };
            (name.clone(), figure)
        }));
    }
}

/// Processor and cores.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (key, model) = line.split_once(':')?;
        (key.trim() == "model name").then(|| model.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| format!("{} {}", env::consts::OS, env::consts::ARCH));
    format!("{model}, {cores} cores")
}

/// The commit that is checked out, with a `+` when files differ from it.
pub(crate) fn commit(root: &Path) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(root).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changes = git(&["status", "--porcelain"]).unwrap_or_default();
    if changes.is_empty() {
        commit
    } else {
        commit + "+"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_a_few_benches_leaves_the_others_as_they_were() {
        let mut figures = Figures::here();
        let values = |rows: &[(&str, f64)]| {
            let rows = rows
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            rows.collect::<BTreeMap<_, _>>()
        };
        let both = values(&[("a", 1.0), ("b", 2.0)]);
        figures.put(Kind::Times, &both, "one");
        figures.put(Kind::Times, &values(&[("b", 3.0)]), "two");
        figures.put(Kind::Counts, &values(&[("a", 900.0)]), "two");
        assert_eq!(figures.of(Kind::Times), values(&[("a", 1.0), ("b", 3.0)]));
        assert_eq!(figures.of(Kind::Counts), values(&[("a", 900.0)]));
        let commits = ["a", "b"].map(|name| figures.times_ns[name].commit.as_str());
        assert_eq!(commits, ["one", "two"]);
        let written = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&written).unwrap(), figures);
    }

    #[test]
    fn a_file_that_is_not_there_is_no_error_and_one_that_is_broken_is_named() {
        let nowhere = Path::new("no/such/file.json");
        assert_eq!(Figures::read(nowhere).unwrap(), None);
        let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = Figures::read(&broken).unwrap_err().to_string();
        assert!(error.contains("Cargo.toml"), "{error}");
    }
}
