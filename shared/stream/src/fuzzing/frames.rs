//! Frames of a stranger, in both directions.

use super::{assert_sound, cut, new_reader};
use crate::frame::{
    CHAT_BYTES_MAX, ClientFrame, INPUT_BYTES_MAX, INPUTS_MAX, put_ack, put_chat, put_input,
    put_leave, put_ping,
};
use crate::reader::{SnapshotReader, Start, Taken};

/// One frame of a client, read as the server reads it.
///
/// # Panics
///
/// When a frame is read that breaks a limit, or that is another one when written and read again.
pub fn client_frame(bytes: &[u8]) {
    let Ok(frame) = ClientFrame::decode(bytes) else {
        return;
    };
    let Some(written) = write(&frame) else {
        return;
    };
    assert!(
        written.len() <= bytes.len(),
        "integers are in their shortest form"
    );
    assert_eq!(ClientFrame::decode(&written), Ok(frame));
}

/// None for one that has no equal: what was no text is not kept.
fn write(frame: &ClientFrame<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match frame {
        ClientFrame::Input { tick, inputs, acks } => {
            let inputs = inputs.as_slices();
            assert!((1..=INPUTS_MAX).contains(&inputs.len()));
            assert!(inputs.iter().all(|input| input.len() <= INPUT_BYTES_MAX));
            put_input(&mut out, *tick, inputs, *acks);
        }
        ClientFrame::Ack(acks) => put_ack(&mut out, *acks),
        ClientFrame::Ping { stamp } => put_ping(&mut out, *stamp),
        ClientFrame::Chat(text) => {
            assert!(text.len() <= CHAT_BYTES_MAX);
            put_chat(&mut out, text);
        }
        ClientFrame::BadChat => return None,
        ClientFrame::Leave => put_leave(&mut out),
    }
    Some(out)
}

/// Frames of a server, each after its length as two bytes, read as a client reads them. A start
/// frame among them begins a new connection; before the first one there is one of our own.
///
/// # Panics
///
/// When a client is left with something impossible, or with a part of a frame that it refused.
pub fn server_frames(bytes: &[u8]) {
    let mut reader = new_reader();
    for frame in cut(bytes) {
        match Start::decode(frame) {
            Ok(start) => reader = SnapshotReader::new(&start),
            Err(_) => hand(&mut reader, frame),
        }
    }
}

fn hand(reader: &mut SnapshotReader, frame: &[u8]) {
    let state = |reader: &SnapshotReader| (reader.acks(), reader.tick(), reader.entities().clone());
    let before = state(reader);
    match reader.read(frame) {
        Ok(Taken::In) => {
            assert!(reader.acks().newest > before.0.newest, "numbers ascend");
            assert_sound(reader);
        }
        Ok(Taken::Ignored) | Err(_) => {
            assert_eq!(state(reader), before, "a part of it was taken in");
        }
    }
}
