//! What the database keeps of sessions.

pub(crate) mod openings;
pub(crate) mod records;
pub(crate) mod reports;
pub(crate) mod seats;
pub(crate) mod sweep;
