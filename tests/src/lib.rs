//! The harness of the end-to-end specs: web-api, instance and players in one process.
//!
//! The specs themselves are in `specs/`, one file for each part of the product. Rules about the
//! repository (`specs/repo`, `specs/docker.rs`) need no harness.
