//! What the specs stand on: a stage with one instance and no lobby, and a cluster with everything.
//!
//! Reading order: [`patience`] (how to wait), [`counters`] (what the instance counted), [`stage`],
//! then those who play on it: [`witness`] (honest), [`raw_player`] with [`dialect`] (says any
//! bytes), [`cheater`] (a modified client), [`stranger`] (speaks no protocol of ours),
//! [`thin_player`] (no simulation), [`cable`] (a link that can be cut), [`fragile`], a game that
//! breaks on purpose, [`heavy`], one whose players cost time, and [`masked`], one that has
//! something to hide. [`recording`] has what was recorded of them; [`workbench`] is a match that is
//! stepped by hand, and [`program`] a whole program as users run it.

pub mod cable;
pub mod cheater;
pub mod counters;
pub mod dialect;
pub mod fragile;
pub mod heavy;
pub mod masked;
pub mod patience;
pub mod program;
pub mod raw_player;
pub mod recording;
pub mod stage;
pub mod stranger;
pub mod thin_player;
pub mod witness;
pub mod workbench;
