//! When a client takes another way to its match: its own path went silent or broke, or a better
//! one may be there again.
//!
//! It opens nothing itself and reads no clock: the frame loop tells it how much time has passed.

use std::time::Duration;

use gameserver_transport::close::{CloseCode, CloseReason, RefusalCode, Side};
use gameserver_transport::connect::ConnectError;

/// Most that one frame counts as silence. A program that stood still heard nothing because it did
/// not listen.
const FRAME_MAX: Duration = Duration::from_millis(250);
/// How often pauses double at most.
const DOUBLINGS_MAX: u32 = 6;
/// A link that was heard for so long ends a row of failures.
const STEADY: Duration = Duration::from_secs(10);

/// How a client keeps its seat when its path to the match breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Silence after which the seat is resumed over whichever transport comes up. A match sends
    /// ten packets a second and more, so this is many lost in a row. The old link is kept until
    /// the new one is there.
    pub silent_after: Duration,
    /// Pause after a failed attempt; it doubles with each failure in a row.
    pub retry_after: Duration,
    /// The longest pause after a failed attempt.
    pub retry_after_max: Duration,
    /// How long a transport may take to come up in one attempt.
    pub dial_timeout: Duration,
    /// How long a broken connection is tried to be replaced. The server holds a seat for 30 s
    /// unless it is configured otherwise.
    pub give_up_after: Duration,
    /// How long after the change to WebSocket QUIC is tried again; it doubles with each failure
    /// and with each further change.
    pub return_after: Duration,
    /// The longest time between two of these tries.
    pub return_after_max: Duration,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            silent_after: Duration::from_millis(1_500),
            retry_after: Duration::from_millis(250),
            retry_after_max: Duration::from_secs(4),
            dial_timeout: Duration::from_secs(4),
            give_up_after: Duration::from_secs(30),
            return_after: Duration::from_secs(5),
            return_after_max: Duration::from_mins(1),
        }
    }
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first connection, or one that the game asked for.
    Join,
    /// The path is silent or broken.
    Fallback,
    /// The path works, and QUIC would be better.
    Return,
}

/// What is known of the present link, and of the attempts to replace it.
#[derive(Debug, Default)]
pub(crate) struct LinkWatch {
    /// Since the last packet.
    silence: Duration,
    /// Since the link was opened.
    open_for: Duration,
    /// Since the link broke.
    away_for: Duration,
    /// Until the next attempt.
    pause: Duration,
    /// Attempts that failed in a row.
    failures: u32,
    /// Tries to return that failed, and changes away from QUIC.
    setbacks: u32,
}

impl LinkWatch {
    /// A frame begins. `is_open` says whether there is a link.
    pub(crate) fn pass(&mut self, delta: Duration, link: LinkState) {
        let counted = delta.min(FRAME_MAX);
        self.pause = self.pause.saturating_sub(counted);
        match link {
            LinkState::Open => {
                self.silence += counted;
                self.open_for += counted;
            }
            LinkState::Broken => self.away_for += delta,
        }
        if self.open_for >= STEADY && self.silence < FRAME_MAX {
            self.failures = 0;
        }
    }

    pub(crate) fn heard(&mut self) {
        self.silence = Duration::ZERO;
    }

    pub(crate) fn opened(&mut self) {
        self.silence = Duration::ZERO;
        self.open_for = Duration::ZERO;
        self.away_for = Duration::ZERO;
    }

    /// An attempt of this kind did not lead to a new link, or led away from the better transport.
    pub(crate) fn set_back(&mut self, policy: &ReconnectPolicy, purpose: Purpose) {
        match purpose {
            Purpose::Join => {}
            Purpose::Fallback => {
                self.pause = doubled(policy.retry_after, self.failures, policy.retry_after_max);
                self.failures = self.failures.saturating_add(1);
            }
            Purpose::Return => {
                self.setbacks = self.setbacks.saturating_add(1);
                self.open_for = Duration::ZERO;
            }
        }
    }

    /// A link that replaces a silent one is there: the next change has to wait its turn.
    pub(crate) fn fell_back(&mut self, policy: &ReconnectPolicy) {
        self.set_back(policy, Purpose::Fallback);
        self.setbacks = self.setbacks.saturating_add(1);
    }

    pub(crate) fn is_silent(&self, policy: &ReconnectPolicy) -> bool {
        self.silence >= policy.silent_after
    }

    pub(crate) fn may_try(&self) -> bool {
        self.pause.is_zero()
    }

    pub(crate) fn is_given_up(&self, policy: &ReconnectPolicy) -> bool {
        self.away_for >= policy.give_up_after
    }

    pub(crate) fn may_return(&self, policy: &ReconnectPolicy) -> bool {
        let setbacks = self.setbacks.saturating_sub(1);
        self.open_for >= doubled(policy.return_after, setbacks, policy.return_after_max)
    }
}

/// Whether there is a link now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    Open,
    Broken,
}

fn doubled(pause: Duration, times: u32, longest: Duration) -> Duration {
    (pause * 2_u32.pow(times.min(DOUBLINGS_MAX))).min(longest)
}

/// Whether the seat is still held for somebody whose connection ended like this.
pub(crate) fn is_resumable(reason: &CloseReason) -> bool {
    let broke = matches!(reason.code, CloseCode::Lost | CloseCode::Timeout);
    broke || (reason.code == CloseCode::SlowConsumer && reason.by == Side::Peer)
}

/// Whether no later attempt with the same resume token can succeed.
pub(crate) fn is_final(error: &ConnectError) -> bool {
    match error {
        ConnectError::Refused(refused) => !matches!(
            refused.code,
            RefusalCode::Busy | RefusalCode::Overloaded | RefusalCode::Timeout
        ),
        ConnectError::NoUsableOffer | ConnectError::BadHello(_) => true,
        ConnectError::Unreachable(_)
        | ConnectError::Lost(_)
        | ConnectError::MalformedResponse(_)
        | ConnectError::TimedOut => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(16);

    fn frames(watch: &mut LinkWatch, time: Duration) {
        for _ in 0..=time.as_millis() / FRAME.as_millis() {
            watch.pass(FRAME, LinkState::Open);
        }
    }

    #[test]
    fn silence_is_what_a_listening_client_does_not_hear() {
        let policy = ReconnectPolicy::default();
        let mut watch = LinkWatch::default();
        watch.pass(Duration::from_mins(1), LinkState::Open);
        assert!(!watch.is_silent(&policy), "the program stood still");
        frames(&mut watch, policy.silent_after);
        assert!(watch.is_silent(&policy));
        watch.heard();
        assert!(!watch.is_silent(&policy));
    }

    #[test]
    fn attempts_that_fail_come_less_and_less_often() {
        let policy = ReconnectPolicy::default();
        let mut watch = LinkWatch::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            watch.set_back(&policy, Purpose::Fallback);
            pauses.push(watch.pause.as_millis());
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 4_000]);
    }

    #[test]
    fn quic_is_tried_again_later_each_time_that_it_failed() {
        let policy = ReconnectPolicy::default();
        let mut watch = LinkWatch::default();
        watch.fell_back(&policy);
        frames(&mut watch, Duration::from_secs(4));
        assert!(!watch.may_return(&policy));
        frames(&mut watch, Duration::from_secs(1));
        assert!(watch.may_return(&policy));
        watch.set_back(&policy, Purpose::Return);
        frames(&mut watch, Duration::from_secs(9));
        assert!(!watch.may_return(&policy));
        frames(&mut watch, Duration::from_secs(1));
        assert!(watch.may_return(&policy));
    }
}
