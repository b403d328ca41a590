//! Finds the connection of a packet. All connections of a process share one socket and mostly one
//! peer, so addresses do not tell them apart; the connection id in the header does (RFC 9000,
//! section 17).

use std::collections::HashMap;
use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

use crate::conditioner::Conditioner;
use crate::counts::PacketCounters;
use crate::network_conditions::NetworkConditions;
use crate::path::NetworkPath;

/// Connections of which one generation is remembered. When it is full, it becomes the older
/// generation, and what was silent since the last such change is forgotten: its burst and
/// its queue end. Twice this is the most that is kept.
const PATHS_MAX: usize = 16_384;
/// Bytes of a connection id that tell connections apart: all that quinn's have. A peer whose ids
/// are shorter gets no bursts, because each packet looks like another connection's.
const CONNECTION_ID_BYTES: usize = 8;
/// The first byte's bit that long headers have; such packets are of handshakes.
const LONG_HEADER: u8 = 0x80;
/// Where the id begins in a short header: after the first byte.
const SHORT_ID_AT: usize = 1;
/// Where it begins in a long one: after first byte, version and the id's length.
const LONG_ID_AT: usize = 6;

/// The paths of one direction.
#[derive(Debug)]
pub(crate) struct NetworkPaths {
    conditions: NetworkConditions,
    /// Each new path is seeded from it, in the order in which they appear.
    seeds: Xoshiro256PlusPlus,
    recent: HashMap<u64, NetworkPath>,
    older: HashMap<u64, NetworkPath>,
    counters: Arc<PacketCounters>,
}

impl NetworkPaths {
    pub(crate) fn new(conditioner: &Conditioner) -> Self {
        Self {
            conditions: conditioner.conditions,
            seeds: Xoshiro256PlusPlus::seed_from_u64(conditioner.seed()),
            recent: HashMap::new(),
            older: HashMap::new(),
            counters: Arc::clone(&conditioner.counters),
        }
    }

    /// The path that this packet takes.
    pub(crate) fn of(&mut self, packet: &[u8]) -> &mut NetworkPath {
        let key = connection_id(packet);
        if !self.recent.contains_key(&key) && self.recent.len() >= PATHS_MAX {
            self.counters.forgotten.add(self.older.len());
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.entry(key).or_insert_with(|| {
            let known = self.older.remove(&key);
            known.unwrap_or_else(|| NetworkPath::new(self.conditions, self.seeds.next_u64()))
        })
    }
}

/// The beginning of the receiver's connection id; what is missing counts as zeros.
fn connection_id(packet: &[u8]) -> u64 {
    let is_long = packet.first().is_some_and(|first| first & LONG_HEADER != 0);
    let begin = if is_long { LONG_ID_AT } else { SHORT_ID_AT };
    let id = packet.iter().skip(begin).take(CONNECTION_ID_BYTES);
    id.fold(0, |key, byte| key << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with a short header, from the connection of this number.
    fn short(connection: u64) -> Vec<u8> {
        [&[0x40], &connection.to_be_bytes()[..], &[1, 2, 3]].concat()
    }

    fn paths(conditioner: &Conditioner) -> NetworkPaths {
        NetworkPaths::new(conditioner)
    }

    #[test]
    fn a_handshake_and_what_follows_are_of_one_connection() {
        let long = [&[0xC0, 0, 0, 0, 1, 8], &7_u64.to_be_bytes()[..], &[8]].concat();
        assert_eq!(connection_id(&long), 7);
        assert_eq!(connection_id(&short(7)), 7);
    }

    #[test]
    fn any_bytes_have_some_connection() {
        for packet in [
            &[][..],
            &[0x40],
            &[0xFF],
            &[0x40, 1],
            &[0x80, 0, 0, 0, 1, 20],
        ] {
            connection_id(packet);
        }
    }

    #[test]
    fn what_was_silent_for_longest_is_forgotten_when_there_are_too_many() {
        let conditioner = Conditioner::new(NetworkConditions::BAD, 1);
        let mut paths = paths(&conditioner);
        let max = PATHS_MAX as u64;
        for connection in 0..3 * max {
            paths.of(&short(connection));
            // One that is never silent.
            paths.of(&short(0));
        }
        assert!(paths.recent.len() + paths.older.len() <= 2 * PATHS_MAX);
        assert!(paths.recent.contains_key(&0) || paths.older.contains_key(&0));
        let forgotten = conditioner.counts().forgotten;
        assert!((1..=2 * max).contains(&forgotten), "{forgotten}");
    }
}
