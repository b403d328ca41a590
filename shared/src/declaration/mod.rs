//! What a game's state consists of, declared once for each component: which fields thin clients
//! see, how native clients treat it, and that the match log records it. lightyear's registration,
//! the snapshot schema and the recorded state all follow from this one declaration.
//!
//! It needs no App to be read, so that a game is checked before any match of it is built.

mod builder;
mod component;
mod error;
mod schema;
#[cfg(test)]
mod tests;

pub use builder::{KindBuilder, StateBuilder};
pub(crate) use component::FieldReader;
pub use component::{Declaration, MatchState};
pub use error::DeclarationError;
pub use schema::StateSchema;
pub(crate) use schema::StateSchemaHash;
