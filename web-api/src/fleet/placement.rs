//! Which instance gets a new match. Pure: it sees records, not the network.

use gameserver_contract::ids::GameId;

use crate::config::TICK_BUDGET_USED_MAX;
use crate::fleet::InstanceRecord;

/// What a new session needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacementRequest<'a> {
    pub(crate) game: &'a GameId,
    /// The game's default mode for `None`.
    pub(crate) mode: Option<&'a str>,
    /// Any for `None`.
    pub(crate) region: Option<&'a str>,
}

/// The instances that can take the match, the least busy one first. An instance can take it when
/// it hosts the game's mode in the wanted region, is not draining, has room for one more match
/// and one more player, and keeps up with its ticks.
pub(crate) fn candidates<'a>(
    instances: &'a [InstanceRecord],
    request: PlacementRequest<'_>,
) -> Vec<&'a InstanceRecord> {
    let mut fitting: Vec<_> = instances
        .iter()
        .filter(|instance| fits(instance, request))
        .collect();
    fitting.sort_by(|a, b| busyness(a).total_cmp(&busyness(b)).then(a.id.cmp(&b.id)));
    fitting
}

fn fits(instance: &InstanceRecord, request: PlacementRequest<'_>) -> bool {
    let load = instance.load;
    instance.mode(request.game, request.mode).is_some()
        && request
            .region
            .is_none_or(|region| region == instance.region)
        && !load.draining
        && load.matches < instance.matches_max
        && load.players < instance.players_max
        && load.tick_budget_used < TICK_BUDGET_USED_MAX
}

/// The scarcest of its resources, as the share in use.
fn busyness(instance: &InstanceRecord) -> f64 {
    let load = instance.load;
    let matches = f64::from(load.matches) / f64::from(instance.matches_max.max(1));
    let players = f64::from(load.players) / f64::from(instance.players_max.max(1));
    matches.max(players).max(f64::from(load.tick_budget_used))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gameserver_contract::ids::{InstanceEpoch, InstanceId};
    use uuid::Uuid;

    use super::*;
    use crate::fleet::Load;
    use crate::tests::arena_descriptor;

    fn instance(id: u128, load: Load) -> InstanceRecord {
        InstanceRecord {
            id: InstanceId(Uuid::from_u128(id)),
            epoch: InstanceEpoch(1),
            region: "local".to_owned(),
            build: String::new(),
            control_url: String::new(),
            transports: Vec::new(),
            matches_max: 4,
            players_max: 100,
            games: vec![arena_descriptor()],
            load,
            refusing: BTreeMap::new(),
        }
    }

    fn chosen(instances: &[InstanceRecord], mode: Option<&str>, region: Option<&str>) -> Vec<u128> {
        let game = GameId::new("arena").unwrap();
        let found = candidates(
            instances,
            PlacementRequest {
                game: &game,
                mode,
                region,
            },
        );
        found
            .iter()
            .map(|instance| instance.id.0.as_u128())
            .collect()
    }

    #[test]
    fn the_least_busy_instance_comes_first() {
        let instances = [
            instance(
                1,
                Load {
                    matches: 3,
                    ..Load::default()
                },
            ),
            instance(
                2,
                Load {
                    tick_budget_used: 0.2,
                    ..Load::default()
                },
            ),
            instance(
                3,
                Load {
                    players: 50,
                    ..Load::default()
                },
            ),
        ];
        assert_eq!(chosen(&instances, None, None), [2, 3, 1]);
    }

    #[test]
    fn a_full_draining_or_overloaded_instance_is_left_out() {
        let instances = [
            instance(
                1,
                Load {
                    matches: 4,
                    ..Load::default()
                },
            ),
            instance(
                2,
                Load {
                    players: 100,
                    ..Load::default()
                },
            ),
            instance(
                3,
                Load {
                    draining: true,
                    ..Load::default()
                },
            ),
            instance(
                4,
                Load {
                    tick_budget_used: 0.95,
                    ..Load::default()
                },
            ),
        ];
        assert!(chosen(&instances, None, None).is_empty());
    }

    #[test]
    fn mode_and_region_must_fit() {
        let instances = [instance(1, Load::default())];
        assert_eq!(chosen(&instances, Some("ffa"), Some("local")), [1]);
        assert!(chosen(&instances, Some("chess"), None).is_empty());
        assert!(chosen(&instances, None, Some("mars")).is_empty());
    }
}
