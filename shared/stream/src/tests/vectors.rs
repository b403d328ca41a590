//! `tests/vectors/thin.json`: what the encoder writes, for clients in every language. Made anew by
//! `UPDATE_VECTORS=1 cargo test -p gameserver-stream`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use gameserver_contract::ids::Seat;
use serde_json::{Map, Value, json};

use crate::broadcast::{Broadcast, Form, View};
use crate::frame::{
    Acks, Event, put_ack, put_bye, put_chat, put_event, put_input, put_leave, put_ping, put_pong,
    put_start,
};
use crate::reader::{SnapshotReader, Start, Taken};
use crate::record::Records;
use crate::schema::{Audience, Field, Kind, Schema};
use crate::snapshot_buffer::{Actor, SnapshotBuffer};
use crate::viewer::{Budget, Seen, Viewer};

const INTERVAL: u32 = 3;
const FAR: u32 = 300;

fn schema() -> Schema {
    let fighter = vec![
        Field::line("x", 0.0, 100.0, 1.0 / 64.0),
        Field::line("y", -50.0, 50.0, 1.0 / 64.0),
        Field::circle("aim", 1.0, 256),
        Field::circle("odd", 255.0, 255),
        Field::integer("health", 100),
        Field::integer("kills", 1_000),
        Field::integer("deaths", 1_000),
        Field::integer("seat", 65_535),
        Field::integer("ammunition", 12).shown_to(Audience::Owner),
    ];
    let mut schema = Schema::default();
    for (name, fields) in [
        ("fighter", fighter),
        ("flag", vec![Field::integer("team", 1)]),
    ] {
        let kind = Kind {
            name,
            fields,
            priority: 1,
        };
        assert!(schema.add(kind).is_ok());
    }
    schema
}

fn start_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    put_start(
        &mut bytes,
        60,
        INTERVAL,
        &schema(),
        r#"{"map":{"width_m":40.0}}"#,
    );
    bytes
}

/// A small world whose values are written by hand.
struct Scene {
    buffer: SnapshotBuffer,
    records: Records,
    viewer: Viewer,
    broadcast: Broadcast,
    reader: SnapshotReader,
    tick: u32,
    steps: Vec<Value>,
}

impl Scene {
    fn new() -> Self {
        let budget = Budget {
            bytes_per_snapshot: 1_200,
            frame_bytes_max: 1_100,
        };
        Self {
            buffer: SnapshotBuffer::new(schema(), INTERVAL),
            records: Records::default(),
            viewer: Viewer::new(Seat(4), None, budget),
            broadcast: Broadcast::new(View::All),
            reader: SnapshotReader::new(&Start::decode(&start_frame()).unwrap()),
            tick: 60,
            steps: Vec::new(),
        }
    }

    fn enter(&mut self, id: u32, kind: u8) {
        let owner = (id == 4).then_some(Seat(4));
        self.buffer.enter(Actor {
            id,
            kind,
            owner,
            team: None,
        });
    }

    /// The next snapshot, in which these fields of these entities have these values.
    fn capture(&mut self, changes: &[(u32, usize, u32)]) {
        self.tick += INTERVAL;
        self.buffer.begin(self.tick);
        for (id, field, value) in changes {
            let slot = self.buffer.slot_of(*id).unwrap();
            self.buffer.row_mut(slot)[*field] = *value;
        }
        self.buffer.finish();
        self.records.renew(&self.buffer);
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        let (buffer, records) = (&self.buffer, &mut self.records);
        assert!(
            self.viewer
                .write(buffer, records, Seen::All, Some(2), &mut frame)
        );
        frame
    }

    fn lose(&mut self, name: &str) -> Vec<u8> {
        let frame = self.frame();
        let step = json!({"name": name, "hex": hex(&frame), "delivered": false});
        self.steps.push(step);
        frame
    }

    fn deliver(&mut self, name: &str) -> Vec<u8> {
        let frame = self.frame();
        self.hand(name, &frame);
        let Acks { newest, before } = self.reader.acks();
        self.viewer.acknowledge(newest, before);
        frame
    }

    fn hand(&mut self, name: &str, frame: &[u8]) {
        let taken = self.reader.read(frame).unwrap() == Taken::In;
        let expect = self.expect();
        let step = json!({
            "name": name, "hex": hex(frame), "delivered": true, "taken": taken, "expect": expect,
        });
        self.steps.push(step);
    }

    fn expect(&self) -> Value {
        let Acks { newest, before } = self.reader.acks();
        let mut entities = Map::new();
        for (id, entity) in self.reader.entities().iter() {
            let kind = &self.reader.kinds()[entity.kind];
            let values = kind.fields.iter().zip(entity.values());
            let values: Map<String, Value> = values
                .map(|(field, q)| (field.name.clone(), json!(field.meaning(*q))))
                .collect();
            entities.insert(id.to_string(), json!({"kind": kind.name, "values": values}));
        }
        json!({"newest": newest, "before": before, "entities": entities})
    }

    fn broadcast(&mut self, name: &str, form: Form) {
        let (buffer, records) = (&self.buffer, &mut self.records);
        let mut frames = Vec::new();
        self.broadcast
            .write(buffer, records, Seen::All, form, |frame, _| {
                frames.push(frame.to_vec());
            });
        for frame in frames {
            self.hand(name, &frame);
        }
    }
}

fn player_run() -> Vec<Value> {
    let mut scene = Scene::new();
    for (id, kind) in [(4, 0), (7, 0), (9, 1), (FAR, 0)] {
        scene.enter(id, kind);
    }
    scene.capture(&[
        (4, 0, 640),
        (4, 7, 4),
        (4, 8, 12),
        (7, 1, 3_200),
        (7, 7, 1),
        (9, 0, 1),
    ]);
    scene.deliver("four whole entities; the own one shows its ammunition");
    scene.capture(&[(4, 0, 659), (4, 8, 11), (7, 1, 3_180), (7, 2, 250)]);
    scene.deliver("differences to the snapshot before; two entities have no record");
    scene.capture(&[(4, 0, 678), (7, 2, 4)]);
    scene.lose("lost");
    scene.capture(&[(4, 0, 697), (7, 2, 5)]);
    scene.deliver("a difference to an older snapshot; the angle has passed 0");
    scene.capture(&[(7, 2, 250), (FAR, 3, 254), (FAR, 7, 300)]);
    scene.deliver("back over 0; entity 300; two ages in one snapshot");
    scene.capture(&[(7, 2, 122), (FAR, 3, 126), (7, 6, 1), (7, 5, 2)]);
    let twice = scene.deliver("half of an even count, and half of an odd one rounded down");
    scene.hand("the same frame again", &twice);
    scene.capture(&[(FAR, 3, 254), (4, 0, 400)]);
    let late = scene.lose("overtaken by the next one");
    scene.capture(&[(FAR, 3, 253), (7, 7, 2)]);
    scene.deliver("a mask above 127");
    scene.hand("the one that was overtaken", &late);
    scene.buffer.leave(7);
    scene.capture(&[(4, 0, 410)]);
    scene.lose("lost, with the news that entity 7 is gone");
    scene.capture(&[(4, 0, 420)]);
    scene.deliver("entity 7 is gone");
    scene.enter(FAR + 1, 1);
    scene.capture(&[(4, 0, 430)]);
    scene.deliver("a new one; all its values are 0");
    scene.capture(&[]);
    scene.deliver("nothing has changed");
    scene.capture(&[(4, 0, 500), (9, 0, 0)]);
    scene.lose("lost, but acknowledged by a client that lies");
    let Acks { newest, .. } = scene.reader.acks();
    scene.viewer.acknowledge(newest + 1, 0);
    scene.capture(&[(4, 0, 510), (9, 0, 1)]);
    let needs_lost = scene.frame();
    scene.hand("needs the state that was lost", &needs_lost);
    scene.steps
}

fn spectator_run() -> Vec<Value> {
    let mut scene = Scene::new();
    for (id, kind) in [(4, 0), (7, 0), (9, 1)] {
        scene.enter(id, kind);
    }
    scene.capture(&[(4, 0, 640), (4, 8, 12), (7, 1, 3_200), (9, 0, 1)]);
    scene.broadcast(
        "a key frame; a watcher sees what owners see",
        Form::KeyFrame,
    );
    scene.capture(&[(4, 0, 650)]);
    scene.broadcast("one of three has moved", Form::Delta);
    scene.capture(&[(4, 0, 660), (7, 1, 3_190)]);
    scene.broadcast(
        "two ages: what rested is a difference to the key frame",
        Form::Delta,
    );
    scene.buffer.leave(7);
    scene.enter(12, 1);
    scene.capture(&[(12, 0, 1)]);
    scene.broadcast("one gone, one new", Form::Delta);
    scene.capture(&[(4, 8, 3)]);
    scene.broadcast("a key frame again", Form::KeyFrame);
    scene.steps
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn named(name: &str, from: &str, write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut bytes = Vec::new();
    write(&mut bytes);
    let decoded: Value = rmp_serde::from_slice(&bytes).unwrap();
    json!({"name": name, "from": from, "hex": hex(&bytes), "json": decoded})
}

fn frames() -> Vec<Value> {
    let acks = Acks {
        newest: 300,
        before: 0b101,
    };
    let event = Event {
        tick: 70_000,
        name: "kill",
        payload: &[0x92, 4, 0xcd, 1, 0],
    };
    vec![
        named("start", "server", |out| out.extend(start_frame())),
        named("event", "server", |out| put_event(out, 9, &event)),
        named("pong", "server", |out| {
            put_pong(out, 1 << 40, 70_000, 16_666);
        }),
        named("bye", "server", |out| put_bye(out, 9, "the match is over")),
        named("input", "client", |out| {
            let inputs: [&[u8]; 2] = [
                &[0x94, 100, 0xd0, 0x9c, 0xcd, 0x40, 0, 1],
                &[0x94, 0, 0, 0, 0],
            ];
            put_input(out, 70_002, &inputs, acks);
        }),
        named("ack", "client", |out| put_ack(out, acks)),
        named("ping", "client", |out| put_ping(out, 1 << 40)),
        named("chat", "client", |out| put_chat(out, "good game ♥")),
        named("leave", "client", put_leave),
    ]
}

fn invalid() -> Vec<Value> {
    let row = |name: &str, hex: &str, answer: &str, why: &str| json!({"name": name, "hex": hex, "answer": answer, "why": why});
    vec![
        row(
            "unknown",
            "92636f",
            "ignored",
            "frame 99 is for a later version",
        ),
        row(
            "missing state",
            "960401420290920393040101",
            "ignored",
            "entity 4 is not known",
        ),
        row("no array", "04", "refused", "a frame is an array"),
        row("cut off", "9604014202", "refused", "the rest is missing"),
        row(
            "unknown kind",
            "96040142029092009304093f",
            "refused",
            "there is no kind 9",
        ),
        row(
            "mask too wide",
            "9604014202909200930901ff",
            "refused",
            "a flag has one field",
        ),
    ]
}

#[test]
fn the_vectors_are_what_the_encoder_writes() {
    let vectors = json!({
        "frames": frames(),
        "invalid": invalid(),
        "start": hex(&start_frame()),
        "run": player_run(),
        "spectator_run": spectator_run(),
    });
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/thin.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "the encoder writes other bytes than tests/vectors/thin.json: clients in other languages \
         break. If that is meant: UPDATE_VECTORS=1 cargo test -p gameserver-stream"
    );
}
