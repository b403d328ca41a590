//! The hot path allocates nothing once it has been as large as it gets. A process of its own,
//! because everything in it is counted.

use gameserver_contract::ids::Seat;
use gameserver_stream::broadcast::{Broadcast, Form, View};
use gameserver_stream::record::Records;
use gameserver_stream::schema::{Field, Kind, Schema};
use gameserver_stream::snapshot_buffer::{Actor, SnapshotBuffer};
use gameserver_stream::viewer::{Budget, Seen, Viewer};

const ENTITIES: u32 = 200;
const CLIENTS: u16 = 50;
const INTERVAL: u32 = 3;

struct Scene {
    buffer: SnapshotBuffer,
    records: Records,
    viewers: Vec<Viewer>,
    broadcast: Broadcast,
    out: Vec<u8>,
    snapshot: u32,
}

impl Scene {
    fn new() -> Self {
        let mut schema = Schema::default();
        let fields = vec![
            Field::line("x", 0.0, 100.0, 0.01),
            Field::integer("health", 100),
        ];
        let kind = Kind {
            name: "fighter",
            fields,
            priority: 1,
        };
        assert!(schema.add(kind).is_ok());
        let mut buffer = SnapshotBuffer::new(schema, INTERVAL);
        for id in 1..=ENTITIES {
            buffer.enter(Actor {
                id,
                kind: 0,
                owner: None,
                team: None,
            });
        }
        let budget = Budget {
            bytes_per_snapshot: 600,
            frame_bytes_max: 1_100,
        };
        let viewer = |seat| Viewer::new(Seat(seat), None, budget);
        Self {
            buffer,
            records: Records::default(),
            viewers: (0..CLIENTS).map(viewer).collect(),
            broadcast: Broadcast::new(View::All),
            out: Vec::new(),
            snapshot: 0,
        }
    }

    /// Everybody moves; what each client sees changes all the time; acknowledgements get lost.
    fn snapshot(&mut self) {
        self.snapshot += 1;
        self.buffer.begin(self.snapshot * INTERVAL);
        for index in 0..self.buffer.present().len() {
            let (id, slot) = self.buffer.present()[index];
            self.buffer.row_mut(slot)[0] = (self.snapshot * 7 + id * 31) % 10_000;
        }
        self.buffer.finish();
        self.records.renew(&self.buffer);
        let (buffer, records) = (&self.buffer, &mut self.records);
        for (index, viewer) in self.viewers.iter_mut().enumerate() {
            let first = (self.snapshot as usize + index) % 100;
            let seen = Seen::Only(&buffer.present()[first..first + 64]);
            if !self.snapshot.is_multiple_of(3) {
                viewer.acknowledge(self.snapshot.saturating_sub(2), 0b11);
            }
            self.out.clear();
            viewer.write(buffer, records, seen, Some(2), &mut self.out);
        }
        let form = if self.snapshot.is_multiple_of(40) {
            Form::KeyFrame
        } else {
            Form::Delta
        };
        self.broadcast
            .write(buffer, records, Seen::All, form, |_, _| {});
    }
}

#[test]
fn snapshots_allocate_nothing_after_the_warm_up() {
    let mut scene = Scene::new();
    for _ in 0..1_000 {
        scene.snapshot();
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            scene.snapshot();
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
