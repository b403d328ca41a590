//! What every cache promises, run for memory and, where a server is given, for Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameserver_contract::clock::ManualClock;
use gameserver_contract::entropy::{SystemEntropy, random_bytes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use crate::kit::cache::subscription::MESSAGES_QUEUED_MAX;
use crate::kit::cache::{Cache, CacheError, Heard, Subscription};
use crate::test_servers;

const LONG: Duration = Duration::from_mins(1);

/// Redis runs by its own clock, so what ends in a test ends soon.
const SOON: Duration = Duration::from_millis(60);

/// A cache under test and the way to let its time pass.
struct Subject {
    cache: Cache,
    clock: Option<Arc<ManualClock>>,
}

impl Subject {
    fn memory() -> Self {
        let clock = ManualClock::at_ms(1_700_000_000_000);
        Self {
            cache: Cache::memory(clock.clone(), 5_000),
            clock: Some(clock),
        }
    }

    /// None when no server is given. Each test has keys of its own.
    async fn redis() -> Option<Self> {
        let url = test_servers::url("GAMESERVER_TEST_REDIS_URL")?;
        let prefix = format!(
            "test-{:032x}",
            u128::from_ne_bytes(random_bytes(&SystemEntropy))
        );
        let cache = Cache::redis(&url, &prefix).await.unwrap();
        Some(Self { cache, clock: None })
    }

    /// Comes back when what was set for [`SOON`] has ended, which `ended` tells.
    async fn pass(&self, ended: impl AsyncFn(&Cache) -> bool) {
        if let Some(clock) = &self.clock {
            clock.advance(SOON);
            assert!(ended(&self.cache).await, "it has not ended in time");
            return;
        }
        let deadline = Instant::now() + 3 * SOON;
        while !ended(&self.cache).await {
            assert!(Instant::now() < deadline, "it has not ended in time");
            tokio::task::yield_now().await;
        }
    }
}

/// Makes one test per case and adapter, named like `a_lease_has_one_holder::redis`.
macro_rules! for_each_cache {
    ($($case:ident)*) => {$(
        mod $case {
            use super::Subject;

            #[tokio::test]
            async fn memory() {
                super::cases::$case(Subject::memory()).await;
            }

            #[tokio::test]
            async fn redis() {
                if let Some(subject) = Subject::redis().await {
                    super::cases::$case(subject).await;
                }
            }
        }
    )*};
}

for_each_cache! {
    a_cache_that_works_takes_a_write
    a_value_is_read_back_byte_for_byte
    a_second_put_replaces_the_first
    a_value_ends_with_its_lifetime
    a_removed_value_is_gone
    a_lease_has_one_holder_among_many
    a_lease_is_free_again_after_its_end
    a_list_has_its_own_members_only_in_order
    a_list_stops_at_its_limit
    a_list_leaves_out_what_has_ended
    a_list_has_every_one_of_a_thousand_members_once
    a_limit_lets_exactly_so_many_requests_pass
    a_limit_of_zero_lets_nobody_pass
    a_new_window_starts_when_the_old_one_ends
    a_counter_and_a_value_of_one_name_do_not_meet
    a_request_is_counted_unless_the_value_says_stop
    a_message_reaches_everybody_who_listens_to_its_channel
    a_message_is_not_kept_for_who_comes_later
}

mod cases {
    use super::*;

    pub(crate) async fn a_cache_that_works_takes_a_write(subject: Subject) {
        subject.cache.check_write().await.unwrap();
    }

    pub(crate) async fn a_value_is_read_back_byte_for_byte(subject: Subject) {
        let bytes: Vec<u8> = (0..=255).collect();
        subject.cache.put("key", &bytes, LONG).await.unwrap();
        assert_eq!(subject.cache.get("key").await.unwrap(), Some(bytes));
        assert_eq!(subject.cache.get("other").await.unwrap(), None);
    }

    pub(crate) async fn a_second_put_replaces_the_first(subject: Subject) {
        subject.cache.put("key", b"first", SOON).await.unwrap();
        subject.cache.put("key", b"second", LONG).await.unwrap();
        subject.cache.put("short", b"", SOON).await.unwrap();
        subject
            .pass(async |cache| cache.get("short").await.unwrap().is_none())
            .await;
        assert_eq!(
            subject.cache.get("key").await.unwrap(),
            Some(b"second".to_vec())
        );
    }

    pub(crate) async fn a_value_ends_with_its_lifetime(subject: Subject) {
        subject.cache.put("key", b"value", SOON).await.unwrap();
        assert!(subject.cache.get("key").await.unwrap().is_some());
        subject
            .pass(async |cache| cache.get("key").await.unwrap().is_none())
            .await;
    }

    pub(crate) async fn a_removed_value_is_gone(subject: Subject) {
        subject.cache.put("key", b"value", LONG).await.unwrap();
        subject.cache.remove("key").await.unwrap();
        subject.cache.remove("never there").await.unwrap();
        assert_eq!(subject.cache.get("key").await.unwrap(), None);
    }

    pub(crate) async fn a_lease_has_one_holder_among_many(subject: Subject) {
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..32_u8 {
            let cache = subject.cache.clone();
            requests
                .spawn(async move { cache.put_if_absent("lease", &[number], LONG).await.unwrap() });
        }
        let holders = requests
            .join_all()
            .await
            .into_iter()
            .filter(|won| *won)
            .count();
        assert_eq!(holders, 1);
    }

    pub(crate) async fn a_lease_is_free_again_after_its_end(subject: Subject) {
        assert!(
            subject
                .cache
                .put_if_absent("lease", b"a", SOON)
                .await
                .unwrap()
        );
        subject
            .pass(async |cache| cache.put_if_absent("lease", b"b", LONG).await.unwrap())
            .await;
        assert_eq!(
            subject.cache.get("lease").await.unwrap(),
            Some(b"b".to_vec())
        );
    }

    async fn enter(subject: &Subject, list: &str, member: &str, lifetime: Duration) {
        let entered = subject
            .cache
            .put_listed((list, member), member.as_bytes(), lifetime);
        entered.await.unwrap();
    }

    async fn names(cache: &Cache, list: &str, limit: usize) -> Vec<String> {
        let members = cache.listed(list, limit).await.unwrap();
        assert!(members.iter().all(|(name, value)| name.as_bytes() == value));
        members.into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) async fn a_list_has_its_own_members_only_in_order(subject: Subject) {
        for (list, member) in [("a", "2"), ("a", "1"), ("ab", "3"), ("b", "4"), ("a*", "5")] {
            enter(&subject, list, member, LONG).await;
        }
        // Entered twice is listed once.
        enter(&subject, "a", "2", LONG).await;
        assert_eq!(names(&subject.cache, "a", 10).await, ["1", "2"]);
        assert_eq!(names(&subject.cache, "a*", 10).await, ["5"]);
        let value = subject.cache.get("a:1").await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"1"[..]));
    }

    pub(crate) async fn a_list_stops_at_its_limit(subject: Subject) {
        for member in ["3", "1", "4", "2"] {
            enter(&subject, "list", member, LONG).await;
        }
        assert_eq!(names(&subject.cache, "list", 2).await.len(), 2);
        assert_eq!(names(&subject.cache, "list", 0).await, [""; 0]);
    }

    pub(crate) async fn a_list_leaves_out_what_has_ended(subject: Subject) {
        enter(&subject, "list", "short", SOON).await;
        enter(&subject, "list", "long", LONG).await;
        subject
            .pass(async |cache| names(cache, "list", 10).await.len() == 1)
            .await;
        assert_eq!(names(&subject.cache, "list", 10).await, ["long"]);
        subject.cache.remove("list:long").await.unwrap();
        assert_eq!(names(&subject.cache, "list", 10).await, [""; 0]);
    }

    pub(crate) async fn a_list_has_every_one_of_a_thousand_members_once(subject: Subject) {
        let members: Vec<String> = (0..1_000).map(|number| format!("{number:04}")).collect();
        for member in &members {
            enter(&subject, "many", member, LONG).await;
        }
        assert_eq!(names(&subject.cache, "many", 5_000).await, members);
    }

    pub(crate) async fn a_limit_lets_exactly_so_many_requests_pass(subject: Subject) {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let cache = subject.cache.clone();
            requests.spawn(async move { cache.count("ip", 10, LONG).await.unwrap() });
        }
        let mut decisions = requests.join_all().await;
        assert_eq!(
            decisions.iter().filter(|decision| decision.allowed).count(),
            10
        );
        decisions.sort_by_key(|decision| std::cmp::Reverse(decision.remaining));
        assert_eq!(decisions[0].remaining, 9);
        assert_eq!(decisions[39].remaining, 0);
        assert!(
            decisions
                .iter()
                .all(|decision| decision.limit == 10 && decision.reset <= LONG)
        );
        assert!(decisions.iter().all(|decision| decision.reset > LONG / 2));
    }

    pub(crate) async fn a_limit_of_zero_lets_nobody_pass(subject: Subject) {
        assert!(!subject.cache.count("ip", 0, LONG).await.unwrap().allowed);
    }

    pub(crate) async fn a_new_window_starts_when_the_old_one_ends(subject: Subject) {
        assert!(subject.cache.count("ip", 1, SOON).await.unwrap().allowed);
        assert!(!subject.cache.count("ip", 1, SOON).await.unwrap().allowed);
        subject
            .pass(async |cache| cache.count("ip", 1, SOON).await.unwrap().allowed)
            .await;
    }

    pub(crate) async fn a_counter_and_a_value_of_one_name_do_not_meet(subject: Subject) {
        subject.cache.count("name", 5, LONG).await.unwrap();
        assert_eq!(subject.cache.get("name").await.unwrap(), None);
        subject.cache.put("name", b"value", LONG).await.unwrap();
        assert_eq!(
            subject
                .cache
                .count("name", 5, LONG)
                .await
                .unwrap()
                .remaining,
            3
        );
    }

    pub(crate) async fn a_request_is_counted_unless_the_value_says_stop(subject: Subject) {
        let count = || {
            let cache = &subject.cache;
            cache.count_unless(("key", b"stop"), "counter", 2, LONG)
        };
        let (value, decision) = count().await.unwrap();
        assert_eq!((value, decision.unwrap().remaining), (None, 1));
        subject.cache.put("key", b"go", LONG).await.unwrap();
        let (value, decision) = count().await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"go"[..]));
        assert_eq!(decision.unwrap().remaining, 0);
        subject.cache.put("key", b"stop", LONG).await.unwrap();
        assert_eq!(count().await.unwrap(), (Some(b"stop".to_vec()), None));
        let next = subject.cache.count("counter", 3, LONG).await.unwrap();
        assert!(next.allowed, "the stopped request was counted");
    }

    pub(crate) async fn a_message_reaches_everybody_who_listens_to_its_channel(subject: Subject) {
        let cache = &subject.cache;
        let mut first = cache.subscribe("news").await.unwrap();
        let mut second = cache.subscribe("news").await.unwrap();
        let mut other = cache.subscribe("weather").await.unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        cache.publish("news", &bytes).await.unwrap();
        cache.publish("news", b"").await.unwrap();
        cache.publish("weather", b"rain").await.unwrap();
        for listener in [&mut first, &mut second] {
            assert_eq!(hear(listener).await, message(&bytes));
            assert_eq!(hear(listener).await, message(b""));
            assert_eq!(listener.next_waiting(), None);
        }
        assert_eq!(hear(&mut other).await, message(b"rain"));
    }

    pub(crate) async fn a_message_is_not_kept_for_who_comes_later(subject: Subject) {
        let cache = &subject.cache;
        cache.publish("news", b"old").await.unwrap();
        let mut late = cache.subscribe("news").await.unwrap();
        cache.publish("news", b"new").await.unwrap();
        assert_eq!(hear(&mut late).await, message(b"new"));
    }
}

/// What a listener hears next, within a time that no message should take.
async fn hear(subscription: &mut Subscription) -> Heard {
    tokio::time::timeout(Duration::from_secs(5), subscription.next())
        .await
        .expect("nothing was heard")
}

fn message(bytes: &[u8]) -> Heard {
    Heard::Message(bytes.into())
}

#[tokio::test]
async fn who_falls_too_far_behind_is_told_that_messages_are_missing() {
    let cache = Cache::memory(ManualClock::at_ms(0), 1);
    let mut slow = cache.subscribe("news").await.unwrap();
    for number in 0..=MESSAGES_QUEUED_MAX {
        let number = number.to_be_bytes();
        cache.publish("news", &number).await.unwrap();
    }
    assert_eq!(slow.next_waiting(), Some(Heard::Gap));
    assert_eq!(hear(&mut slow).await, message(&1_usize.to_be_bytes()));
}

async fn carry(mut near: TcpStream, mut far: TcpStream, mut cut: broadcast::Receiver<()>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.recv() => {}
    }
}

/// A Redis behind a cable that the test cuts.
#[tokio::test]
async fn who_lost_the_server_for_a_while_is_told_so_and_listens_on() {
    let Some(url) = test_servers::url("GAMESERVER_TEST_REDIS_URL") else {
        return;
    };
    let address = url
        .trim_start_matches("redis://")
        .split('/')
        .next()
        .unwrap();
    let cable = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("redis://{}", cable.local_addr().unwrap());
    let (cut, _) = broadcast::channel::<()>(1);
    let (server, cutter) = (address.to_owned(), cut.clone());
    tokio::spawn(async move {
        while let Ok((near, _)) = cable.accept().await {
            let far = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(carry(near, far, cutter.subscribe()));
        }
    });
    let prefix = format!(
        "test-{:032x}",
        u128::from_ne_bytes(random_bytes(&SystemEntropy))
    );
    let speaker = Cache::redis(&url, &prefix).await.unwrap();
    let listener = Cache::redis(&through, &prefix).await.unwrap();
    let mut subscription = listener.subscribe("news").await.unwrap();
    speaker.publish("news", b"before").await.unwrap();
    assert_eq!(hear(&mut subscription).await, message(b"before"));
    cut.send(()).unwrap();
    assert_eq!(hear(&mut subscription).await, Heard::Gap);
    speaker.publish("news", b"after").await.unwrap();
    assert_eq!(hear(&mut subscription).await, message(b"after"));
}

#[tokio::test]
async fn a_full_memory_refuses_new_entries_until_one_ends() {
    let clock = ManualClock::at_ms(0);
    let cache = Cache::memory(clock.clone(), 2);
    cache.put("first", b"", SOON).await.unwrap();
    cache.count("second", 1, LONG).await.unwrap();
    assert!(matches!(
        cache.put("third", b"", LONG).await,
        Err(CacheError::Full(2))
    ));
    assert!(matches!(
        cache.count("third", 1, LONG).await,
        Err(CacheError::Full(2))
    ));
    cache.put("first", b"again", SOON).await.unwrap();
    clock.advance(SOON);
    cache.put("third", b"", LONG).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_and_not_a_wait() {
    let begin = Instant::now();
    let error = Cache::redis("redis://127.0.0.1:1", "test")
        .await
        .unwrap_err();
    assert!(matches!(error, CacheError::Redis(_)));
    assert!(begin.elapsed() < Duration::from_secs(2));
}
