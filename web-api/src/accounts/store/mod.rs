//! What the database keeps of accounts.

pub(crate) mod logins;
pub(crate) mod players;
