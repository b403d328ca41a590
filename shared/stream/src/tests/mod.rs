//! Both ends together: what a client knows after losses is what the server meant.

mod broadcast;
pub(crate) mod crowd;
mod fuzzed;
mod hostile;
mod lossy;
mod vectors;
