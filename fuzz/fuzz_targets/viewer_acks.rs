//! Runs any script between a player's view and its client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gameserver_stream::fuzzing::viewer_acks(bytes));
