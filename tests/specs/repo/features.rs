//! `docs/features.toml` tells the truth: a feature is done only when a test that exists proves it.

use std::collections::BTreeSet;

use toml::{Table, Value};
use xtask::functions::Outline;

use super::{assert_kept, read, root};

const LIST: &str = "docs/features.toml";

/// One row of the list.
struct Feature {
    id: String,
    title: String,
    status: String,
    tests: Vec<String>,
}

fn features() -> Vec<Feature> {
    let list: Table = read(LIST)
        .parse()
        .expect("docs/features.toml is valid TOML");
    let rows = list["feature"].as_array().cloned().unwrap_or_default();
    let features: Vec<Feature> = rows.iter().map(feature).collect();
    assert!(!features.is_empty(), "{LIST} lists features");
    features
}

fn feature(row: &Value) -> Feature {
    let text = |key: &str| {
        row.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let tests = match row.get("test") {
        Some(Value::Array(tests)) => tests.clone(),
        one => one.into_iter().cloned().collect(),
    };
    let tests = tests
        .iter()
        .filter_map(|test| Some(test.as_str()?.to_owned()))
        .collect();
    Feature {
        id: text("id"),
        title: text("title"),
        status: text("status"),
        tests,
    }
}

#[test]
fn every_feature_has_an_id_a_title_and_a_known_status() {
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for feature in features() {
        let is_known = ["done", "started", "planned"].contains(&feature.status.as_str());
        let is_new = seen.insert(feature.id.clone());
        if feature.id.is_empty() || feature.title.is_empty() || !is_known || !is_new {
            broken.push(format!(
                "{LIST}: `{}` `{}` `{}`",
                feature.id, feature.title, feature.status
            ));
        }
    }
    assert_kept(
        "give it a unique id, a title, and a status: done, started or planned",
        &broken,
    );
}

#[test]
fn every_finished_feature_names_a_test_that_exists() {
    let mut broken = Vec::new();
    for feature in features() {
        if feature.status == "done" && feature.tests.is_empty() {
            broken.push(format!("{LIST}: {}: done, but names no test", feature.id));
        }
        let missing = feature.tests.iter().filter_map(|test| missing(test).err());
        broken.extend(missing.map(|reason| format!("{LIST}: {}: {reason}", feature.id)));
    }
    assert_kept(
        "write test = \"path/to/file.rs::name_of_the_test\", or take `done` back",
        &broken,
    );
}

/// Why the named test does not exist.
fn missing(test: &str) -> Result<(), String> {
    let (path, name) = test
        .rsplit_once("::")
        .ok_or(format!("`{test}` has no `::`"))?;
    let source = std::fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"))?;
    let outline = Outline::of(&source).map_err(|error| format!("{path}: {error}"))?;
    if outline.has_test(name) {
        Ok(())
    } else {
        Err(format!("{path} has no test {name}"))
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let file = "tests/specs/repo/features.rs";
    assert_eq!(
        missing(&format!("{file}::a_test_that_does_not_exist_is_noticed")),
        Ok(())
    );
    assert!(
        missing(&format!("{file}::missing")).is_err(),
        "a helper is not a test"
    );
    assert!(missing("tests/none.rs::name").is_err());
}
