//! Every bench: where it is, what one unit of its work is, and what it may cost. It does not know
//! how they are run.

/// One function that a bench measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench {
    /// Crate.
    pub(crate) package: &'static str,
    /// File in the crate's `benches/`, without its ending; used once in the workspace.
    pub(crate) target: &'static str,
    /// What Criterion calls it.
    pub(crate) name: &'static str,
    /// What its work consists of, and how many of these.
    pub(crate) unit: Option<(&'static str, u32)>,
    /// What it may take on one core, milliseconds.
    pub(crate) budget_ms: Option<f64>,
    /// Whether its instructions can be counted.
    pub(crate) counting: Counting,
}

/// Whether instructions can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    Possible,
    /// It plays a real match over the network first, which is too slow under valgrind.
    TooSlow,
}

/// In the order in which they are shown: what a tick does first.
pub(crate) const BENCHES: [Bench; 14] = [
    bench("game-arena", "tick", "arena tick, 1,000 players")
        .of("player", 1_000)
        .within_ms(2.0),
    bench(
        "gameserver-tests",
        "empty_match",
        "tick of a match without players, one of 32",
    )
    .within_ms(0.1),
    bench("game-arena", "sight", "interest query, 1,000 eyes").of("eye", 1_000),
    bench("game-arena", "input", "input decode, a frame of 3").of("input", 3),
    bench("gameserver-stream", "snapshot", "capture 1,000 entities").of("entity", 1_000),
    bench(
        "gameserver-stream",
        "snapshot",
        "capture + encode 1,000 × 1,000, 32 visible each",
    )
    .of("entity and client", 32_000)
    .within_ms(2.0),
    bench(
        "gameserver-stream",
        "snapshot",
        "capture + broadcast 1,000 entities",
    )
    .of("entity", 1_000),
    bench("gameserver-stream", "match_log", "match log append").of("player", 64),
    bench("gameserver-stream", "match_log", "match log compress").of("tick", 15),
    bench("gameserver-contract", "ticket", "ticket verify"),
    bench("gameserver-contract", "ticket", "ticket sign"),
    bench("gameserver-transport", "hello", "hello encode"),
    bench("gameserver-transport", "hello", "hello decode"),
    bench(
        "gameserver-tests",
        "rollback",
        "rollback of 8 ticks, 16 players",
    )
    .of("tick", 8)
    .uncounted(),
];

const fn bench(package: &'static str, target: &'static str, name: &'static str) -> Bench {
    Bench {
        package,
        target,
        name,
        unit: None,
        budget_ms: None,
        counting: Counting::Possible,
    }
}

impl Bench {
    const fn of(self, unit: &'static str, count: u32) -> Self {
        Self {
            unit: Some((unit, count)),
            ..self
        }
    }

    const fn within_ms(self, budget_ms: f64) -> Self {
        Self {
            budget_ms: Some(budget_ms),
            ..self
        }
    }

    const fn uncounted(self) -> Self {
        Self {
            counting: Counting::TooSlow,
            ..self
        }
    }
}

/// Those whose name contains the text, whatever its case; all of them without one.
pub(crate) fn named(part: Option<&str>) -> Vec<Bench> {
    let part = part.unwrap_or_default().to_lowercase();
    let matches = |bench: &Bench| bench.name.to_lowercase().contains(&part);
    BENCHES.into_iter().filter(matches).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use xtask::tree::{files_ending_in, repository_root};

    #[test]
    fn a_bench_is_found_by_a_part_of_its_name() {
        let names = |part| named(Some(part)).iter().map(|bench| bench.name).collect();
        let found: Vec<_> = names("HELLO");
        assert_eq!(found, ["hello encode", "hello decode"]);
        assert!(named(Some("nothing of the kind")).is_empty());
        assert_eq!(named(None).len(), BENCHES.len());
    }

    #[test]
    fn the_list_has_what_the_files_measure_and_nothing_else() {
        let root = repository_root().unwrap();
        let files = files_ending_in(&root, &[".rs"]).unwrap();
        let measured: BTreeMap<String, String> = files
            .into_iter()
            .filter(|file| file.text.contains("criterion_main!("))
            .filter(|file| file.path.contains("/benches/"))
            .map(|file| (file.path, file.text))
            .collect();
        let mut calls = 0;
        for (path, text) in &measured {
            let target = path.rsplit('/').next().unwrap().trim_end_matches(".rs");
            let crate_path = path.split("/benches/").next().unwrap();
            let manifest = fs::read_to_string(root.join(crate_path).join("Cargo.toml")).unwrap();
            calls += text.matches(".bench_function(").count();
            for bench in BENCHES.iter().filter(|bench| bench.target == target) {
                assert!(text.contains(&format!("\"{}\"", bench.name)), "{bench:?}");
                assert!(manifest.contains(&format!("name = \"{}\"", bench.package)));
            }
        }
        assert_eq!(calls, BENCHES.len(), "every measured function is listed");
        let targets: Vec<_> = measured.keys().collect();
        for bench in BENCHES {
            let file = format!("/benches/{}.rs", bench.target);
            let places = targets.iter().filter(|path| path.ends_with(&file));
            assert_eq!(places.count(), 1, "{bench:?} among {targets:?}");
        }
    }
}
