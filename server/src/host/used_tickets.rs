//! Tracks used join tickets until they expire. It does not verify them.

use std::collections::BTreeSet;

use gameserver_contract::ticket::JoinTicket;
use gameserver_transport::close::RefusalCode;

/// Used tickets that are tracked at once: 2,000 joins a second for the longest life of a ticket.
/// When it is full of unexpired ones, nobody is admitted.
const USED_TICKETS_MAX: usize = 60_000;

/// The used ones, by expiry: a ticket is signed, so its id never comes with another one.
#[derive(Debug, Default)]
pub(super) struct UsedTickets {
    by_expiry_ms: BTreeSet<(i64, [u8; 16])>,
}

impl UsedTickets {
    /// Marks a verified ticket as used.
    ///
    /// # Errors
    ///
    /// It was used before, or there are too many to track.
    pub(super) fn mark(&mut self, ticket: &JoinTicket, now_ms: i64) -> Result<(), RefusalCode> {
        let used = &mut self.by_expiry_ms;
        // Not before, so that a clock that is set back does not make old tickets good again.
        if used.len() >= USED_TICKETS_MAX {
            *used = used.split_off(&(now_ms + 1, [0; 16]));
        }
        if used.len() >= USED_TICKETS_MAX {
            return Err(RefusalCode::Busy);
        }
        if used.insert((ticket.expires_at_ms, ticket.id)) {
            Ok(())
        } else {
            Err(RefusalCode::TicketUsed)
        }
    }
}
