//! Native players of a load test. Most are *light*: they speak lightyear's protocol but have no
//! world. A few can be *canaries*, full clients that check what everybody receives.
//!
//! A light bot costs the server what a client costs it: it answers pings, acknowledges packets and
//! replicated state, and sends an input for every tick, in as few packets, repeated as often and
//! as far ahead as the client plugin does. It does not decode states, so its policy sees
//! nothing ([`BlindPolicy`](gameserver_shared::bot::BlindPolicy)), and its kills are not known. It
//! sends no greeting, which our servers do not read.
//!
//! Its packets are made here by hand. The other way would be many `Client` entities in one World of
//! lightyear, with a system that swallows the replication. That World still runs every system for
//! messages, events and pings on every entity and frame, gives all bots one clock and so one lead,
//! and reports each client after the first as an error in its topology. By hand, a bot is a
//! connection, a few queues and two random numbers: a few microseconds a tick, spread over it like
//! those of thin bots. The price is that what lightyear and `bevy_replicon` put into their packets
//! is repeated here, against versions that are pinned: `gameserver-packets` has the layout. Numbers
//! that depend on the game are read from a client of it, inputs are compared byte for byte with
//! lightyear's own in a test, and the specs let light bots play against the real server.
//!
//! Reading order: `acks`, `fragments`, `pings`, `protocol`, `replication`, `inputs`,
//! `light_bot`; `state_comparison`, `canaries`.

mod acks;
mod canaries;
mod fragments;
mod inputs;
mod light_bot;
mod pings;
mod protocol;
mod replication;
mod state_comparison;

pub(super) use canaries::Canaries;
pub(super) use light_bot::LightBot;
pub use protocol::PACKET_TICKS_MAX;
pub(super) use protocol::Protocol;
