//! How specs wait: for an event or for a condition, never for time, and never longer than a
//! deadline.

use std::time::Duration;

/// Longer than anything here takes on a busy machine; a spec that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks at a condition: one frame at 60 Hz.
const LOOK_INTERVAL: Duration = Duration::from_micros(16_667);

/// Waits for an event.
///
/// # Panics
///
/// When it does not come in time.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("the event comes in time")
}

/// Waits until a condition holds that nobody announces. It is looked at once a frame, so a look
/// may also drive clients by a frame.
///
/// # Panics
///
/// When it does not hold in time.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let holds = async {
        loop {
            looks.tick().await;
            if condition() {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, holds).await;
    assert!(in_time.is_ok(), "not in time: {what}");
}
