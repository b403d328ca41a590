//! How long the certificate of the game port may still be used: a metric, and log lines before and
//! after its end. An expired certificate is served all the same, and every player who checks it is
//! turned away without a line here.
//!
//! It reads no file and no clock.

use std::time::{Duration, SystemTime};

use gameserver_transport::certificate::{ServerCertificate, Validity};
use metrics::gauge;

/// Time before the end in which somebody should do something: certificate authorities renew weeks
/// ahead, so what is closer than this was forgotten.
const WARNED_AHEAD: Duration = Duration::from_hours(14 * 24);
/// How often a certificate that nobody can use is reported again.
const USELESS_AGAIN_AFTER: Duration = Duration::from_hours(1);
/// How often one that ends soon is reported again.
const ENDING_AGAIN_AFTER: Duration = Duration::from_hours(24);

/// How a certificate stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    NotYet,
    Good,
    Ending,
    Expired,
}

impl Standing {
    fn of(validity: Validity, now: SystemTime) -> Self {
        if now < validity.from {
            Self::NotYet
        } else if now >= validity.until {
            Self::Expired
        } else if now + WARNED_AHEAD >= validity.until {
            Self::Ending
        } else {
            Self::Good
        }
    }

    fn again_after(self) -> Duration {
        match self {
            Self::Good => Duration::MAX,
            Self::Ending => ENDING_AGAIN_AFTER,
            Self::NotYet | Self::Expired => USELESS_AGAIN_AFTER,
        }
    }
}

/// What was reported last, so that nothing is reported every minute.
#[derive(Debug, Default)]
pub(crate) struct ValidityWatch {
    reported: Option<(Validity, Standing, SystemTime)>,
}

impl ValidityWatch {
    /// Looks at a certificate that others renew; a self-signed one is replaced in time by itself.
    pub(crate) fn look_at_given(&mut self, certificate: &ServerCertificate, now: SystemTime) {
        let Some(validity) = certificate.validity() else {
            return;
        };
        note(validity);
        let standing = Standing::of(validity, now);
        if !self.is_due(validity, standing, now) {
            return;
        }
        self.reported = Some((validity, standing, now));
        let days = |span: Duration| span.as_secs() / 86_400;
        match standing {
            Standing::Good => {}
            Standing::Ending => {
                let left = validity.until.duration_since(now).unwrap_or_default();
                tracing::warn!(
                    days = days(left),
                    "the certificate of the game port ends soon; renew the files of \
                     game.certificate_chain and game.certificate_key"
                );
            }
            Standing::Expired => {
                let past = now.duration_since(validity.until).unwrap_or_default();
                tracing::error!(
                    days = days(past),
                    "the certificate of the game port has expired: players who check it cannot \
                     connect; renew the files of game.certificate_chain and game.certificate_key"
                );
            }
            Standing::NotYet => tracing::error!(
                "the certificate of the game port is not valid yet: players who check it cannot \
                 connect; look at the clock of this machine and at the files"
            ),
        }
    }

    fn is_due(&self, validity: Validity, standing: Standing, now: SystemTime) -> bool {
        let Some((reported, before, at)) = self.reported else {
            return true;
        };
        let since = now.duration_since(at).unwrap_or_default();
        reported != validity || before != standing || since >= standing.again_after()
    }
}

/// Writes the metric.
pub(crate) fn note(validity: Validity) {
    let until = validity.until.duration_since(SystemTime::UNIX_EPOCH);
    gauge!("gs_certificate_expires_at_seconds").set(until.unwrap_or_default().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * days
    }

    fn validity() -> Validity {
        Validity {
            from: at(100),
            until: at(200),
        }
    }

    #[test]
    fn a_certificate_is_good_between_its_beginning_and_two_weeks_before_its_end() {
        for (day, standing) in [
            (99, Standing::NotYet),
            (100, Standing::Good),
            (185, Standing::Good),
            (186, Standing::Ending),
            (199, Standing::Ending),
            (200, Standing::Expired),
        ] {
            assert_eq!(Standing::of(validity(), at(day)), standing, "day {day}");
        }
    }

    #[test]
    fn the_same_is_told_once_an_hour_and_what_is_new_at_once() {
        let hour = Duration::from_hours(1);
        let mut watch = ValidityWatch::default();
        let due = |watch: &ValidityWatch, now| {
            watch.is_due(validity(), Standing::of(validity(), now), now)
        };
        assert!(due(&watch, at(201)));
        watch.reported = Some((validity(), Standing::Expired, at(201)));
        assert!(!due(&watch, at(201) + hour / 2));
        assert!(due(&watch, at(201) + hour));
        let renewed = Validity {
            until: at(300),
            ..validity()
        };
        assert!(watch.is_due(renewed, Standing::Good, at(201)));
    }
}
