//! Rate limits. Callers are counted in a fixed number of buckets, so that no flood of addresses
//! or device ids can fill the cache that the fleet's leases live in.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::kit::cache::{Cache, RateDecision};
use crate::kit::error::KitError;

const WINDOW: Duration = Duration::from_mins(1);

/// How often callers of one class may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RatePolicy {
    /// Names the counters; no two policies share one.
    pub(crate) class: &'static str,
    /// `None` sets no limit.
    pub(crate) per_minute: Option<u32>,
}

/// Counts callers in the cache, for all replicas together.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    cache: Cache,
    key: [u8; 32],
}

impl Rates {
    /// The key keeps outsiders from choosing whom they share a bucket with.
    pub(crate) fn new(cache: Cache, key: [u8; 32]) -> Self {
        Self { cache, key }
    }

    /// Counts a call. `None` when there is no limit.
    pub(crate) async fn count(
        &self,
        policy: RatePolicy,
        who: &[u8],
    ) -> Result<Option<RateDecision>, KitError> {
        let Some(limit) = policy.per_minute else {
            return Ok(None);
        };
        let counter = self.counter(policy.class, who);
        Ok(Some(self.cache.count(&counter, limit, WINDOW).await?))
    }

    /// Counts a call and refuses it over the limit.
    pub(crate) async fn spend(&self, policy: RatePolicy, who: &[u8]) -> Result<(), KitError> {
        match self.count(policy, who).await? {
            Some(decision) if !decision.allowed => Err(KitError::RateLimited(decision)),
            _ => Ok(()),
        }
    }

    /// Reads a value of the cache, and counts the call unless the value is `stop`; in one round
    /// trip.
    pub(crate) async fn count_unless(
        &self,
        (key, stop): (&str, &[u8]),
        policy: RatePolicy,
        who: &[u8],
    ) -> Result<(Option<Vec<u8>>, Option<RateDecision>), KitError> {
        let Some(limit) = policy.per_minute else {
            return Ok((self.cache.get(key).await?, None));
        };
        let counter = self.counter(policy.class, who);
        let outcome = self
            .cache
            .count_unless((key, stop), &counter, limit, WINDOW)
            .await?;
        Ok(outcome)
    }

    /// What an address is remembered by: nobody without the key finds out which one it was.
    pub(crate) fn network_hash(&self, from: IpAddr) -> [u8; 16] {
        let digest = self.digest("network", &network(from));
        std::array::from_fn(|at| digest[at])
    }

    /// One of 65,536 buckets.
    fn counter(&self, class: &str, who: &[u8]) -> String {
        let digest = self.digest(class, who);
        format!("rate:{class}:{:02x}{:02x}", digest[0], digest[1])
    }

    fn digest(&self, class: &str, who: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(class);
        hash.update(who);
        hash.finalize().into()
    }
}

/// The part of an address that one client cannot change at will: all of IPv4, a /64 of IPv6.
pub(crate) fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
