//! Entry points of the fuzzers: functions that take any bytes and panic where a promise of this
//! crate is broken. Compiled for tests and with the feature `fuzzing` only; `fuzz/README.md`
//! explains how they are run. It knows no sockets: to it the bytes are one frame of a stranger.

use crate::frame::{Answer, Hello};
use crate::limits::FRAME_BYTES_MAX;
use crate::websocket::json;

/// A Hello or the answer to one, read as either side reads it.
///
/// # Panics
///
/// When a frame is read that cannot be written, or that is another one when read again.
pub fn hello(bytes: &[u8]) {
    if let Ok(hello) = Hello::decode(bytes) {
        let written = hello.encode().expect("what was read can be written");
        assert!(written.len() <= bytes.len().min(FRAME_BYTES_MAX));
        assert_eq!(Hello::decode(&written), Ok(hello));
    }
    if let Ok(answer) = Answer::decode(bytes) {
        let written = answer.encode().expect("what was read can be written");
        assert!(written.len() <= bytes.len().min(FRAME_BYTES_MAX));
        assert_eq!(Answer::decode(&written), Ok(answer));
    }
}

/// A frame, written as JSON and read again; and a text, the other way round.
///
/// # Panics
///
/// When a frame that was read cannot be written, or is another one when read again.
/// Numbers with a fraction may be off by their last bit, so only what has none is compared.
pub fn json(bytes: &[u8]) {
    if let Ok(text) = json::from_message_pack(bytes)
        && let Ok(frame) = json::to_message_pack(&text)
    {
        assert_same(&frame, &text);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(frame) = json::to_message_pack(text) {
        let written = json::from_message_pack(&frame).expect("what was read can be written");
        if let Ok(again) = json::to_message_pack(&written) {
            assert_same(&again, &written);
        }
    }
}

/// The frame is written as this text, unless it has fractions, or exponents, or texts with points.
fn assert_same(frame: &[u8], text: &str) {
    let written = json::from_message_pack(frame).expect("what was read can be written");
    if !text.contains(['.', 'e', 'E']) {
        assert_eq!(written, text);
    }
}
