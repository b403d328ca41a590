//! Rate limits. Callers are counted in a fixed number of buckets, so that no flood of addresses
//! or device ids can fill the cache that the fleet's leases live in.

use std::net::IpAddr;
use std::time::Duration;

use gameserver_contract::ids::{DeviceId, PlayerId, SessionId};
use sha2::{Digest, Sha256};

use crate::compose::App;
use crate::config::JOIN_CODE_TRIES_PER_MINUTE;
use crate::kit::cache::RateDecision;
use crate::kit::error::Error;

const WINDOW: Duration = Duration::from_mins(1);

impl App {
    /// Counts a call of `/auth/*` from an address. `None` when there is no limit.
    pub(crate) async fn count_auth(&self, from: IpAddr) -> Result<Option<RateDecision>, Error> {
        self.count("address", &network(from), self.rate_limits.auth_per_address)
            .await
    }

    /// Counts any other call of a player.
    pub(crate) async fn count_request(
        &self,
        player: PlayerId,
    ) -> Result<Option<RateDecision>, Error> {
        self.count(
            "player",
            player.0.as_bytes(),
            self.rate_limits.requests_per_player,
        )
        .await
    }

    /// Reads a value of the cache, and counts the call of a player unless the value is `stop`; in
    /// one round trip.
    pub(crate) async fn count_request_unless(
        &self,
        (key, stop): (&str, &[u8]),
        player: PlayerId,
    ) -> Result<(Option<Vec<u8>>, Option<RateDecision>), Error> {
        let Some(limit) = self.rate_limits.requests_per_player else {
            return Ok((self.cache.get(key).await?, None));
        };
        let counter = self.counter("player", player.0.as_bytes());
        let outcome = self
            .cache
            .count_unless((key, stop), &counter, limit, WINDOW)
            .await?;
        Ok(outcome)
    }

    /// Counts a guest login of a device.
    pub(crate) async fn count_login(&self, device: DeviceId) -> Result<(), Error> {
        let limit = self.rate_limits.logins_per_device;
        refuse_over_limit(self.count("device", device.0.as_bytes(), limit).await?)
    }

    /// Counts a session that a player opens.
    pub(crate) async fn count_session(&self, player: PlayerId) -> Result<(), Error> {
        let limit = self.rate_limits.sessions_per_player;
        refuse_over_limit(self.count("session", player.0.as_bytes(), limit).await?)
    }

    /// Counts a try of a join code.
    pub(crate) async fn count_join_code(
        &self,
        session: SessionId,
        player: PlayerId,
    ) -> Result<(), Error> {
        let who = [*session.0.as_bytes(), *player.0.as_bytes()].concat();
        refuse_over_limit(
            self.count("code", &who, Some(JOIN_CODE_TRIES_PER_MINUTE))
                .await?,
        )
    }

    async fn count(
        &self,
        class: &str,
        who: &[u8],
        limit: Option<u32>,
    ) -> Result<Option<RateDecision>, Error> {
        let Some(limit) = limit else { return Ok(None) };
        let key = self.counter(class, who);
        Ok(Some(self.cache.count(&key, limit, WINDOW).await?))
    }

    /// What an address is remembered by: nobody without the key finds out which one it was.
    pub(crate) fn network_hash(&self, from: IpAddr) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.bucket_key);
        hash.update("network");
        hash.update(network(from));
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        short
    }

    fn counter(&self, class: &str, who: &[u8]) -> String {
        format!("rate:{class}:{:04x}", self.bucket(class, who))
    }

    /// One of 65,536 buckets. The key keeps outsiders from choosing whom they share one with.
    fn bucket(&self, class: &str, who: &[u8]) -> u16 {
        let mut hash = Sha256::new();
        hash.update(self.bucket_key);
        hash.update(class);
        hash.update(who);
        let digest = hash.finalize();
        u16::from_be_bytes([digest[0], digest[1]])
    }
}

fn refuse_over_limit(decision: Option<RateDecision>) -> Result<(), Error> {
    match decision {
        Some(decision) if !decision.allowed => Err(Error::RateLimited(decision)),
        _ => Ok(()),
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
