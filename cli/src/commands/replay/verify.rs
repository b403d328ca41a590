//! `replay verify`: simulates matches again.

use std::path::{Path, PathBuf};
use std::time::Instant;

use gameserver_server::replay::{Evidence, RerunError, VerifyReport, verify};

use crate::commands::print;
use crate::error::CliError;
use crate::games;

/// Says a line for each log, then fails when one of them does not tell the truth.
pub(super) fn run(files: &[PathBuf]) -> Result<(), CliError> {
    let games = games::hosted()?;
    let mut untrue = 0_usize;
    for file in files {
        let bytes = super::read(file)?;
        let began = Instant::now();
        let verified = verify(&bytes, &games);
        let seconds = began.elapsed().as_secs_f64();
        let (line, is_true) = tell(file, verified, seconds);
        print(&line);
        untrue += usize::from(!is_true);
    }
    if untrue > 0 {
        let of = files.len();
        return Err(CliError::Diverged(format!(
            "{untrue} of {of} logs are not what this build simulates"
        )));
    }
    Ok(())
}

fn tell(file: &Path, verified: Result<VerifyReport, RerunError>, seconds: f64) -> (String, bool) {
    let file = file.display();
    let report = match verified {
        Ok(report) => report,
        Err(error) => return (format!("{file}: failed to {error}"), false),
    };
    let is_true = report.is_true();
    (format!("{file}: {}", describe(&report, seconds)), is_true)
}

fn describe(report: &VerifyReport, seconds: f64) -> String {
    let ticks = report.ticks_equal;
    let pace = f64::from(ticks) / seconds.max(1e-6);
    let outcome = match &report.divergence {
        None => format!("equal, {ticks} ticks ({pace:.0} ticks/s)"),
        Some(found) => format!(
            "DIFFERENT in tick {}: {} is {:08x}, recorded was {:08x}; {ticks} ticks were equal",
            found.tick, found.component, found.found, found.expected
        ),
    };
    let missing = report.missing.iter();
    let missing = missing.map(|(first, last)| format!("ticks {first} to {last} are missing"));
    let damages = report.damages.iter().map(ToString::to_string);
    let evidence = match report.evidence {
        Evidence::Sealed => Some("complete"),
        Evidence::Broken => Some("CHANGED after the match: the file's checksum is wrong"),
        Evidence::Unsealed if report.divergence.is_some() => None,
        Evidence::Unsealed => Some("without an end"),
    };
    let parts = std::iter::once(outcome).chain(missing).chain(damages);
    let parts = parts.chain(evidence.map(str::to_owned));
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use gameserver_server::replay::Divergence;

    use super::*;

    #[test]
    fn a_divergence_names_the_tick_and_what_differs() {
        let report = VerifyReport {
            ticks_equal: 99,
            last_tick: 99,
            divergence: Some(Divergence {
                tick: 100,
                component: "Body".to_owned(),
                expected: 1,
                found: 2,
            }),
            missing: Vec::new(),
            damages: Vec::new(),
            evidence: Evidence::Unsealed,
        };
        let line = describe(&report, 1.0);
        assert_eq!(
            line,
            "DIFFERENT in tick 100: Body is 00000002, recorded was 00000001; \
             99 ticks were equal"
        );
    }
}
