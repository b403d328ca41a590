//! The cache in Redis, shared by all replicas. Redis forgets by its own clock.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{AsyncCommands as _, Client, RedisError, RedisResult, Script};
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use super::RateDecision;
use super::subscription::{MESSAGES_QUEUED_MAX, Queued, Subscription};

/// A Redis that does not answer by then is treated as down, so that requests do not pile up.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Silence after which a listening connection is asked whether it lives: nothing else is ever sent
/// on it, so a broken one would not be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Pause before a lost listening connection is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Keys that Redis looks at per `SCAN` step: large enough for few round trips, small enough not to
/// hold up others.
const KEYS_PER_STEP: usize = 1_000;

/// The longest lifetime, 100 years: Redis refuses ends beyond its range.
const LIFETIME_MS_MAX: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// Counts up and, on the first request of a window, sets its end, in one step: a crash between the
/// two would make a counter that never ends.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = redis.call('INCR', KEYS[1])
         if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
         return {count, redis.call('PTTL', KEYS[1])}",
    )
});

/// A connection that opens itself again after a loss.
#[derive(Clone)]
pub(super) struct RedisServer {
    /// Opens connections of its own for who listens.
    client: Arc<Client>,
    connection: ConnectionManager,
    prefix: Arc<str>,
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisServer")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisServer {
    pub(super) async fn connect(url: &str, prefix: &str) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            // A request waits for one attempt only; the next request makes the next one.
            .set_number_of_retries(0);
        let client = Client::open(url)?;
        let connection = ConnectionManager::new_with_config(client.clone(), config).await?;
        Ok(Self {
            client: Arc::new(client),
            connection,
            prefix: prefix.into(),
        })
    }

    pub(super) async fn ping(&self) -> RedisResult<()> {
        redis::cmd("PING").query_async(&mut self.connection()).await
    }

    pub(super) async fn put(&self, key: &str, value: &[u8], lifetime: Duration) -> RedisResult<()> {
        let key = self.value_key(key);
        self.connection()
            .pset_ex(key, value, whole_ms(lifetime))
            .await
    }

    pub(super) async fn put_if_absent(
        &self,
        key: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> RedisResult<bool> {
        let mut set = redis::cmd("SET");
        set.arg(self.value_key(key))
            .arg(value)
            .arg("NX")
            .arg("PX")
            .arg(whole_ms(lifetime));
        let answer: Option<String> = set.query_async(&mut self.connection()).await?;
        Ok(answer.is_some())
    }

    pub(super) async fn get(&self, key: &str) -> RedisResult<Option<Vec<u8>>> {
        self.connection().get(self.value_key(key)).await
    }

    pub(super) async fn remove(&self, key: &str) -> RedisResult<()> {
        self.connection().del(self.value_key(key)).await
    }

    pub(super) async fn scan(
        &self,
        prefix: &str,
        limit: usize,
    ) -> RedisResult<Vec<(String, Vec<u8>)>> {
        let keys = self.first_keys(prefix, limit).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = redis::cmd("MGET");
        for key in &keys {
            read.arg(key);
        }
        let values: Vec<Option<Vec<u8>>> = read.query_async(&mut self.connection()).await?;
        let inside = self.value_key("").len();
        let live = keys.into_iter().zip(values);
        Ok(live
            .filter_map(|(key, value)| Some((key[inside..].to_owned(), value?)))
            .collect())
    }

    pub(super) async fn count(
        &self,
        key: &str,
        limit: u32,
        window: Duration,
    ) -> RedisResult<RateDecision> {
        let key = format!("{}:counter:{key}", self.prefix);
        let mut connection = self.connection();
        let (count, left_ms): (u64, i64) = COUNT
            .key(key)
            .arg(whole_ms(window))
            .invoke_async(&mut connection)
            .await?;
        let reset = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        Ok(RateDecision::of(count, limit, reset))
    }

    pub(super) async fn publish(&self, channel: &str, message: &[u8]) -> RedisResult<()> {
        self.connection()
            .publish(self.channel_name(channel), message)
            .await
    }

    pub(super) async fn subscribe(&self, channel: &str) -> RedisResult<Subscription> {
        let name = self.channel_name(channel);
        let first = self.listen(&name).await?;
        let (sender, receiver) = broadcast::channel(MESSAGES_QUEUED_MAX);
        let server = self.clone();
        let source = tokio::spawn(async move { server.keep_listening(&name, first, sender).await });
        Ok(Subscription::fed_by(receiver, source))
    }

    /// Ends with its task only.
    async fn keep_listening(&self, name: &str, first: PubSub, sender: broadcast::Sender<Queued>) {
        let mut next = Some(first);
        loop {
            if let Some(listening) = next.take() {
                hear_out(listening, &sender).await;
                tracing::warn!("the connection that listens to Redis was lost");
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
            if let Ok(listening) = self.listen(name).await {
                // Whoever listens learns of the gap once nothing more can be missed.
                let _ = sender.send(None);
                next = Some(listening);
            }
        }
    }

    async fn listen(&self, name: &str) -> RedisResult<PubSub> {
        let listening = async {
            let mut listening = self.client.get_async_pubsub().await?;
            listening.subscribe(name).await?;
            Ok(listening)
        };
        let timed_out = |_| {
            Err(RedisError::from(std::io::Error::from(
                std::io::ErrorKind::TimedOut,
            )))
        };
        tokio::time::timeout(TIMEOUT, listening)
            .await
            .unwrap_or_else(timed_out)
    }

    /// The first `limit` keys with that beginning, in order. `SCAN` returns keys in any order and
    /// some of them twice.
    async fn first_keys(&self, prefix: &str, limit: usize) -> RedisResult<BTreeSet<String>> {
        let pattern = format!("{}*", escape_glob(&self.value_key(prefix)));
        let mut keys = BTreeSet::new();
        let mut cursor = 0_u64;
        loop {
            let mut step = redis::cmd("SCAN");
            step.arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(KEYS_PER_STEP);
            let (next, found): (u64, Vec<String>) =
                step.query_async(&mut self.connection()).await?;
            keys.extend(found);
            while keys.len() > limit {
                keys.pop_last();
            }
            if next == 0 {
                return Ok(keys);
            }
            cursor = next;
        }
    }

    fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    fn channel_name(&self, channel: &str) -> String {
        format!("{}:channel:{channel}", self.prefix)
    }

    fn value_key(&self, key: &str) -> String {
        format!("{}:value:{key}", self.prefix)
    }
}

/// Passes messages on until the connection is lost.
async fn hear_out(listening: PubSub, sender: &broadcast::Sender<Queued>) {
    let (mut asking, mut messages) = listening.split();
    let mut ping = tokio::time::interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return };
                let _ = sender.send(Some(message.get_payload_bytes().into()));
            }
            _ = ping.tick() => {
                let answer = tokio::time::timeout(TIMEOUT, asking.ping::<redis::Value>()).await;
                if !matches!(answer, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

/// Redis takes whole milliseconds, one at least.
fn whole_ms(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, LIFETIME_MS_MAX)
}

/// The characters that mean something in a Redis pattern stand for themselves.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_taken_literally() {
        assert_eq!(escape_glob(r"a*b?[c]\d"), r"a\*b\?\[c\]\\d");
    }

    #[test]
    fn a_lifetime_is_at_least_a_millisecond_and_never_too_long_for_redis() {
        assert_eq!(whole_ms(Duration::from_nanos(1)), 1);
        assert_eq!(whole_ms(Duration::MAX), LIFETIME_MS_MAX);
    }
}
