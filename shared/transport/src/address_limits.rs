//! Limits how many connections each address has, so that nobody takes all there are.
//!
//! An address is an IPv4 address, or the first 64 bits of an IPv6 address, which is what a
//! household is given. It knows no sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bits of an IPv6 address that name its network.
const NETWORK: u128 = !0 << 64;

/// Whether clients of this machine count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// They do not: a proxy in front of this server, and load tests, have one address for all.
    Exempt,
    /// They do.
    Counted,
}

/// Counts by address, with a maximum for each. It has as many entries as there are connections at
/// most.
#[derive(Debug)]
pub(crate) struct AddressLimits {
    each_max: usize,
    loopback: Loopback,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts for its address until this is dropped.
#[derive(Debug)]
pub(crate) struct AddressSlot {
    of: Arc<AddressLimits>,
    /// None for an address that is not counted.
    address: Option<IpAddr>,
}

impl AddressLimits {
    /// Of each address so many. 0 is no limit.
    pub(crate) fn new(each_max: usize, loopback: Loopback) -> Arc<Self> {
        Arc::new(Self {
            each_max,
            loopback,
            counts: Mutex::default(),
        })
    }

    /// A permit for one more; none when this address has its maximum.
    pub(crate) fn try_enter(self: &Arc<Self>, address: IpAddr) -> Option<AddressSlot> {
        let address = self.counted(address);
        if let Some(address) = address {
            let mut counts = self.counts();
            let count = counts.entry(address).or_default();
            if *count >= self.each_max {
                return None;
            }
            *count += 1;
        }
        Some(AddressSlot {
            of: Arc::clone(self),
            address,
        })
    }

    /// True when this address has its maximum.
    pub(crate) fn is_full_for(&self, address: IpAddr) -> bool {
        let count = self
            .counted(address)
            .and_then(|address| self.counts().get(&address).copied());
        count.is_some_and(|count| count >= self.each_max)
    }

    /// What this address counts as, if it counts.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        let is_exempt = self.loopback == Loopback::Exempt && address.is_loopback();
        if is_exempt || self.each_max == 0 {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A panic elsewhere cannot leave it half changed: nothing in here panics.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.of.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_maximum_and_another_has_its_own() {
        let limits = AddressLimits::new(2, Loopback::Exempt);
        let enter = |text| limits.try_enter(address(text));
        let (first, second) = (enter("203.0.113.1"), enter("203.0.113.1"));
        assert!(first.is_some() && second.is_some());
        // The same address, as a socket for both families shows it.
        assert!(enter("::ffff:203.0.113.1").is_none());
        assert!(limits.is_full_for(address("203.0.113.1")));
        assert!(enter("203.0.113.2").is_some());
        drop(first);
        assert!(enter("203.0.113.1").is_some());
    }

    #[test]
    fn a_household_is_one_address() {
        let limits = AddressLimits::new(1, Loopback::Exempt);
        let first = limits.try_enter(address("2001:db8:0:1::1"));
        assert!(first.is_some());
        assert!(limits.try_enter(address("2001:db8:0:1:ffff::2")).is_none());
        assert!(limits.try_enter(address("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn this_machine_counts_only_where_it_is_told_to() {
        let exempt = AddressLimits::new(1, Loopback::Exempt);
        let permits: Vec<_> = (0..9)
            .map(|_| exempt.try_enter(address("127.0.0.1")))
            .collect();
        assert!(permits.iter().all(Option::is_some));
        let counted = AddressLimits::new(1, Loopback::Counted);
        let _first = counted.try_enter(address("::1"));
        assert!(counted.try_enter(address("::1")).is_none());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let limits = AddressLimits::new(3, Loopback::Exempt);
        let permits: Vec<_> = (0..200u32)
            .map(|number| limits.try_enter(IpAddr::V4((number + (1 << 24)).into())))
            .collect();
        assert_eq!(limits.counts().len(), 200);
        drop(permits);
        assert!(limits.counts().is_empty());
    }
}
