//! Measures how the process runs: the share of its processors that it uses, and how late the
//! threads of the network wake. It does not know matches or what its measurements decide.

use std::time::Duration;

use tokio::time::Instant;

use super::headroom::MEASURE_INTERVAL;

/// Pause between two looks at how late the network's threads are.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// Mean delay of the network's threads at which their load counts as 1.0: a snapshot at 20 Hz.
const LATE_MAX: Duration = Duration::from_millis(50);

/// How the process runs, as shares: 1.0 is all that there is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct ProcessLoad {
    /// Of the processors that it may use; 0 where the system does not report it.
    pub(super) processor: f32,
    /// How late the threads of the network are.
    pub(super) network: f32,
}

/// Measures until it is aborted, and hands over each measurement.
pub(super) async fn run(record: impl Fn(ProcessLoad)) {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f32);
    let mut since = Instant::now();
    let mut used = processor_time();
    let mut delays = Delays::default();
    loop {
        let due = Instant::now() + PROBE_INTERVAL;
        tokio::time::sleep_until(due).await;
        let now = Instant::now();
        delays.record(now.saturating_duration_since(due));
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURE_INTERVAL {
            continue;
        }
        let used_now = processor_time();
        let worked = used_now.saturating_sub(used);
        record(ProcessLoad {
            processor: worked.as_secs_f32() / elapsed.as_secs_f32() / cores,
            network: delays.take_mean().as_secs_f32() / LATE_MAX.as_secs_f32(),
        });
        (since, used) = (now, used_now);
    }
}

/// How late the probe woke.
#[derive(Debug, Default)]
struct Delays {
    sum: Duration,
    count: u32,
}

impl Delays {
    fn record(&mut self, delay: Duration) {
        self.sum += delay;
        self.count += 1;
    }

    fn take_mean(&mut self) -> Duration {
        let mean = self.sum / self.count.max(1);
        *self = Self::default();
        mean
    }
}

/// Processor time that this process has used, in steps of 10 ms; zero where the system does not
/// report it.
fn processor_time() -> Duration {
    let stat = procfs::process::Process::myself().and_then(|process| process.stat());
    stat.map_or(Duration::ZERO, |stat| {
        let ticks = (stat.utime + stat.stime) as f64;
        Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_processor_time() {
        let (before, began) = (processor_time(), std::time::Instant::now());
        // Whatever else the machine does, this thread gets its tenth of a second at last.
        while processor_time() < before + Duration::from_millis(100) {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "no time was counted"
            );
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_mean_begins_anew_when_it_was_taken() {
        let mut delays = Delays::default();
        delays.record(Duration::from_millis(2));
        delays.record(Duration::from_millis(6));
        assert_eq!(delays.take_mean(), Duration::from_millis(4));
        assert_eq!(delays.take_mean(), Duration::ZERO);
    }
}
