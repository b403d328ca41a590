//! What both databases promise of accounts.

mod logins;
mod players;
