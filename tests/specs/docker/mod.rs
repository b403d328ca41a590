//! What the container image and the compose file promise, checked without Docker.

mod compose;
mod dockerfile;

/// The commands of the `gameserver` binary that a container may run.
const COMMANDS: [&str; 13] = [
    "api",
    "backup",
    "bots",
    "config",
    "dev",
    "healthcheck",
    "instance",
    "load",
    "matchmaker",
    "migrate",
    "new",
    "replay",
    "restore",
];
/// The documented ports: REST, control, game over QUIC, game over WebSocket, metrics.
const PORTS: [&str; 5] = ["8080/tcp", "8081/tcp", "7777/udp", "7777/tcp", "9090/tcp"];
/// Parts of names whose values are secret.
const SECRET_WORDS: [&str; 5] = ["SECRET", "PASSWORD", "TOKEN", "KEY", "CREDENTIAL"];

/// Whether a setting of this name holds a secret.
fn is_secret_name(name: &str) -> bool {
    SECRET_WORDS
        .iter()
        .any(|word| name.to_uppercase().contains(word))
}

/// Whether the image names a version: `name:tag` with a tag that does not move on its own.
fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    let moving = ["latest", "stable", "main", "edge", "slim"];
    image.contains("@sha256:")
        || last
            .split_once(':')
            .is_some_and(|(_, tag)| !tag.is_empty() && !moving.contains(&tag))
}

/// A port as in [`PORTS`]: TCP when nothing else is said.
fn port_with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

#[test]
fn a_moving_tag_is_no_version() {
    assert!(is_pinned("gcr.io/distroless/cc-debian12:nonroot"));
    assert!(is_pinned("localhost:5000/app:1.2"));
    assert!(!is_pinned("localhost:5000/app"));
    assert!(!is_pinned("redis:latest"));
}
