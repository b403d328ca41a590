//! Feeds any bytes to the translation of frames to JSON and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_transport::fuzzing::json(bytes));
