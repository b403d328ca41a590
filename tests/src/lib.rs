//! What the specs stand on: a stage with one instance and no lobby, and a cluster with everything.

pub mod stage;
