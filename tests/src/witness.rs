//! Honest players who notice when their match does not go on.

use game_arena::Arena;
use gameserver_client_sim::bot::{BotEnd, BotSpec, BotStats};
use gameserver_client_sim::bot_pool::BotPool;
use gameserver_contract::ids::MatchId;
use gameserver_shared::bot::BotPolicy;
use gameserver_transport::connect::ConnectOptions;
use tokio::runtime::Handle;

use crate::patience::eventually;
use crate::stage::Stage;

/// Snapshots after which a match counts as going on: a quarter of a second's worth, and the
/// witnesses are asked twice a second.
const SNAPSHOTS_ENOUGH: u64 = 5;

/// Bots that play by the rules.
#[derive(Debug)]
pub struct Witnesses {
    pool: BotPool,
}

impl Witnesses {
    /// One arena bot takes this seat and plays.
    pub async fn play_arena(stage: &Stage, match_id: MatchId, seat: u16) -> Self {
        Self::play::<Arena>(stage, match_id, seat..seat + 1).await
    }

    /// Bots take these seats and play.
    ///
    /// # Panics
    ///
    /// When there is no thread for them.
    pub async fn play<G: BotPolicy>(
        stage: &Stage,
        match_id: MatchId,
        seats: std::ops::Range<u16>,
    ) -> Self {
        let bot = |seat: u16| BotSpec {
            name: format!("witness {seat}"),
            join: stage.join(match_id, seat),
            options: ConnectOptions::default(),
            seed: seat.into(),
            retries_max: 0,
        };
        let bots = seats.map(bot).collect();
        let pool = BotPool::start::<G>(bots, 1, &Handle::current()).expect("a thread for the bots");
        let witnesses = Self { pool };
        witnesses.see_the_match_go_on().await;
        witnesses
    }

    /// Waits until everybody has got further snapshots.
    pub async fn see_the_match_go_on(&self) {
        let before = self.pool.stats();
        eventually("the witnesses get snapshots", || {
            let now = self.pool.stats();
            let pairs = before.iter().zip(&now);
            pairs
                .into_iter()
                .all(|(before, now)| now.snapshots >= before.snapshots + SNAPSHOTS_ENOUGH)
        })
        .await;
    }

    /// Says goodbye for them.
    ///
    /// # Panics
    ///
    /// When one of them was disconnected before.
    pub async fn leave(self) -> Vec<BotStats> {
        let finish = tokio::task::spawn_blocking(move || self.pool.finish());
        let seen = finish.await.expect("the bots end");
        assert!(
            seen.iter().all(|bot| bot.end == Some(BotEnd::TimeUp)),
            "{seen:?}"
        );
        seen
    }
}
