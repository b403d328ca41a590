//! What a snapshot costs: 1,000 entities for 1,000 clients who see 32 each.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use criterion::{Criterion, criterion_group, criterion_main};
use gameserver_contract::ids::Seat;
use gameserver_stream::broadcast::{Broadcast, Form, View};
use gameserver_stream::record::Records;
use gameserver_stream::schema::{Audience, Field, Kind, Schema};
use gameserver_stream::stage::{Actor, Slot, Stage};
use gameserver_stream::viewer::{Budget, Seen, Viewer};

const ENTITIES: u32 = 1_000;
const VISIBLE: usize = 32;
const INTERVAL: u32 = 3;
/// Snapshots until the acknowledgement of a client is back: 50 to 200 ms.
const LATENCIES: [u32; 4] = [1, 2, 3, 4];

/// The fields of a shooter's fighter.
fn schema() -> Schema {
    let fields = vec![
        Field::line("x", 0.0, 200.0, 1.0 / 64.0),
        Field::line("y", 0.0, 200.0, 1.0 / 64.0),
        Field::circle("aim", 1.0, 256),
        Field::integer("health", 100),
        Field::circle("shots", 256.0, 256),
        Field::integer("kills", 1_000),
        Field::integer("ammunition", 12).shown_to(Audience::Owner),
    ];
    let mut schema = Schema::default();
    let kind = Kind {
        name: "fighter",
        fields,
        priority: 1,
    };
    assert!(schema.add(kind).is_ok());
    schema
}

struct Scene {
    stage: Stage,
    records: Records,
    clients: Vec<(Viewer, Vec<(u32, Slot)>)>,
    out: Vec<u8>,
    tick: u32,
    snapshot: u32,
    bytes: usize,
}

impl Scene {
    fn new() -> Self {
        let mut stage = Stage::new(schema(), INTERVAL);
        for id in 1..=ENTITIES {
            stage.enter(Actor {
                id,
                kind: 0,
                owner: u16::try_from(id).ok().map(Seat),
                team: None,
            });
        }
        let budget = Budget {
            bytes_per_snapshot: 1_228,
            frame_bytes_max: 1_100,
        };
        let client = |index: u32| {
            let seat = Seat(u16::try_from(index + 1).unwrap_or(0));
            let start = (index as usize / VISIBLE * VISIBLE).min(ENTITIES as usize - VISIBLE);
            let seen = stage.present()[start..start + VISIBLE].to_vec();
            (Viewer::new(seat, None, budget), seen)
        };
        Self {
            clients: (0..ENTITIES).map(client).collect(),
            stage,
            records: Records::default(),
            out: Vec::with_capacity(2_048),
            tick: 0,
            snapshot: 0,
            bytes: 0,
        }
    }

    /// Everybody walks and turns; every tenth shoots.
    fn capture(&mut self) {
        self.tick += INTERVAL;
        self.snapshot += 1;
        self.stage.begin(self.tick);
        for index in 0..self.stage.present().len() {
            let (id, slot) = self.stage.present()[index];
            let row = self.stage.row_mut(slot);
            row[0] = (row[0] + 19) % 12_000;
            row[1] = (row[1] + 11) % 12_000;
            row[2] = (row[2] + id % 7) % 256;
            if (id + self.tick).is_multiple_of(10) {
                row[4] = (row[4] + 1) % 256;
            }
        }
        self.stage.finish();
        self.records.renew(&self.stage);
    }

    fn encode(&mut self) {
        for (index, (viewer, seen)) in self.clients.iter_mut().enumerate() {
            let latency = LATENCIES[index % LATENCIES.len()];
            if let Some(acked) = self.snapshot.checked_sub(latency) {
                viewer.acknowledge(acked, 0);
            }
            self.out.clear();
            let seen = Seen::Only(seen);
            viewer.write(&self.stage, &mut self.records, seen, Some(2), &mut self.out);
            self.bytes += self.out.len();
        }
    }
}

fn snapshot(criterion: &mut Criterion) {
    let mut scene = Scene::new();
    for _ in 0..40 {
        scene.capture();
        scene.encode();
    }
    scene.bytes = 0;
    scene.capture();
    scene.encode();
    let per_entity = scene.bytes as f64 / f64::from(ENTITIES) / VISIBLE as f64;
    println!("1,000 clients × 32 visible: {per_entity:.2} bytes an entity, headers included");
    criterion.bench_function("capture 1,000 entities", |bencher| {
        bencher.iter(|| scene.capture());
    });
    criterion.bench_function(
        "capture + encode 1,000 × 1,000, 32 visible each",
        |bencher| {
            bencher.iter(|| {
                scene.capture();
                scene.encode();
            });
        },
    );
    let mut broadcast = Broadcast::new(View::All);
    let mut bytes = 0;
    criterion.bench_function("capture + broadcast 1,000 entities", |bencher| {
        bencher.iter(|| {
            scene.capture();
            let (stage, records) = (&scene.stage, &mut scene.records);
            broadcast.write(stage, records, Seen::All, Form::Delta, |frame, _| {
                bytes = frame.len();
            });
        });
    });
    println!("a watcher's snapshot of 1,000 moving entities: {bytes} bytes");
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
