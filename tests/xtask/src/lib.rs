//! What `cargo xtask` and the repository's own rules both need: reading our source as text and as
//! syntax. It knows nothing of what the code does.

pub mod functions;
pub mod tree;
