//! Feeds any bytes to the reader of thin clients' frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_stream::fuzzing::client_frame(bytes));
