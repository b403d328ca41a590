//! Lowers the priority of threads without a deadline below those that step matches.
//!
//! It knows neither what those threads do nor who starts them.

/// Lets the calling thread, and those that it starts, yield to the threads that step matches: it
/// runs at a `nice` value 10 above that of the process and, when it wakes, does not interrupt one
/// that is at work (`SCHED_BATCH`, `sched(7)`). For threads whose work can wait a millisecond: of
/// the network, of output, of SQLite and of the match logs. Measured on one core:
/// `docs/performance.md`.
///
/// Where the system has no such thing, or does not allow it, nothing changes.
#[cfg(target_os = "linux")]
pub fn yield_to_ticks() {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_native_id,
    };
    use thread_priority::{ThreadPriority, set_thread_priority_and_policy};

    let priority = priority_at(nice_of_process() + NICE_ABOVE).try_into();
    let Ok(priority) = priority.map(ThreadPriority::Crossplatform) else {
        return;
    };
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a thread does not yield to ticks"
        );
    }
}

/// Lets the calling thread yield, where the system can.
#[cfg(not(target_os = "linux"))]
pub fn yield_to_ticks() {}

/// How much lower than the process itself: on a busy core a tenth of it is left.
#[cfg(target_os = "linux")]
const NICE_ABOVE: i64 = 10;

/// What the process was started with: its main thread never yields.
#[cfg(target_os = "linux")]
fn nice_of_process() -> i64 {
    use procfs::process::Process;

    let stat = Process::myself().and_then(|process| process.stat());
    stat.map_or(0, |stat| stat.nice)
}

/// A `nice` value as `thread_priority` counts: 0 to 99 for 19 to -20.
#[cfg(target_os = "linux")]
fn priority_at(nice: i64) -> u8 {
    let above_lowest = 19 - nice.clamp(-20, 19);
    u8::try_from(above_lowest * 99 / 39).unwrap_or(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use procfs::FromRead as _;
    use procfs::process::Stat;

    use super::*;

    /// `SCHED_BATCH` of `sched(7)`.
    const BATCH: u32 = 3;

    /// What the system reports about the calling thread.
    fn niceness_and_policy() -> (i64, Option<u32>) {
        let stat = Stat::from_file("/proc/thread-self/stat").expect("a thread has one");
        (stat.nice, stat.policy)
    }

    #[test]
    fn priorities_are_counted_the_other_way_round() {
        assert_eq!([19, 25, 10, 15].map(priority_at), [0, 0, 22, 10]);
    }

    #[test]
    fn a_thread_gives_way_and_so_do_those_that_it_starts() {
        let own_and_child = thread::spawn(|| {
            yield_to_ticks();
            let child = thread::spawn(niceness_and_policy).join().expect("no panic");
            (niceness_and_policy(), child)
        });
        // As when the tests themselves are started with a `nice` value.
        let gives_way = ((nice_of_process() + NICE_ABOVE).min(19), Some(BATCH));
        assert_eq!(
            own_and_child.join().expect("no panic"),
            (gives_way, gives_way)
        );
    }
}
