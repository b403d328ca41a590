//! Counts connections by the network that they come from, as the rate limits do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kit::rate::network;

/// Open connections of each network; as many entries as there are connections at most.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    max: Option<usize>,
    open: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
}

/// A connection's place among those of its network, free again when it is dropped.
#[derive(Debug)]
pub(super) struct AddressPermit {
    open: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    network: Vec<u8>,
}

impl Addresses {
    /// `None` sets no limit.
    pub(super) fn new(max: Option<usize>) -> Self {
        Self {
            max,
            open: Arc::default(),
        }
    }

    /// Takes a place; `None` when the network has all that it may have.
    pub(super) fn admit(&self, from: IpAddr) -> Option<AddressPermit> {
        let network = network(from);
        let mut open = lock(&self.open);
        let count = open.get(&network).copied().unwrap_or(0);
        if self.max.is_some_and(|max| count >= max) {
            return None;
        }
        open.insert(network.clone(), count + 1);
        Some(AddressPermit {
            open: Arc::clone(&self.open),
            network,
        })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        let left = open.remove(&self.network).unwrap_or(1) - 1;
        if left > 0 {
            open.insert(std::mem::take(&mut self.network), left);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_as_many_connections_as_it_may() {
        let addresses = Addresses::new(Some(2));
        let admit = |text: &str| addresses.admit(text.parse().unwrap());
        let first = admit("2001:db8::1").unwrap();
        let _second = admit("2001:db8::2").unwrap();
        assert!(admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(admit("2001:db8::3").is_some());
    }
}
