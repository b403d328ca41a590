//! What both databases promise of sessions and their seats.

mod openings;
mod records;
mod reports;
mod seats;
