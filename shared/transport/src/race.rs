//! Happy eyeballs: several ways to the same goal, the better ones with a head start.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// Runs attempts until one succeeds. The next one begins after `stagger`, or at once when another
/// fails; the rest is dropped when there is a winner. Without a winner it returns every error.
pub(crate) async fn race<T, E, F>(
    stagger: Duration,
    attempts: impl IntoIterator<Item = F>,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().peekable();
    let mut running: FuturesUnordered<F> = waiting.next().into_iter().collect();
    let mut errors = Vec::new();
    while !running.is_empty() {
        tokio::select! {
            Some(outcome) = running.next() => match outcome {
                Ok(winner) => return Ok(winner),
                Err(error) => {
                    errors.push(error);
                    running.extend(waiting.next());
                }
            },
            () = tokio::time::sleep(stagger), if waiting.peek().is_some() => {
                running.extend(waiting.next());
            }
        }
    }
    Err(errors)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const STAGGER: Duration = Duration::from_millis(250);

    async fn attempt(delay_ms: u64, outcome: Result<u8, u8>) -> Result<u8, u8> {
        sleep(Duration::from_millis(delay_ms)).await;
        outcome
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_attempt_wins_when_it_is_fast_enough() {
        let attempts = [attempt(300, Ok(1)), attempt(100, Ok(2))];
        assert_eq!(race(STAGGER, attempts).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_attempt_wins_when_the_first_one_hangs() {
        let attempts = [attempt(3_600_000, Ok(1)), attempt(100, Ok(2))];
        let began = Instant::now();
        assert_eq!(race(STAGGER, attempts).await, Ok(2));
        assert_eq!(began.elapsed(), Duration::from_millis(350));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_attempt_at_once() {
        let began = Instant::now();
        assert_eq!(
            race(STAGGER, [attempt(10, Err(1)), attempt(20, Ok(2))]).await,
            Ok(2)
        );
        assert_eq!(began.elapsed(), Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn every_error_is_told_when_nothing_succeeds() {
        let attempts = [attempt(20, Err(1)), attempt(10, Err(2))];
        assert_eq!(race(STAGGER, attempts).await, Err(vec![1, 2]));
        assert_eq!(
            race(STAGGER, Vec::<std::future::Ready<Result<u8, u8>>>::new()).await,
            Err(vec![])
        );
    }
}
