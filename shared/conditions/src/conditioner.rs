//! What all connections of one endpoint have in common: conditions, randomness and counters.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

use crate::counts::{PacketCounters, PacketCounts};
use crate::network_conditions::NetworkConditions;
use crate::path::NetworkPath;

/// Applies conditions to the connections of an endpoint.
#[derive(Debug)]
pub(crate) struct Conditioner {
    pub(crate) conditions: NetworkConditions,
    /// Where the randomness of each path comes from.
    seeds: Mutex<Xoshiro256PlusPlus>,
    pub(crate) counters: Arc<PacketCounters>,
}

impl Conditioner {
    pub(crate) fn new(conditions: NetworkConditions, seed: u64) -> Self {
        Self {
            conditions,
            seeds: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            counters: Arc::default(),
        }
    }

    /// What was done so far.
    pub(crate) fn counts(&self) -> PacketCounts {
        self.counters.counts()
    }

    pub(crate) fn seed(&self) -> u64 {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.next_u64()
    }

    /// One direction of one connection.
    pub(crate) fn path(&self) -> NetworkPath {
        NetworkPath::new(self.conditions, self.seed())
    }
}
