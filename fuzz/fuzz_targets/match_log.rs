//! Feeds any bytes to the reader of match logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_stream::fuzzing::match_log(bytes));
