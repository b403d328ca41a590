//! `replay verify`: simulates matches again.

use std::path::{Path, PathBuf};
use std::time::Instant;

use gameserver_server::HostedGames;
use gameserver_server::replay::{Evidence, RerunError, Verdict, VerifyReport, verify};
use gameserver_stream::log::LogError;

use crate::commands::print;
use crate::error::{self, CliError, ReplayFinding};
use crate::games::Games;

/// Prints a line for each log, then fails with the worst finding.
pub(super) fn run(files: &[PathBuf], games: &Games) -> Result<(), CliError> {
    let games = games.hosted()?;
    let mut worst = None;
    let mut bad = 0_usize;
    for file in files {
        let (line, finding) = verify_file(file, &games);
        print(&format!("{}: {line}", file.display()));
        bad += usize::from(finding.is_some());
        worst = worst.max(finding);
    }
    match worst {
        None => Ok(()),
        Some(finding) => Err(CliError::Replay {
            bad,
            all: files.len(),
            finding,
        }),
    }
}

/// A sentence about the log, and the finding unless it is verified.
fn verify_file(file: &Path, games: &HostedGames) -> (String, Option<ReplayFinding>) {
    let bytes = match super::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return (error::explain(&error), Some(ReplayFinding::Unreadable)),
    };
    let began = Instant::now();
    match verify(&bytes, games) {
        Ok(report) => describe(&report, began.elapsed().as_secs_f64()),
        Err(error) => {
            let (line, finding) = explain(&error);
            (line, Some(finding))
        }
    }
}

fn describe(report: &VerifyReport, seconds: f64) -> (String, Option<ReplayFinding>) {
    let ticks = report.ticks_equal;
    let pace = f64::from(ticks) / seconds.max(1e-6);
    match report.verdict() {
        Verdict::Verified => (format!("verified, {ticks} ticks ({pace:.0} ticks/s)"), None),
        Verdict::VerifiedUpTo(tick) => (up_to(tick, report), Some(ReplayFinding::Damaged)),
        Verdict::Differs => (difference(report), Some(ReplayFinding::Differs)),
    }
}

fn up_to(tick: u32, report: &VerifyReport) -> String {
    let missing = report.missing.iter();
    let missing = missing.map(|(first, last)| format!("ticks {first} to {last} are missing"));
    let damages = report.damages.iter().map(ToString::to_string);
    let mut reasons: Vec<_> = missing.chain(damages).collect();
    let is_cut_only = reasons.is_empty() && report.losses == 0;
    if is_cut_only {
        return format!("verified up to tick {tick}, where the file ends without an end: {CUT}");
    }
    if report.evidence == Evidence::Unsealed {
        reasons.push(format!("there is no end: {CUT}"));
    }
    let later = report.ticks_equal.saturating_sub(tick);
    if later > 0 {
        reasons.push(format!("{later} later ticks came out as recorded, too"));
    }
    let reasons = if reasons.is_empty() {
        "ticks were not recorded".to_owned()
    } else {
        reasons.join("; ")
    };
    format!("verified up to tick {tick}, damaged after it: {reasons}")
}

const CUT: &str = "the match did not end, or the file was cut off";

fn difference(report: &VerifyReport) -> String {
    let ticks = report.ticks_equal;
    match &report.divergence {
        Some(found) => format!(
            "differs in tick {}: {} is {:08x}, recorded was {:08x}; {ticks} ticks were equal",
            found.tick, found.component, found.found, found.expected
        ),
        None => format!(
            "differs: the file was changed after the match, its checksum is another one; {ticks} \
             ticks were equal"
        ),
    }
}

fn explain(error: &RerunError) -> (String, ReplayFinding) {
    match error {
        RerunError::Log(LogError::NotALog) => {
            ("not a match log".to_owned(), ReplayFinding::NotALog)
        }
        RerunError::Log(LogError::NoHeader(kind)) => (
            format!("not a match log that can be read: its first block is damaged ({kind})"),
            ReplayFinding::NotALog,
        ),
        RerunError::Log(LogError::UnknownVersion(_))
        | RerunError::UnknownGame(_)
        | RerunError::OtherBuild(_) => (
            format!("not verifiable with this build: failed to {error}"),
            ReplayFinding::NotVerifiable,
        ),
        RerunError::Panicked(_)
        | RerunError::OutOfStep(_)
        | RerunError::Input { .. }
        | RerunError::KeyFrame(_) => (
            format!("differs: failed to {error}"),
            ReplayFinding::Differs,
        ),
    }
}

#[cfg(test)]
mod tests {
    use gameserver_server::replay::Divergence;

    use super::*;

    fn report() -> VerifyReport {
        VerifyReport {
            ticks_equal: 99,
            last_tick: 99,
            divergence: None,
            missing: Vec::new(),
            damages: Vec::new(),
            losses: 0,
            evidence: Evidence::Sealed,
        }
    }

    #[test]
    fn a_divergence_names_the_tick_and_what_differs() {
        let mut report = report();
        report.divergence = Some(Divergence {
            tick: 100,
            component: "Body".to_owned(),
            expected: 1,
            found: 2,
        });
        let (line, finding) = describe(&report, 1.0);
        assert_eq!(
            line,
            "differs in tick 100: Body is 00000002, recorded was 00000001; 99 ticks were equal"
        );
        assert_eq!(finding, Some(ReplayFinding::Differs));
    }

    #[test]
    fn each_outcome_has_a_sentence_and_a_finding_of_its_own() {
        let whole = report();
        assert_eq!(
            describe(&whole, 1.0),
            ("verified, 99 ticks (99 ticks/s)".to_owned(), None)
        );
        let mut changed = report();
        changed.evidence = Evidence::Broken;
        assert_eq!(describe(&changed, 1.0).1, Some(ReplayFinding::Differs));
        let mut cut = report();
        cut.evidence = Evidence::Unsealed;
        let (line, finding) = describe(&cut, 1.0);
        assert!(line.starts_with("verified up to tick 99, where"), "{line}");
        assert_eq!(finding, Some(ReplayFinding::Damaged));
        let mut torn = report();
        torn.evidence = Evidence::Broken;
        torn.missing = vec![(41, 60)];
        let (line, _) = describe(&torn, 1.0);
        assert_eq!(
            line,
            "verified up to tick 40, damaged after it: ticks 41 to 60 are missing; 59 later ticks \
             came out as recorded, too"
        );
        let mut gap = report();
        gap.losses = 1;
        let (line, _) = describe(&gap, 1.0);
        assert!(line.ends_with("ticks were not recorded"), "{line}");
    }
}
