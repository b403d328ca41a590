//! What any two GameServer processes agree on: ids, tickets, session and result records, errors.
//!
//! It knows no Bevy, no tokio, no database and no transport, so that a game client, an instance,
//! the web service and a script in another process can all read the same records.
//!
//! Reading order: [`ids`], [`game`], [`session`], [`spectator`], [`ticket`], [`result`],
//! [`account`], [`problem`], [`text`], [`number`], and the two things that every service takes as
//! an argument, [`clock`] and [`entropy`].

pub mod account;
pub mod clock;
pub mod entropy;
pub mod game;
pub mod ids;
pub mod number;
pub mod problem;
pub mod result;
pub mod session;
pub mod spectator;
pub mod text;
pub mod ticket;

/// Version of the game connection (Hello, Welcome, frames). Peers with another version refuse
/// each other with a typed answer.
pub const PROTOCOL_VERSION: u16 = 1;
