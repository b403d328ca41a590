//! Rules about `docker/compose.yml`.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, YamlOwned};

use super::{COMMANDS, PORTS, is_pinned, is_secret_name, port_with_protocol};
use crate::repo::{assert_kept, read};

const PATH: &str = "docker/compose.yml";
/// Key by which YAML takes over the entries of other maps.
const MERGE: &str = "<<";

/// Entries of a map, with those that it takes over by `<<`.
type Map = BTreeMap<String, YamlOwned>;

fn map(node: &YamlOwned) -> Map {
    let mut entries = Map::new();
    let Some(mapping) = node.as_mapping() else {
        return entries;
    };
    for (key, value) in mapping {
        let key = text(key);
        if key == MERGE {
            let taken = value
                .as_sequence()
                .map_or_else(|| vec![value.clone()], Clone::clone);
            for (key, value) in taken.iter().flat_map(map) {
                entries.entry(key).or_insert(value);
            }
        } else {
            entries.insert(key, value.clone());
        }
    }
    entries
}

/// A scalar as it is written; empty for lists, maps and fractions, which no rule compares.
fn text(node: &YamlOwned) -> String {
    let whole = || Some(node.as_integer()?.to_string());
    let truth = || Some(node.as_bool()?.to_string());
    let word = node.as_str().map(str::to_owned);
    word.or_else(whole).or_else(truth).unwrap_or_default()
}

fn list(node: Option<&YamlOwned>) -> Vec<String> {
    node.and_then(YamlOwned::as_sequence)
        .into_iter()
        .flatten()
        .map(text)
        .collect()
}

fn compose() -> Map {
    let documents = YamlOwned::load_from_str(&read(PATH)).expect("compose.yml is valid YAML");
    map(documents.first().expect("compose.yml has one document"))
}

/// Name and settings of every service.
fn services() -> BTreeMap<String, Map> {
    let services = map(compose().get("services").expect("compose.yml has services"));
    services
        .into_iter()
        .map(|(name, service)| (name, map(&service)))
        .collect()
}

/// The services that run our image.
fn own_services() -> BTreeMap<String, Map> {
    let image = |service: &Map| service.get("image").map(text).unwrap_or_default();
    services()
        .into_iter()
        .filter(|(_, s)| image(s).starts_with("gameserver:"))
        .collect()
}

fn is_one_shot(service: &Map) -> bool {
    service
        .get("restart")
        .is_some_and(|restart| text(restart) == "no")
}

#[test]
fn every_service_of_the_system_is_there() {
    let services = services();
    let wanted = ["postgres", "redis", "migrate", "web-api", "instance"];
    let missing = wanted.iter().filter(|name| !services.contains_key(**name));
    let broken: Vec<_> = missing.map(|name| format!("{PATH}: {name}")).collect();
    assert_kept("add the service", &broken);
}

#[test]
fn every_service_names_the_version_of_its_image() {
    let image = |service: &Map| service.get("image").map(text).unwrap_or_default();
    let services = services();
    let moving = services
        .iter()
        .filter(|(_, service)| !is_pinned(&image(service)));
    let broken: Vec<_> = moving
        .map(|(name, s)| format!("{PATH}: {name}: {}", image(s)))
        .collect();
    assert_kept("name the version of the image", &broken);
}

#[test]
fn every_service_is_watched_unless_it_runs_once() {
    let check = |service: &Map| service.get("healthcheck").map(map).unwrap_or_default();
    let services = services();
    let blind = services.iter().filter(|(_, service)| {
        !is_one_shot(service)
            && list(check(service).get("test"))
                .first()
                .is_none_or(|w| w != "CMD")
    });
    let broken: Vec<_> = blind.map(|(name, _)| format!("{PATH}: {name}")).collect();
    assert_kept("add `healthcheck: { test: [CMD, …] }`", &broken);
}

#[test]
fn our_services_run_commands_that_exist_and_ask_the_binary_for_their_health() {
    let mut broken = Vec::new();
    for (name, service) in own_services() {
        let command = list(service.get("command"))
            .first()
            .cloned()
            .unwrap_or_default();
        if !COMMANDS.contains(&command.as_str()) {
            broken.push(format!("{PATH}: {name}: no command `gameserver {command}`"));
        }
        let check = service.get("healthcheck").map(map).unwrap_or_default();
        if !is_one_shot(&service) && list(check.get("test")) != ["CMD", "gameserver", "healthcheck"]
        {
            broken.push(format!("{PATH}: {name}: healthcheck"));
        }
    }
    assert_kept("use the commands of docs/configuration.md", &broken);
}

#[test]
fn our_services_can_change_nothing_but_their_data() {
    let mut broken = Vec::new();
    for (name, service) in own_services() {
        let is_read_only = service
            .get("read_only")
            .is_some_and(|value| text(value) == "true");
        let drops_all = list(service.get("cap_drop")) == ["ALL"];
        let keeps_rights = list(service.get("security_opt")) == ["no-new-privileges:true"];
        if !is_read_only || !drops_all || !keeps_rights {
            broken.push(format!("{PATH}: {name}"));
        }
    }
    assert_kept(
        "take over `*service`: read-only, no capabilities, no new privileges",
        &broken,
    );
}

#[test]
fn only_documented_ports_are_published() {
    let mut broken = Vec::new();
    for (name, service) in services() {
        for published in list(service.get("ports")) {
            let inside = published
                .rsplit(':')
                .next()
                .map(port_with_protocol)
                .unwrap_or_default();
            let is_metrics = inside == "9090/tcp";
            let is_local = published.starts_with("127.0.0.1:");
            if !PORTS.contains(&inside.as_str()) || inside == "8081/tcp" || is_metrics != is_local {
                broken.push(format!("{PATH}: {name}: {published}"));
            }
        }
    }
    assert_kept(
        "publish game and REST ports; metrics on 127.0.0.1 only, control never",
        &broken,
    );
}

#[test]
fn services_wait_until_what_they_need_is_ready() {
    let services = services();
    let mut broken = Vec::new();
    for (name, service) in &services {
        for (needed, wait) in service.get("depends_on").map(map).unwrap_or_default() {
            let condition = map(&wait).get("condition").map(text).unwrap_or_default();
            let wanted = match services.get(&needed) {
                Some(service) if is_one_shot(service) => "service_completed_successfully",
                Some(_) => "service_healthy",
                None => "(no such service)",
            };
            if condition != wanted {
                broken.push(format!(
                    "{PATH}: {name} needs {needed}: {condition}, not {wanted}"
                ));
            }
        }
    }
    let waits_for = |name: &str, needed: &str| {
        let service = services
            .get(name)
            .and_then(|service| service.get("depends_on"));
        service
            .map(map)
            .is_some_and(|services| services.contains_key(needed))
    };
    let needs = [
        ("migrate", "postgres"),
        ("web-api", "migrate"),
        ("web-api", "redis"),
    ];
    let needs = needs.into_iter().chain([("instance", "web-api")]);
    let missing = needs.filter(|(name, needed)| !waits_for(name, needed));
    broken.extend(missing.map(|(name, needed)| format!("{PATH}: {name} must wait for {needed}")));
    assert_kept("correct `depends_on`", &broken);
}

#[test]
fn every_secret_comes_from_the_environment_and_has_no_default() {
    let mut broken = Vec::new();
    for (name, service) in services() {
        for (key, value) in service.get("environment").map(map).unwrap_or_default() {
            let value = text(&value);
            let has_password = value
                .split_once('@')
                .is_some_and(|(start, _)| start.contains("://"));
            let is_required = value.contains(":?");
            if (is_secret_name(&key) || has_password) && !is_required {
                broken.push(format!("{PATH}: {name}: {key}"));
            }
        }
    }
    assert_kept("write ${NAME:?set NAME}", &broken);
}

#[test]
fn an_instance_has_no_password_of_a_database_and_no_signing_key() {
    let services = services();
    let instance = services
        .get("instance")
        .expect("compose.yml has the service instance");
    let settings = instance.get("environment").map(map).unwrap_or_default();
    let dangerous = settings.keys().filter(|key| {
        ["DATABASE", "REDIS", "KEYS"]
            .iter()
            .any(|word| key.contains(word))
    });
    let mut broken: Vec<_> = dangerous
        .map(|key| format!("{PATH}: instance: {key}"))
        .collect();
    if list(instance.get("networks")).contains(&"data".to_owned()) {
        broken.push(format!("{PATH}: instance: network data"));
    }
    assert_kept("an instance talks to web-api only", &broken);
}
