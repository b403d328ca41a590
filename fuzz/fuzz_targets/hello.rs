//! Feeds any bytes to the readers of a Hello and of its answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_transport::fuzzing::hello(bytes));
