//! Rules about who may know whom, and about versions that are known to be unsafe.

use std::path::Path;

use toml::{Table, Value};

use super::{assert_kept, cargo, files, read};

/// Crate, and what must not be compiled into it.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    (
        "gameserver-web-api",
        &["bevy_ecs", "gameserver-shared", "lightyear"],
    ),
    ("gameserver-contract", &["bevy_ecs", "tokio", "sqlx"]),
    (
        "gameserver-transport",
        &["bevy_ecs", "gameserver-conditions"],
    ),
    ("gameserver-server", &["gameserver-conditions"]),
    ("gameserver-client", &["gameserver-conditions"]),
    ("gameserver-packets", &["bevy_ecs", "lightyear", "tokio"]),
    ("gameserver-shared", &["tokio", "sqlx", "quinn"]),
];
/// Libraries that host or play any game, and therefore know none.
const GAME_AGNOSTIC: [&str; 4] = [
    "gameserver",
    "gameserver-server",
    "gameserver-client-sim",
    "gameserver-client",
];

/// What Cargo says about one edge of the dependency graph.
#[derive(Debug, PartialEq, Eq)]
enum Edge {
    Absent,
    Present(String),
    /// Cargo could not answer: a wrong name, or a crate that was never downloaded.
    Unknown(String),
}

/// Whether `package` compiles `dependency` in, directly or not.
fn edge(package: &str, dependency: &str) -> Edge {
    let output = cargo(&[
        "tree",
        "-p",
        package,
        "-e",
        "normal,build",
        "-i",
        dependency,
    ]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let no_such_package = format!("`{dependency}` did not match any packages");
    if output.status.success() {
        // Known to the lock file, but by edges that are not built: "nothing to print".
        if told.trim().is_empty() {
            Edge::Absent
        } else {
            Edge::Present(told)
        }
    } else if errors.contains(&no_such_package) {
        Edge::Absent
    } else if errors.contains("is ambiguous") {
        Edge::Present(errors)
    } else {
        Edge::Unknown(errors)
    }
}

fn assert_no_edge(package: &str, dependencies: &[&str]) {
    let found = dependencies
        .iter()
        .map(|dependency| (dependency, edge(package, dependency)));
    let broken: Vec<_> = found
        .filter(|(_, edge)| *edge != Edge::Absent)
        .map(|(dependency, edge)| format!("{package} -> {dependency}: {edge:?}"))
        .collect();
    assert_kept(
        "cut the edge; ARCHITECTURE.md says why it must not exist",
        &broken,
    );
}

#[test]
fn an_edge_that_exists_is_seen() {
    let edge = edge("xtask", "syn");
    assert!(
        matches!(edge, Edge::Present(_)),
        "cargo tree must show xtask -> syn: {edge:?}"
    );
}

#[test]
fn no_crate_knows_what_it_must_not_know() {
    for (package, dependencies) in FORBIDDEN {
        assert_no_edge(package, dependencies);
    }
}

#[test]
fn the_libraries_know_no_game() {
    let games: Vec<String> = files(&["Cargo.toml"])
        .into_iter()
        .filter(|file| file.path.starts_with("shared/games/"))
        .map(|file| {
            file.text
                .parse::<Table>()
                .expect("cargo has read the manifest before")
        })
        .filter_map(|manifest| Some(manifest["package"].get("name")?.as_str()?.to_owned()))
        .collect();
    assert!(!games.is_empty(), "the sample games are in shared/games");
    let games: Vec<&str> = games.iter().map(String::as_str).collect();
    for package in GAME_AGNOSTIC {
        assert_no_edge(package, &games);
    }
}

#[test]
fn no_locked_version_is_below_its_floor() {
    let floors = floors();
    assert!(
        !floors.is_empty(),
        "deny.toml lists the floors under [bans] deny"
    );
    let mut broken = Vec::new();
    for (name, version) in locked_packages() {
        let low = floors
            .iter()
            .filter(|floor| floor.name == name && version_of(&version) < floor.min);
        broken.extend(low.map(|floor| format!("{name} {version}: {}", floor.reason)));
    }
    assert_kept(
        "run `cargo update -p <crate>`; deny.toml names the floors",
        &broken,
    );
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let lock: Table = read("Cargo.lock").parse().expect("Cargo writes valid TOML");
    let packages = lock["package"].as_array().into_iter().flatten();
    let sources = packages.filter_map(|package| Some((package, package.get("source")?.as_str()?)));
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let foreign = sources.filter(|(_, source)| *source != registry);
    let broken: Vec<_> = foreign
        .map(|(package, source)| format!("{} {source}", package["name"]))
        .collect();
    assert_kept("use a released version from crates.io", &broken);
    let vendored = Path::new("vendor");
    assert!(
        !super::root().join(vendored).exists(),
        "no copies of other people's code"
    );
}

/// The lowest version of a crate that we accept.
struct Floor {
    name: String,
    min: [u64; 3],
    reason: String,
}

/// The entries `name:<version` of deny.toml, which cargo-deny checks too.
fn floors() -> Vec<Floor> {
    let deny: Table = read("deny.toml").parse().expect("deny.toml is valid TOML");
    let entries = deny["bans"]
        .get("deny")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    entries.filter_map(floor).collect()
}

fn floor(entry: &Value) -> Option<Floor> {
    let (name, version) = entry.get("crate")?.as_str()?.split_once(":<")?;
    let reason = entry.get("reason")?.as_str()?.to_owned();
    Some(Floor {
        name: name.to_owned(),
        min: version_of(version),
        reason,
    })
}

fn locked_packages() -> Vec<(String, String)> {
    let lock: Table = read("Cargo.lock").parse().expect("Cargo writes valid TOML");
    let text = |package: &Value, key: &str| Some(package.get(key)?.as_str()?.to_owned());
    let packages = lock["package"].as_array().into_iter().flatten();
    packages
        .filter_map(|package| Some((text(package, "name")?, text(package, "version")?)))
        .collect()
}

/// Major, minor and patch; what follows `-` or `+` does not matter for a floor.
fn version_of(version: &str) -> [u64; 3] {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = numbers.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[test]
fn versions_are_compared_as_numbers() {
    assert!(version_of("0.11.9") < version_of("0.11.14"));
    assert_eq!(version_of("1.2.1+spec-1.1.0"), [1, 2, 1]);
}
