//! One view for many watchers.

use super::crowd::Crowd;
use crate::broadcast::{Broadcast, FRAME_BYTES_MAX, Form, View};
use crate::reader::Taken;
use crate::schema::Audience;
use crate::viewer::Seen;

#[test]
fn a_watcher_knows_everything_from_the_first_key_frame_on() {
    let mut crowd = Crowd::new(5);
    for _ in 0..12 {
        crowd.enter();
    }
    let mut broadcast = Broadcast::new(View::All);
    let (mut early, mut late) = (crowd.reader(), crowd.reader());
    for snapshot in 0..120 {
        crowd.step();
        let form = if snapshot % 40 == 0 {
            Form::KeyFrame
        } else {
            Form::Delta
        };
        let (buffer, records) = (&crowd.buffer, &mut crowd.records);
        broadcast.write(buffer, records, Seen::All, form, |frame, _| {
            assert_eq!(early.read(frame), Ok(Taken::In));
            if snapshot >= 80 {
                assert_eq!(late.read(frame), Ok(Taken::In));
            }
        });
        for (id, slot) in crowd.buffer.present() {
            let truth = crowd.truth(*slot, Audience::Owner);
            assert_eq!(early.entities().get(*id).unwrap().values(), truth);
        }
        assert_eq!(early.entities().len(), crowd.buffer.present().len());
    }
    assert_eq!(early.entities().len(), late.entities().len());
}

#[test]
fn a_teams_watcher_sees_what_the_team_sees() {
    let mut crowd = Crowd::new(11);
    for _ in 0..20 {
        crowd.enter();
    }
    let mut broadcast = Broadcast::new(View::Team(2));
    let mut reader = crowd.reader();
    for _ in 0..60 {
        crowd.step();
        let seen = crowd.some(70);
        let (buffer, records) = (&crowd.buffer, &mut crowd.records);
        broadcast.write(
            buffer,
            records,
            Seen::Only(&seen),
            Form::Delta,
            |frame, _| {
                reader.read(frame).unwrap();
            },
        );
        let known = reader.entities().ids();
        assert_eq!(known, seen.iter().map(|row| row.0).collect::<Vec<_>>());
        for (id, slot) in seen {
            let own = crowd.buffer.actor(slot).team == Some(2);
            let relation = if own { Audience::Team } else { Audience::All };
            let truth = crowd.truth(slot, relation);
            assert_eq!(reader.entities().get(id).unwrap().values(), truth);
        }
    }
}

#[test]
fn a_snapshot_that_is_too_large_for_a_frame_is_cut_into_several() {
    let mut crowd = Crowd::new(13);
    for _ in 0..9_000 {
        crowd.enter();
    }
    for _ in 0..6 {
        crowd.capture();
    }
    let mut broadcast = Broadcast::new(View::All);
    let mut reader = crowd.reader();
    let mut forms = Vec::new();
    let (buffer, records) = (&crowd.buffer, &mut crowd.records);
    broadcast.write(buffer, records, Seen::All, Form::Delta, |frame, form| {
        assert!(frame.len() <= FRAME_BYTES_MAX);
        forms.push(form);
        reader.read(frame).unwrap();
    });
    assert!(forms.len() > 1);
    assert_eq!(forms[0], Form::KeyFrame);
    assert!(forms[1..].iter().all(|form| *form == Form::Delta));
    assert_eq!(reader.entities().len(), crowd.buffer.present().len());
}
