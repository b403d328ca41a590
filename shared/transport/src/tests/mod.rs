//! Both ends against each other, and against strangers, over real sockets on this computer.

mod abuse;
mod acknowledging;
mod amplification;
mod closing;
mod connecting;
mod fuzzed;
mod greeting;
mod harness;
mod hostile;
mod json;
mod link;
mod pumping;
mod rotation;
mod thin;
mod web;
