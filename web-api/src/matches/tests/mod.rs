//! Tests of results and replays through the real router.

mod replays;
mod results;
