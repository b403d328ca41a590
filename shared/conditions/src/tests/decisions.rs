//! The decisions over many packets, with a clock of the test's own: shares, bounds, repeatability.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::network_conditions::NetworkConditions;
use crate::path::{Fate, NetworkPath, RATE_QUEUE_MAX};

/// Packets of one path; enough that a share of 1 % is known to within a twentieth of it.
const PACKETS: usize = 50_000;
const BYTES: usize = 100;

fn conditions(text: &str) -> NetworkConditions {
    text.parse().unwrap()
}

/// The fates of packets that leave so far apart, each with its time of leaving.
fn fates(text: &str, seed: u64, apart: Duration) -> Vec<(Instant, Fate)> {
    let mut path = NetworkPath::new(conditions(text), seed);
    let mut now = Instant::now();
    let mut fates = Vec::with_capacity(PACKETS);
    for _ in 0..PACKETS {
        fates.push((now, path.decide(now, BYTES)));
        now += apart;
    }
    fates
}

fn share(fates: &[(Instant, Fate)], holds: impl Fn(&Fate) -> bool) -> f64 {
    let count = fates.iter().filter(|(_, fate)| holds(fate)).count();
    count as f64 / fates.len() as f64
}

/// Lengths of the runs of lost packets.
fn bursts(fates: &[(Instant, Fate)]) -> Vec<usize> {
    let runs = fates.chunk_by(|left, right| (left.1 == Fate::Lost) == (right.1 == Fate::Lost));
    let lost = runs.filter(|run| run[0].1 == Fate::Lost);
    lost.map(<[_]>::len).collect()
}

fn mean(lengths: &[usize]) -> f64 {
    lengths.iter().sum::<usize>() as f64 / lengths.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_share_of_lost_packets_is_right_whatever_the_bursts(
        seed: u64,
        loss in 1..40_u32,
        burst in 1..20_u32,
    ) {
        let text = format!("loss={loss}%,burst={burst}");
        let fates = fates(&text, seed, Duration::ZERO);
        let (wanted, found) = (f64::from(loss) / 100.0, share(&fates, |fate| *fate == Fate::Lost));
        // Six standard deviations; runs of this length make a sample so much smaller.
        let runs = (2.0 * f64::from(burst.max(2)) - 1.0) / PACKETS as f64;
        let tolerance = 6.0 * (wanted * (1.0 - wanted) * runs).sqrt();
        prop_assert!((found - wanted).abs() < tolerance, "{found} for {wanted}");
    }

    #[test]
    fn lost_packets_come_in_bursts_of_the_wanted_length(seed: u64, burst in 2..12_u32) {
        let fates = fates(&format!("loss=5%,burst={burst}"), seed, Duration::ZERO);
        let found = mean(&bursts(&fates));
        let wanted = f64::from(burst);
        prop_assert!((found - wanted).abs() < wanted * 0.4, "{found} for {wanted}");
    }

    #[test]
    fn losses_of_their_own_follow_each_other_as_chance_has_it(seed: u64) {
        let found = mean(&bursts(&fates("loss=20%", seed, Duration::ZERO)));
        // 1 / (1 - share)
        prop_assert!((found - 1.25).abs() < 0.05, "{found}");
    }

    #[test]
    fn packets_arrive_within_the_jitter(seed: u64, delay in 0..200_u64, jitter in 0..200_u64) {
        let jitter = jitter.min(delay);
        let text = format!("delay={delay}ms,jitter={jitter}ms,duplicate=50%");
        let ms = Duration::from_millis;
        for (now, fate) in fates(&text, seed, ms(1)) {
            let Fate::Arrives { at, again, overtakes } = fate else {
                return Err(TestCaseError::fail("lost without a loss"));
            };
            let allowed = now + ms(delay - jitter)..=now + ms(delay + jitter);
            prop_assert!(!overtakes);
            prop_assert!(allowed.contains(&at));
            prop_assert!(again.is_none_or(|again| allowed.contains(&again)));
        }
    }

    #[test]
    fn the_same_seed_does_the_same_whenever_the_packets_come(seed: u64) {
        let text = "delay=50ms,jitter=50ms,loss=10%,burst=3,duplicate=5%,reorder=5%";
        let relative = |apart| {
            let fates = fates(text, seed, apart).into_iter().map(|(now, fate)| match fate {
                Fate::Arrives { at, overtakes, again } => {
                    Some((at - now, overtakes, again.map(|again| again - now)))
                }
                Fate::Lost | Fate::OverRate => None,
            });
            fates.collect::<Vec<_>>()
        };
        let first = relative(Duration::ZERO);
        prop_assert!(first == relative(Duration::from_millis(17)));
        let other = fates(text, seed.wrapping_add(1), Duration::ZERO);
        let losses = other.iter().map(|(_, fate)| *fate == Fate::Lost);
        prop_assert!(!losses.eq(first.iter().map(Option::is_none)));
    }

    #[test]
    fn no_more_leaves_than_the_rate_and_its_queue_allow(seed: u64, apart_us in 50..2_000_u64) {
        let rate = 200_000.0;
        let fates = fates("rate=200kB/s", seed, Duration::from_micros(apart_us));
        let own = Duration::from_secs_f64(BYTES as f64 / rate);
        let mut last_left = None;
        for (now, fate) in &fates {
            if let Fate::Arrives { at, .. } = *fate {
                prop_assert!(at <= *now + RATE_QUEUE_MAX + own * 2);
                // One after the other, each with its time.
                let nanosecond = Duration::from_nanos(1);
                prop_assert!(last_left.is_none_or(|last| at + nanosecond >= last + own));
                last_left = Some(at);
            }
        }
        let offered = BYTES as f64 / (apart_us as f64 / 1e6);
        let over = share(&fates, |fate| *fate == Fate::OverRate);
        let wanted = (1.0 - rate / offered).max(0.0);
        prop_assert!((over - wanted).abs() < 0.03, "{over} for {wanted}");
    }
}

#[test]
fn shares_of_packets_come_twice_or_overtake() {
    let fates = fates("delay=30ms,duplicate=2%,reorder=3%", 7, Duration::ZERO);
    let twice = share(&fates, |fate| {
        matches!(fate, Fate::Arrives { again: Some(_), .. })
    });
    assert!((twice - 0.02).abs() < 0.004, "{twice}");
    let overtaking = share(&fates, |fate| {
        matches!(
            fate,
            Fate::Arrives {
                overtakes: true,
                ..
            }
        )
    });
    assert!((overtaking - 0.03).abs() < 0.005, "{overtaking}");
    for (now, fate) in fates {
        let Fate::Arrives { at, overtakes, .. } = fate else {
            panic!("lost without a loss")
        };
        let delay = Duration::from_millis(if overtakes { 0 } else { 30 });
        assert_eq!(at, now + delay);
    }
}

#[test]
fn all_or_nothing_is_lost_at_the_ends_of_the_scale() {
    for burst in [1, 4] {
        let all = fates(&format!("loss=100%,burst={burst}"), 3, Duration::ZERO);
        assert!(all.iter().all(|(_, fate)| *fate == Fate::Lost));
        let none = fates(&format!("loss=0%,burst={burst}"), 3, Duration::ZERO);
        assert!(
            none.iter()
                .all(|(_, fate)| matches!(fate, Fate::Arrives { .. }))
        );
    }
}

#[test]
fn a_segment_of_tcp_is_late_by_its_retransmissions_and_at_last_given_up() {
    let now = Instant::now();
    let mut path = NetworkPath::new(conditions("delay=50ms,loss=100%"), 1);
    let delivery = path.deliver(now, BYTES);
    assert_eq!((delivery.lost, delivery.arrives), (15, false));
    // 0.3 s doubled up to 120 s: 2^9 - 1 times 0.3 s, and six times the most.
    assert_eq!(
        delivery.at - now,
        Duration::from_millis(50 + 153_300 + 720_000)
    );
    let mut path = NetworkPath::new(conditions("delay=50ms"), 1);
    let delivery = path.deliver(now, BYTES);
    assert_eq!((delivery.lost, delivery.arrives), (0, true));
    assert_eq!(delivery.at - now, Duration::from_millis(50));
}
