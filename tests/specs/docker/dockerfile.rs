//! Rules about `docker/Dockerfile`: our own reading of it, and hadolint's where it is installed.

use std::io;
use std::process::Command;

use super::{PORTS, is_pinned, is_secret_name, port_with_protocol};
use crate::repo::{assert_kept, read, root};

const PATH: &str = "docker/Dockerfile";
/// The user without rights that distroless images know.
const USER: &str = "65532:65532";

/// One instruction, its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    line: usize,
    name: String,
    arguments: String,
}

/// Reads a Dockerfile. Here-documents are not understood; we do not use them.
fn parse(text: &str) -> Vec<Instruction> {
    let mut instructions: Vec<Instruction> = Vec::new();
    let mut is_continued = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let content = line.trim_end_matches('\\').trim_end();
        if let Some(last) = instructions.last_mut().filter(|_| is_continued) {
            last.arguments = format!("{} {content}", last.arguments);
        } else {
            let (name, arguments) = content.split_once(' ').unwrap_or((content, ""));
            let (name, arguments) = (name.to_uppercase(), arguments.trim().to_owned());
            instructions.push(Instruction {
                line: index + 1,
                name,
                arguments,
            });
        }
        is_continued = line.ends_with('\\');
    }
    instructions
}

fn instructions(name: &str) -> Vec<Instruction> {
    parse(&read(PATH))
        .into_iter()
        .filter(|found| found.name == name)
        .collect()
}

/// Instructions of this name in the last stage: the one that becomes the image.
fn in_image(name: &str) -> Vec<Instruction> {
    let start = instructions("FROM").last().map_or(0, |from| from.line);
    instructions(name)
        .into_iter()
        .filter(|found| found.line > start)
        .collect()
}

fn at(instruction: &Instruction) -> String {
    format!(
        "{PATH}:{} {} {}",
        instruction.line, instruction.name, instruction.arguments
    )
}

#[test]
fn every_base_image_names_its_version() {
    let bases = instructions("FROM");
    let image = |from: &Instruction| from.arguments.split(' ').next().map(str::to_owned);
    let moving = bases
        .iter()
        .filter(|from| !image(from).is_some_and(|name| is_pinned(&name)));
    let broken: Vec<_> = moving.map(at).collect();
    assert_kept("name the version of the base image", &broken);
}

#[test]
fn the_image_holds_the_program_and_not_what_built_it() {
    assert!(
        instructions("FROM").len() >= 2,
        "{PATH}: build in one stage, run in another"
    );
    let runs: Vec<_> = in_image("RUN").iter().map(at).collect();
    assert_kept("do the work in the build stage and copy its result", &runs);
    let copies = in_image("COPY");
    let foreign = copies
        .iter()
        .filter(|copy| !copy.arguments.contains("--from="));
    assert_kept(
        "copy from the build stage only",
        &foreign.map(at).collect::<Vec<_>>(),
    );
}

#[test]
fn the_build_uses_the_locked_versions() {
    let builds = instructions("RUN")
        .into_iter()
        .filter(|run| run.arguments.contains("cargo build"));
    let builds: Vec<_> = builds.collect();
    assert!(
        !builds.is_empty(),
        "{PATH}: the build stage runs `cargo build`"
    );
    let loose = builds
        .iter()
        .filter(|run| !run.arguments.contains("--locked"));
    assert_kept("build with --locked", &loose.map(at).collect::<Vec<_>>());
}

#[test]
fn the_container_has_no_rights() {
    let user = in_image("USER").pop();
    let user = user.map(|user| user.arguments).unwrap_or_default();
    assert_eq!(
        user, USER,
        "{PATH}: end the last stage as a user without rights"
    );
}

#[test]
fn the_container_knows_its_own_health() {
    let check = in_image("HEALTHCHECK").pop();
    let check = check.map(|check| check.arguments).unwrap_or_default();
    let command = r#"CMD ["gameserver", "healthcheck"]"#;
    assert!(
        check.ends_with(command),
        "{PATH}: HEALTHCHECK {command}, found `{check}`"
    );
}

#[test]
fn the_container_runs_our_program_and_drains_on_sigterm() {
    let only = |name| {
        in_image(name)
            .pop()
            .map(|found| found.arguments)
            .unwrap_or_default()
    };
    assert_eq!(
        only("ENTRYPOINT"),
        r#"["gameserver"]"#,
        "{PATH}: in exec form, to get signals"
    );
    assert_eq!(only("STOPSIGNAL"), "SIGTERM", "{PATH}");
}

#[test]
fn the_image_exposes_the_documented_ports() {
    let exposed = in_image("EXPOSE")
        .into_iter()
        .map(|expose| expose.arguments);
    let exposed = exposed.collect::<Vec<_>>().join(" ");
    let mut exposed: Vec<_> = exposed.split_whitespace().map(port_with_protocol).collect();
    exposed.sort();
    let mut documented = PORTS.map(str::to_owned);
    documented.sort();
    assert_eq!(
        exposed, documented,
        "{PATH}: EXPOSE the ports of docs/configuration.md"
    );
}

#[test]
fn the_image_tells_what_it_is() {
    let labels = in_image("LABEL")
        .into_iter()
        .map(|label| label.arguments)
        .collect::<String>();
    let wanted = ["title", "description", "licenses", "version", "revision"];
    let missing = wanted.iter().filter(|name| {
        let label = format!("org.opencontainers.image.{name}=");
        !labels.contains(&label)
    });
    let broken: Vec<_> = missing
        .map(|name| format!("org.opencontainers.image.{name}"))
        .collect();
    assert_kept("add the label", &broken);
}

#[test]
fn no_secret_is_baked_into_the_image() {
    let mut broken = Vec::new();
    for found in instructions("ENV").into_iter().chain(instructions("ARG")) {
        let names = found
            .arguments
            .split(' ')
            .filter_map(|word| word.split('=').next());
        if names.into_iter().any(is_secret_name) {
            broken.push(at(&found));
        }
    }
    let adds = instructions("ADD");
    broken.extend(adds.iter().map(at));
    assert_kept("give secrets at run time; use COPY, not ADD", &broken);
}

#[test]
fn secrets_history_and_build_results_do_not_enter_the_build() {
    let ignored = read(".dockerignore");
    let ignored: Vec<_> = ignored.lines().map(str::trim).collect();
    let wanted = [
        ".git",
        "target",
        ".env",
        "*.pem",
        "*.key",
        "gameserver-data",
    ];
    let missing = wanted.iter().filter(|line| !ignored.contains(line));
    let broken: Vec<_> = missing
        .map(|line| format!(".dockerignore: {line}"))
        .collect();
    assert_kept("add the line", &broken);
}

#[test]
fn hadolint_finds_nothing_where_it_is_installed() {
    let output = Command::new("hadolint").arg(root().join(PATH)).output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        started => started.expect("hadolint can be started"),
    };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "follow hadolint's advice:\n{told}");
}

#[test]
fn continuation_lines_belong_to_their_instruction() {
    let read = parse("# note\nFROM a:1 AS b\nRUN one \\\n    # inside\n    && two\n\nuser 1\n");
    let short: Vec<_> = read
        .iter()
        .map(|i| (i.line, i.name.as_str(), i.arguments.as_str()))
        .collect();
    assert_eq!(
        short,
        [
            (2, "FROM", "a:1 AS b"),
            (3, "RUN", "one && two"),
            (7, "USER", "1")
        ]
    );
}
