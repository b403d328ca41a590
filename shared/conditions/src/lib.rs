//! Bad networks on purpose: what a client sends and receives is delayed, lost, repeated and
//! reordered inside its own socket, so that a game can be tried under conditions that players
//! have, without rights on the machine and on every system. Servers do not compile it.
//!
//! ```no_run
//! use gameserver_conditions::{ConditionedEndpoint, NetworkConditions};
//! use gameserver_transport::connect::ConnectOptions;
//!
//! let conditions: NetworkConditions = "mobile,loss=3%,rate=500kB/s".parse()?;
//! let conditioned = ConditionedEndpoint::bind(conditions, 7)?;
//! let options = ConnectOptions {
//!     endpoint: Some(conditioned.endpoint().clone()),
//!     ..ConnectOptions::default()
//! };
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! QUIC suffers the conditions packet by packet, below its own recovery. Of a WebSocket's TCP
//! nothing can be lost from outside, so there its bytes arrive late instead, as they would after a
//! retransmission. Nothing here knows what the packets mean.
//!
//! Reading order: [`NetworkConditions`] and their text form, `path` (what becomes of a packet),
//! `paths` (whose packet it is), `delay_queue` (where it waits), then the two carriers `udp` and
//! `tcp`, and [`ConditionedEndpoint`]; `counts` counts.

mod network_conditions;

mod text_format;

mod path;

mod counts;

mod conditioner;

mod paths;

mod delay_queue;

mod udp;

mod tcp;

mod endpoint;

#[cfg(test)]
mod tests;

pub use counts::PacketCounts;
pub use endpoint::ConditionedEndpoint;
pub use network_conditions::NetworkConditions;
pub use text_format::ConditionsError;
