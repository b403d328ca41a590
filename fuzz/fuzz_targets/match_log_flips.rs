//! Damages a good match log by a script that is any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_stream::fuzzing::match_log_flips(bytes));
