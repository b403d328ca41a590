//! What a fuzzer feeds: functions that take any bytes and panic where a promise of this crate is
//! broken. Compiled for tests and with the feature `fuzzing` only; `fuzz/README.md` says how they
//! are run. It knows no sockets: to it the bytes are one frame of a stranger.

use crate::frame::{Answer, Hello};
use crate::json;
use crate::limits::FRAME_BYTES_MAX;

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

/// A frame, told as JSON and understood again; and a text, the other way round.
///
/// # Panics
///
/// When a frame that was understood cannot be told, or is another one when understood again.
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
        let told = json::from_message_pack(&frame).expect("what was understood can be told");
        if let Ok(again) = json::to_message_pack(&told) {
            assert_same(&again, &told);
        }
    }
}

/// The frame is told as this text, unless it has fractions, or exponents, or texts with points.
fn assert_same(frame: &[u8], text: &str) {
    let told = json::from_message_pack(frame).expect("what was understood can be told");
    if !text.contains(['.', 'e', 'E']) {
        assert_eq!(told, text);
    }
}
