//! Decides when the next self-signed certificate replaces the one before. The caller passes the
//! time, publishes the hashes to clients and hands the certificates to the listener.
//!
//! A client pins the hash that it received when it joined, which may be some time ago when it
//! resumes. So the next certificate's hash is published [`ANNOUNCED_AHEAD`] before it is served: a
//! client that has both recognises the server before the switch and after it.

use std::time::{Duration, SystemTime};

use crate::certificate::{BACKDATING, IdentityError, LIFETIME, ServerCertificate};

/// A certificate is served until half its life is over.
pub const SERVED_FOR: Duration = LIFETIME.checked_div(2).expect("two is not zero");
/// The next certificate's hash is published so long before the switch: longer than a match, so that
/// those who play can still resume.
pub const ANNOUNCED_AHEAD: Duration = Duration::from_hours(2);

/// The self-signed certificate that is served, and the next one once it is announced.
#[derive(Debug)]
pub struct CertificateRotation {
    names: Vec<String>,
    served: IssuedCertificate,
    next: Option<IssuedCertificate>,
}

#[derive(Debug)]
struct IssuedCertificate {
    certificate: ServerCertificate,
    made: SystemTime,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationChange {
    /// Nothing.
    Unchanged,
    /// There are two hashes to publish now.
    Announced,
    /// The served certificate is another one, and its hash is the only one.
    Switched,
}

impl CertificateRotation {
    /// Makes the first certificate for these host names and addresses.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generation`].
    pub fn begin(names: Vec<String>, now: SystemTime) -> Result<Self, IdentityError> {
        let served = IssuedCertificate::make(&names, now)?;
        Ok(Self {
            names,
            served,
            next: None,
        })
    }

    /// The certificate to serve.
    #[must_use]
    pub fn served(&self) -> &ServerCertificate {
        &self.served.certificate
    }

    /// The hashes for clients, the served certificate's first.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.served).chain(&self.next);
        all.map(|dated| dated.certificate.sha256())
    }

    /// Does what is due. It may be called as seldom as every hour: a certificate that expired
    /// meanwhile is replaced without notice.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generation`]; nothing has changed then.
    pub fn advance(&mut self, now: SystemTime) -> Result<RotationChange, IdentityError> {
        let expired = now >= self.served.made - BACKDATING + LIFETIME;
        match self.next.take() {
            Some(next) if expired || now >= next.made + ANNOUNCED_AHEAD => {
                self.served = next;
                Ok(RotationChange::Switched)
            }
            Some(next) => {
                self.next = Some(next);
                Ok(RotationChange::Unchanged)
            }
            None if expired => {
                self.served = IssuedCertificate::make(&self.names, now)?;
                Ok(RotationChange::Switched)
            }
            None if now >= self.served.made + SERVED_FOR - ANNOUNCED_AHEAD => {
                self.next = Some(IssuedCertificate::make(&self.names, now)?);
                Ok(RotationChange::Announced)
            }
            None => Ok(RotationChange::Unchanged),
        }
    }
}

impl IssuedCertificate {
    fn make(names: &[String], now: SystemTime) -> Result<Self, IdentityError> {
        Ok(Self {
            certificate: ServerCertificate::self_signed(names, now)?,
            made: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn rotation() -> CertificateRotation {
        CertificateRotation::begin(vec!["localhost".to_owned()], START + LIFETIME).unwrap()
    }

    fn hashes(rotation: &CertificateRotation) -> Vec<String> {
        rotation.hashes().map(str::to_owned).collect()
    }

    #[test]
    fn the_next_hash_is_published_before_its_certificate_is_served() {
        let (mut rotation, began) = (rotation(), START + LIFETIME);
        let first = hashes(&rotation);
        let second = Duration::from_secs(1);
        let announced = began + SERVED_FOR - ANNOUNCED_AHEAD;
        assert_eq!(
            rotation.advance(announced - second).unwrap(),
            RotationChange::Unchanged
        );
        assert_eq!(
            rotation.advance(announced).unwrap(),
            RotationChange::Announced
        );
        let both = hashes(&rotation);
        assert_eq!((&both[..1], both.len()), (first.as_slice(), 2));
        let switched = announced + ANNOUNCED_AHEAD;
        assert_eq!(
            rotation.advance(switched - second).unwrap(),
            RotationChange::Unchanged
        );
        assert_eq!(
            rotation.advance(switched).unwrap(),
            RotationChange::Switched
        );
        assert_eq!(hashes(&rotation), both[1..]);
        assert_eq!(rotation.served().sha256(), both[1]);
    }

    #[test]
    fn an_expired_certificate_is_replaced_without_notice() {
        let (mut rotation, began) = (rotation(), START + LIFETIME);
        let first = hashes(&rotation);
        assert_eq!(
            rotation.advance(began + LIFETIME).unwrap(),
            RotationChange::Switched
        );
        assert_ne!(hashes(&rotation), first);
        assert_eq!(
            rotation.advance(began + LIFETIME).unwrap(),
            RotationChange::Unchanged
        );
    }

    #[test]
    fn a_served_certificate_never_has_expired_when_it_is_looked_after_every_hour() {
        let (mut rotation, began) = (rotation(), START + LIFETIME);
        let mut turns = [0, 0];
        for hour in 1..=24 * 60 {
            let now = began + Duration::from_hours(hour);
            match rotation.advance(now).unwrap() {
                RotationChange::Unchanged => {}
                RotationChange::Announced => turns[0] += 1,
                RotationChange::Switched => turns[1] += 1,
            }
            assert!(now < rotation.served.made - BACKDATING + LIFETIME);
        }
        assert_eq!(turns, [9, 9]);
    }
}
