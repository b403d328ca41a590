//! Both ends against each other, and against strangers, over real sockets on this computer.

mod abuse;
mod acknowledging;
mod amplification;
mod attending;
mod closing;
mod conditions;
mod connecting;
mod fuzzed;
mod greeting;
mod harness;
mod hostile;
mod json;
mod link;
mod rotation;
mod thin;
mod web;
