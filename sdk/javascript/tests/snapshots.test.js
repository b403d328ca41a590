/** The reader of snapshots against a second writer, with losses and overtaking. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '../src/errors.js';
import { readKinds } from '../src/schema.js';
import { Snapshots } from '../src/snapshots.js';
import { ReferenceEncoder, shortest, zigzag } from './support/encoder.js';

const KINDS = [
  [
    'fighter',
    [
      ['x', -8, 0.25, 256, 0],
      ['aim', 0, 1 / 1024, 1024, 1],
      ['health', 0, 1, 101, 0],
    ],
  ],
  ['crate', [['x', 0, 1, 2 ** 32, 0]]],
];
const INTERVAL = 3;

function world(seed) {
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  return { entities: new Map(), random };
}

function stateOf(snapshots) {
  return new Map(
    [...snapshots.entities].map(([id, entity]) => {
      const width = entity.kind.fields.length;
      const start = entity.head * width;
      return [id, { kind: entity.kindIndex, q: [...entity.states.slice(start, start + width)] }];
    }),
  );
}

function change({ entities, random }, nextId) {
  if (entities.size < 12 && random(3) === 0) {
    const kind = random(2);
    const counts = KINDS[kind][1].map((field) => field[3]);
    entities.set(nextId, { kind, q: counts.map((count) => random(Math.min(count, 2 ** 24))) });
  }
  for (const [id, entity] of entities) {
    if (random(25) === 0) entities.delete(id);
    else if (random(2) === 0) {
      const index = random(entity.q.length);
      const count = KINDS[entity.kind][1][index][3];
      entity.q[index] = (entity.q[index] + random(count) + count) % count;
    }
  }
}

test("a stream with losses, repeats and overtaking gives the server's state each time", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const truth = world(seed);
    const server = new ReferenceEncoder(KINDS, INTERVAL);
    const client = new Snapshots(readKinds(KINDS));
    let late = null;
    let taken = 0;
    for (let step = 1; step <= 400; step += 1) {
      change(truth, step * 7);
      const age = () => truth.random(3);
      const frame = server.snapshot(step * INTERVAL, truth.entities, { age });
      const fate = truth.random(10);
      if (fate === 0) continue;
      if (fate === 1 && late === null) {
        late = frame;
        continue;
      }
      assert.equal(client.apply(frame), 'taken', `seed ${seed}, step ${step}`);
      taken += 1;
      assert.deepEqual(
        sorted(stateOf(client)),
        sorted(truth.entities),
        `seed ${seed}, step ${step}`,
      );
      if (fate === 2) assert.equal(client.apply(frame), 'stale');
      if (late !== null) {
        assert.equal(client.apply(late), 'stale');
        late = null;
      }
      // Acknowledgements are lost as well.
      if (fate !== 3) server.acknowledge(client.newest, client.before);
    }
    assert.ok(taken > 200);
  }
});

test('a snapshot that needs a state which was lost is ignored and changes nothing', () => {
  const client = new Snapshots(readKinds(KINDS));
  assert.equal(client.apply([4, 1, 3, null, null, [0, [1, 0, 7, 10, 20, 30]]]), 'taken');
  const lostBase = [4, 3, 9, null, [], [0, [2, 1, 1, 5], 3, [1, 1, 2]]];
  assert.equal(client.apply(lostBase), 'unknown_baseline');
  assert.equal(client.newest, 1);
  assert.equal(client.entities.size, 1);
  assert.equal(client.entities.get(1).get('health'), 30);
});

test('an entity without a record in a snapshot that was taken in was as before', () => {
  const client = new Snapshots(readKinds(KINDS));
  client.apply([4, 1, 3, null, null, [0, [1, 0, 7, 10, 20, 30]]]);
  client.apply([4, 2, 6, null, [], []]);
  assert.equal(client.apply([4, 3, 9, null, [], [3, [1, 4, zigzag(-5)]]]), 'taken');
  assert.equal(client.entities.get(1).get('health'), 25);
});

test('a key frame makes everything else forgotten, and its other parts add to it', () => {
  const client = new Snapshots(readKinds(KINDS));
  client.apply([4, 1, 3, null, null, [0, [1, 0, 7, 10, 20, 30, 4, 1, 1, 9]]]);
  client.apply([4, 2, 6, null, null, [0, [5, 1, 1, 8]]]);
  client.apply([4, 3, 6, null, [], [0, [6, 1, 1, 7]]]);
  assert.deepEqual([...client.entities.keys()], [5, 6]);
});

test("a key frame cuts nobody's motion, but what was before is no baseline any more", () => {
  const client = new Snapshots(readKinds(KINDS));
  client.apply([4, 1, 3, null, null, [0, [4, 1, 1, 9, 1, 1, 1, 5]]]);
  client.apply([4, 2, 6, null, null, [0, [4, 1, 1, 12]]]);
  client.apply([4, 3, 6, null, [], [0, [5, 1, 1, 6]]]);
  const crates = [4, 5].map((id) => client.entities.get(id));
  assert.deepEqual(
    crates.map((crate) => crate.value(crate.slotAt(3), 0)),
    [9, 5],
  );
  assert.equal(client.apply([4, 4, 9, null, [], [6, [4, 1, 2]]]), 'unknown_baseline');
  assert.equal(client.apply([4, 5, 9, null, [], [3, [4, 1, 2]]]), 'taken');
  assert.equal(client.entities.get(4).get('x'), 13);
});

test('values are minimum and steps, and differences go the shorter way round', () => {
  assert.equal(shortest(1023 - 1, 1024), -2);
  const client = new Snapshots(readKinds(KINDS));
  client.apply([4, 1, 3, null, null, [0, [1, 0, 7, 4, 1023, 100]]]);
  client.apply([4, 2, 6, null, [], [3, [1, 2, zigzag(3)]]]);
  const fighter = client.entities.get(1);
  assert.equal(fighter.get('x'), -7);
  assert.equal(fighter.get('aim'), 2 / 1024);
  assert.equal(fighter.get('nothing'), undefined);
});

test('what is gone in a snapshot is no baseline in the same one, and may come back whole', () => {
  const client = new Snapshots(readKinds(KINDS));
  client.apply([4, 1, 3, null, null, [0, [4, 1, 1, 9]]]);
  assert.equal(client.apply([4, 2, 6, null, [4], [3, [4, 1, 2]]]), 'unknown_baseline');
  assert.equal(client.apply([4, 3, 6, null, null, [3, [4, 1, 2]]]), 'unknown_baseline');
  assert.equal(client.apply([4, 4, 6, null, [4], [0, [4, 0, 0]]]), 'taken');
  assert.equal(client.entities.get(4).kind.name, 'fighter');
  assert.throws(() => client.apply([4, 5, 9, null, [], [0, [4, 1, 0]]]), ProtocolError);
});

test('the acknowledgement names the newest and the 32 before it', () => {
  const client = new Snapshots(readKinds(KINDS));
  for (const number of [1, 2, 4, 5]) client.apply([4, number, number * 3, null, [], []]);
  assert.deepEqual([client.newest, client.before], [5, 0b1101]);
  client.apply([4, 37, 111, null, [], []]);
  assert.deepEqual([client.newest, client.before], [37, 0x8000_0000]);
  client.apply([4, 38, 114, null, [], []]);
  assert.deepEqual([client.newest, client.before], [38, 1]);
  client.apply([4, 100, 300, null, [], []]);
  assert.deepEqual([client.newest, client.before], [100, 0]);
});

test('what is no snapshot is a protocol error', () => {
  const wrong = [
    [4],
    [4, 1, 3, null, null],
    [4, 1, 3, 'x', null, []],
    [4, -1, 3, null, null, []],
    [4, 1, 3, null, null, [0]],
    [4, 1, 3, null, null, [0, 7]],
    [4, 1, 3, null, null, [0, [1]]],
    [4, 1, 3, null, null, [0, [1, 9, 0]]],
    [4, 1, 3, null, null, [0, [1, 0, 8]]],
    [4, 1, 3, null, null, [0, [1, 0, 1, 256]]],
    [4, 1, 3, null, null, [0, [1, 0, 1]]],
    [4, 1, 3, null, null, [0, [0, 0, 0]]],
    [4, 1, 3, null, ['a'], []],
    [4, 1.5, 3, null, null, []],
  ];
  for (const frame of wrong) {
    const client = new Snapshots(readKinds(KINDS));
    assert.throws(() => client.apply(frame), ProtocolError, JSON.stringify(frame));
  }
});

test('kinds with impossible fields are a protocol error', () => {
  const field = (...values) => [['k', [values]]];
  const wrong = [
    null,
    [1],
    [['k']],
    field('x', 0, 1, 0, 0),
    field('x', 0, 1, 2 ** 33, 0),
    field('x', Number.NaN, 1, 2, 0),
    field(7, 0, 1, 2, 0),
    new Array(300).fill(['k', []]),
  ];
  for (const kinds of wrong) assert.throws(() => readKinds(kinds), ProtocolError);
});

function sorted(entities) {
  return [...entities].sort(([a], [b]) => a - b);
}
