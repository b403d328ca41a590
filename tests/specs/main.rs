//! Specs of the whole system: each file tells what one part promises.

mod docker;
mod hostile;
mod play;
mod repo;
