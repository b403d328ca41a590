//! Remembers which join tickets were used, until they have expired anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gameserver_contract::ticket::JoinTicket;

/// Used tickets that are remembered at once: 2,000 joins a second for the longest life of a
/// ticket. When it is full of unexpired ones, nobody is let in.
const USED_TICKETS_MAX: usize = 60_000;

/// What became of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    First,
    Repeated,
    /// Too many to remember.
    Full,
}

/// The used ones.
#[derive(Debug, Default)]
pub(super) struct UsedTickets {
    expiry_ms: Mutex<HashMap<[u8; 16], i64>>,
}

impl UsedTickets {
    /// Marks a verified ticket as used.
    pub(super) fn mark(&self, ticket: &JoinTicket, now_ms: i64) -> Use {
        let mut used = self
            .expiry_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_TICKETS_MAX {
            used.retain(|_, expires_at_ms| *expires_at_ms > now_ms);
        }
        if used.len() >= USED_TICKETS_MAX {
            return Use::Full;
        }
        match used.insert(ticket.id, ticket.expires_at_ms) {
            None => Use::First,
            Some(_) => Use::Repeated,
        }
    }
}
