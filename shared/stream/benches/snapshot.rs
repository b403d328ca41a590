//! What a snapshot costs: 1,000 entities for 1,000 clients who see 32 each; and how many bytes it
//! has when 64 players see each other.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use criterion::{Criterion, criterion_group, criterion_main};
use gameserver_contract::ids::Seat;
use gameserver_stream::broadcast::{Broadcast, Form, View};
use gameserver_stream::record::Records;
use gameserver_stream::schema::{Audience, Field, Kind, Schema};
use gameserver_stream::snapshot_buffer::{Actor, Slot, SnapshotBuffer};
use gameserver_stream::viewer::{Budget, Seen, Viewer};

const SNAPSHOTS_PER_S: usize = 20;
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
    buffer: SnapshotBuffer,
    records: Records,
    clients: Vec<(Viewer, Vec<(u32, Slot)>)>,
    out: Vec<u8>,
    tick: u32,
    snapshot: u32,
    /// Bytes that each client was sent.
    bytes: Vec<usize>,
    /// Bytes of the newest snapshot for watchers.
    shown_bytes: usize,
}

impl Scene {
    /// As many clients as entities, each of whom sees so many.
    fn new(entities: u32, visible: usize) -> Self {
        let mut buffer = SnapshotBuffer::new(schema(), INTERVAL);
        for id in 1..=entities {
            buffer.enter(Actor {
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
            let start = (index as usize / visible * visible).min(entities as usize - visible);
            let seen = buffer.present()[start..start + visible].to_vec();
            (Viewer::new(seat, None, budget), seen)
        };
        Self {
            clients: (0..entities).map(client).collect(),
            buffer,
            records: Records::default(),
            out: Vec::with_capacity(2_048),
            tick: 0,
            snapshot: 0,
            bytes: vec![0; entities as usize],
            shown_bytes: 0,
        }
    }

    /// Everybody walks and turns; every tenth shoots.
    fn capture(&mut self) {
        self.tick += INTERVAL;
        self.snapshot += 1;
        self.buffer.begin(self.tick);
        for index in 0..self.buffer.present().len() {
            let (id, slot) = self.buffer.present()[index];
            let row = self.buffer.row_mut(slot);
            row[0] = (row[0] + 19) % 12_000;
            row[1] = (row[1] + 11) % 12_000;
            row[2] = (row[2] + id % 7) % 256;
            if (id + self.tick).is_multiple_of(10) {
                row[4] = (row[4] + 1) % 256;
            }
        }
        self.buffer.finish();
        self.records.renew(&self.buffer);
    }

    fn encode(&mut self) {
        for (index, (viewer, seen)) in self.clients.iter_mut().enumerate() {
            let latency = LATENCIES[index % LATENCIES.len()];
            if let Some(acked) = self.snapshot.checked_sub(latency) {
                viewer.acknowledge(acked, 0);
            }
            self.out.clear();
            let seen = Seen::Only(seen);
            viewer.write(
                &self.buffer,
                &mut self.records,
                seen,
                Some(2),
                &mut self.out,
            );
            self.bytes[index] += self.out.len();
        }
    }

    fn show(&mut self, broadcast: &mut Broadcast) {
        let (buffer, records) = (&self.buffer, &mut self.records);
        broadcast.write(buffer, records, Seen::All, Form::Delta, |frame, _| {
            self.shown_bytes = frame.len();
        });
    }
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured_capture(scene: &mut Scene) {
    scene.capture();
}

#[inline(never)]
fn measured_snapshot(scene: &mut Scene) {
    scene.capture();
    scene.encode();
}

#[inline(never)]
fn measured_broadcast(scene: &mut Scene, broadcast: &mut Broadcast) {
    scene.capture();
    scene.show(broadcast);
}

/// Bytes of an entity and snapshot on average, and what the 95th of 100 clients is sent a second.
fn measure_bytes(scene: &mut Scene, visible: usize) -> (f64, f64) {
    const SECONDS: usize = 10;
    for _ in 0..2 * SNAPSHOTS_PER_S {
        scene.capture();
        scene.encode();
    }
    scene.bytes.fill(0);
    for _ in 0..SECONDS * SNAPSHOTS_PER_S {
        scene.capture();
        scene.encode();
    }
    let snapshots = SECONDS * SNAPSHOTS_PER_S * scene.bytes.len();
    let total: usize = scene.bytes.iter().sum();
    let mut each = scene.bytes.clone();
    each.sort_unstable();
    let p95 = each[each.len() * 95 / 100] as f64 / SECONDS as f64;
    (total as f64 / (snapshots * visible) as f64, p95 / 1_024.0)
}

fn snapshot(criterion: &mut Criterion) {
    let mut crowd = Scene::new(64, 64);
    let (bytes, kib) = measure_bytes(&mut crowd, 64);
    println!("64 players in view of each other: {bytes:.2} bytes an entity, p95 {kib:.1} KiB/s");
    let mut scene = Scene::new(1_000, 32);
    let (bytes, kib) = measure_bytes(&mut scene, 32);
    println!("1,000 clients × 32 visible: {bytes:.2} bytes an entity, p95 {kib:.1} KiB/s");
    criterion.bench_function("capture 1,000 entities", |bencher| {
        bencher.iter(|| measured_capture(&mut scene));
    });
    criterion.bench_function(
        "capture + encode 1,000 × 1,000, 32 visible each",
        |bencher| {
            bencher.iter(|| measured_snapshot(&mut scene));
        },
    );
    let mut broadcast = Broadcast::new(View::All);
    criterion.bench_function("capture + broadcast 1,000 entities", |bencher| {
        bencher.iter(|| measured_broadcast(&mut scene, &mut broadcast));
    });
    let bytes = scene.shown_bytes;
    println!("a watcher's snapshot of 1,000 moving entities: {bytes} bytes");
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
