//! Both ends together: what a client knows after losses is what the server meant.

mod broadcast;
mod crowd;
mod fuzzed;
mod hostile;
mod lossy;
mod vectors;
