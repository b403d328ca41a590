//! The decisions over many packets, and clients on bad networks over real sockets.

mod bad_networks;
mod decisions;
