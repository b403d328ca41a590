//! The cache in Redis, shared by all replicas. Redis forgets by its own clock.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{AsyncCommands as _, Client, RedisError, RedisResult, Script};
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use crate::kit::cache::subscription::{MESSAGES_QUEUED_MAX, Queued, Subscription};
use crate::kit::cache::{RateDecision, listed_key};
use crate::kit::fault::Fault;

/// A Redis that does not answer by then is treated as down, so that requests do not pile up.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Silence after which a listening connection is asked whether it lives: nothing else is ever sent
/// on it, so a broken one would not be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Pause before a lost listening connection is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Shortest time between two connections that are opened because the one before led to a server
/// that takes no writes: one that stays read-only must not be answered with a storm of connections.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

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

/// Reads a value; unless that is the one to stop at, counts like [`COUNT`].
static COUNT_UNLESS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local value = redis.call('GET', KEYS[1])
         if value == ARGV[2] then return {value, 0, 0} end
         local count = redis.call('INCR', KEYS[2])
         if count == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[1]) end
         return {value, count, redis.call('PTTL', KEYS[2])}",
    )
});

/// Sets a value and enters its member into the sorted set of its list, by the time at which it
/// ends. Members that have ended go.
static PUT_LISTED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
         redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[3])
         redis.call('PEXPIRE', KEYS[2], ARGV[2])",
    )
});

/// The members of a list that live, with their values.
static LISTED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         local listed = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'LIMIT', 0, ARGV[1])
         local found = {}
         for _, member in ipairs(listed) do
             local value = redis.call('GET', ARGV[2] .. member)
             if value then found[#found + 1] = {member, value} end
         end
         return found",
    )
});

/// A connection that opens itself again after a loss.
#[derive(Clone)]
pub(crate) struct RedisServer {
    /// Opens connections of its own for who listens.
    client: Arc<Client>,
    link: Arc<Mutex<Link>>,
    prefix: Arc<str>,
}

struct Link {
    connection: ConnectionManager,
    opened_at: Instant,
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisServer")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisServer {
    pub(crate) async fn connect(url: &str, prefix: &str) -> RedisResult<Self> {
        let client = Client::open(url)?;
        let connection = ConnectionManager::new_with_config(client.clone(), settings()).await?;
        let link = Link {
            connection,
            opened_at: Instant::now(),
        };
        Ok(Self {
            client: Arc::new(client),
            link: Arc::new(Mutex::new(link)),
            prefix: prefix.into(),
        })
    }

    pub(crate) async fn put(&self, key: &str, value: &[u8], lifetime: Duration) -> RedisResult<()> {
        let key = self.value_key(key);
        let set = self
            .connection()
            .pset_ex(key, value, whole_ms(lifetime))
            .await;
        self.note(set)
    }

    pub(crate) async fn put_if_absent(
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
        let answer = set.query_async(&mut self.connection()).await;
        let set: Option<String> = self.note(answer)?;
        Ok(set.is_some())
    }

    pub(crate) async fn get(&self, key: &str) -> RedisResult<Option<Vec<u8>>> {
        self.connection().get(self.value_key(key)).await
    }

    pub(crate) async fn remove(&self, key: &str) -> RedisResult<()> {
        let removed = self.connection().del(self.value_key(key)).await;
        self.note(removed)
    }

    pub(crate) async fn put_listed(
        &self,
        (list, member): (&str, &str),
        value: &[u8],
        lifetime: Duration,
    ) -> RedisResult<()> {
        let mut connection = self.connection();
        let put = PUT_LISTED
            .key(self.value_key(&listed_key(list, member)))
            .key(self.list_key(list))
            .arg(value)
            .arg(whole_ms(lifetime))
            .arg(member)
            .invoke_async(&mut connection)
            .await;
        self.note(put)
    }

    pub(crate) async fn listed(
        &self,
        list: &str,
        limit: usize,
    ) -> RedisResult<Vec<(String, Vec<u8>)>> {
        let mut connection = self.connection();
        let mut members: Vec<(String, Vec<u8>)> = LISTED
            .key(self.list_key(list))
            .arg(limit)
            .arg(self.value_key(&listed_key(list, "")))
            .invoke_async(&mut connection)
            .await?;
        members.sort_unstable();
        Ok(members)
    }

    pub(crate) async fn count(
        &self,
        key: &str,
        limit: u32,
        window: Duration,
    ) -> RedisResult<RateDecision> {
        let key = self.counter_key(key);
        let mut connection = self.connection();
        let counted = COUNT
            .key(key)
            .arg(whole_ms(window))
            .invoke_async(&mut connection)
            .await;
        let (count, left_ms): (u64, i64) = self.note(counted)?;
        Ok(RateDecision::of(count, limit, reset(left_ms)))
    }

    pub(crate) async fn count_unless(
        &self,
        (key, stop): (&str, &[u8]),
        counter: &str,
        limit: u32,
        window: Duration,
    ) -> RedisResult<(Option<Vec<u8>>, Option<RateDecision>)> {
        let mut connection = self.connection();
        let answer = COUNT_UNLESS
            .key(self.value_key(key))
            .key(self.counter_key(counter))
            .arg(whole_ms(window))
            .arg(stop)
            .invoke_async(&mut connection)
            .await;
        let (value, count, left_ms): (Option<Vec<u8>>, u64, i64) = self.note(answer)?;
        let decision = RateDecision::of(count, limit, reset(left_ms));
        Ok((value, (count > 0).then_some(decision)))
    }

    pub(crate) async fn publish(&self, channel: &str, message: &[u8]) -> RedisResult<()> {
        self.connection()
            .publish(self.channel_name(channel), message)
            .await
    }

    pub(crate) async fn subscribe(&self, channel: &str) -> RedisResult<Subscription> {
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

    fn connection(&self) -> ConnectionManager {
        self.lock().connection.clone()
    }

    /// After a failover an open connection leads to the former primary, which answers reads and
    /// refuses writes. The next call opens a new one then.
    fn note<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if let Err(error) = &answer
            && fault(error) == Fault::ReadOnly
        {
            self.open_anew();
        }
        answer
    }

    fn open_anew(&self) {
        let mut link = self.lock();
        if link.opened_at.elapsed() < OPEN_AGAIN {
            return;
        }
        link.opened_at = Instant::now();
        match ConnectionManager::new_lazy_with_config((*self.client).clone(), settings()) {
            Ok(connection) => {
                link.connection = connection;
                tracing::warn!("Redis may have moved; the connection to it is opened again");
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "failed to open a new connection to Redis"
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel_name(&self, channel: &str) -> String {
        format!("{}:channel:{channel}", self.prefix)
    }

    fn list_key(&self, list: &str) -> String {
        format!("{}:list:{list}", self.prefix)
    }

    fn counter_key(&self, key: &str) -> String {
        format!("{}:counter:{key}", self.prefix)
    }

    fn value_key(&self, key: &str) -> String {
        format!("{}:value:{key}", self.prefix)
    }
}

fn settings() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT))
        // A request waits for one attempt only; the next request makes the next one.
        .set_number_of_retries(0)
}

/// What an error says about the server. A script's error carries the code of the command that
/// failed in it, in its text at least.
pub(crate) fn fault(error: &RedisError) -> Fault {
    let says = |word: &str| {
        error.code() == Some(word) || error.detail().is_some_and(|detail| detail.contains(word))
    };
    if error.is_timeout() {
        Fault::Slow
    } else if error.is_io_error() || error.is_unrecoverable_error() {
        Fault::Unreachable
    } else if says("OOM") {
        Fault::Full
    } else if ["READONLY", "MISCONF", "NOREPLICAS"].into_iter().any(says) {
        Fault::ReadOnly
    } else if ["LOADING", "MASTERDOWN", "CLUSTERDOWN"]
        .into_iter()
        .any(says)
    {
        Fault::Unreachable
    } else {
        Fault::Failing
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

fn reset(left_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
}

/// Redis takes whole milliseconds, one at least.
fn whole_ms(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, LIFETIME_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_at_least_a_millisecond_and_never_too_long_for_redis() {
        assert_eq!(whole_ms(Duration::from_nanos(1)), 1);
        assert_eq!(whole_ms(Duration::MAX), LIFETIME_MS_MAX);
    }
}
