//! The games that can be played here now.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameserver_contract::game::GameDescriptor;
use tokio::sync::Mutex;

use crate::config::GAMES_REMEMBERED;
use crate::fleet::error::Error;
use crate::fleet::{Fleet, InstanceRecord};

/// The list as it was a moment ago. Anybody may ask for it, so asking must not cost a look at the
/// registry each time.
#[derive(Debug, Default)]
pub(crate) struct HostedGames(Mutex<Option<Remembered>>);

#[derive(Debug)]
struct Remembered {
    until_ms: i64,
    games: Arc<Vec<GameDescriptor>>,
}

impl HostedGames {
    /// The list is read again when it is next asked for.
    pub(crate) async fn forget(&self) {
        self.0.lock().await.take();
    }
}

impl Fleet {
    /// The games that instances with a living lease host, by id; at most
    /// [`GAMES_REMEMBERED`] old.
    pub(crate) async fn games(&self) -> Result<Arc<Vec<GameDescriptor>>, Error> {
        let now_ms = self.kit.clock.now_ms();
        // Held while the registry is read, so that a crowd reads it once.
        let mut remembered = self.hosted_games.0.lock().await;
        if let Some(list) = remembered.as_ref().filter(|list| now_ms < list.until_ms) {
            return Ok(Arc::clone(&list.games));
        }
        let games = Arc::new(merge(&self.instances().await?));
        let lifetime_ms = i64::try_from(GAMES_REMEMBERED.as_millis()).unwrap_or(0);
        *remembered = Some(Remembered {
            until_ms: now_ms.saturating_add(lifetime_ms),
            games: Arc::clone(&games),
        });
        Ok(games)
    }
}

/// While a deployment rolls out, builds may differ: a game has every mode that some instance has.
fn merge(instances: &[InstanceRecord]) -> Vec<GameDescriptor> {
    let mut merged: BTreeMap<_, GameDescriptor> = BTreeMap::new();
    for game in instances.iter().flat_map(|instance| &instance.games) {
        let known = merged
            .entry(game.id.clone())
            .or_insert_with(|| game.clone());
        for mode in &game.modes {
            if known.mode(Some(&mode.id)).is_none() {
                known.modes.push(mode.clone());
            }
        }
    }
    merged.into_values().collect()
}
