//! Which threads give way: those with a deadline, which step matches, go first.
//!
//! It knows neither what those threads do nor who starts them.

/// Lets the calling thread, and those that it starts, give way to the threads that step matches: it
/// runs at `nice` 10 and, when it wakes, does not interrupt one that is at work (`SCHED_BATCH`,
/// `sched(7)`). For threads whose work can wait a millisecond: of the network, of SQLite and of
/// the match logs. Measured on one core: `docs/performance.md`.
///
/// Where the system has no such thing, or does not allow it, nothing changes.
#[cfg(target_os = "linux")]
pub fn yield_to_ticks() {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_native_id,
    };
    use thread_priority::{ThreadPriority, set_thread_priority_and_policy};

    let Ok(priority) = PRIORITY.try_into().map(ThreadPriority::Crossplatform) else {
        return;
    };
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        tracing::debug!(%error, "a thread does not give way to ticks");
    }
}

/// Lets the calling thread give way, where the system can.
#[cfg(not(target_os = "linux"))]
pub fn yield_to_ticks() {}

/// Of 99, as `thread_priority` counts: `nice` 10. On a busy core a tenth of it is left.
#[cfg(target_os = "linux")]
const PRIORITY: u8 = 22;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use procfs::FromRead as _;
    use procfs::process::Stat;

    use super::*;

    /// `SCHED_BATCH` of `sched(7)`.
    const BATCH: u32 = 3;

    /// What the system says of the calling thread.
    fn niceness_and_policy() -> (i64, Option<u32>) {
        let stat = Stat::from_file("/proc/thread-self/stat").expect("a thread has one");
        (stat.nice, stat.policy)
    }

    #[test]
    fn a_thread_gives_way_and_so_do_those_that_it_starts() {
        let own_and_child = thread::spawn(|| {
            yield_to_ticks();
            let child = thread::spawn(niceness_and_policy).join().expect("no panic");
            (niceness_and_policy(), child)
        });
        let gives_way = (10, Some(BATCH));
        assert_eq!(
            own_and_child.join().expect("no panic"),
            (gives_way, gives_way)
        );
    }
}
