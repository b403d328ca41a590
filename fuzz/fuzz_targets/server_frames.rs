//! Feeds any frames to a thin client's state.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_stream::fuzzing::server_frames(bytes));
