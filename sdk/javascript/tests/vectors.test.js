/** Frames as the vectors of the server say, which Rust and Python read too. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ProtocolError } from '../src/errors.js';
import { readAnswer, readFrame } from '../src/frames.js';
import { MatchState, readEvent } from '../src/match-state.js';
import { encode } from '../src/messagepack.js';
import { bytes, hex } from './support/hex.js';

const FILE = new URL('../../../tests/vectors/thin.json', import.meta.url);
const vectors = () => JSON.parse(readFileSync(FILE, 'utf8'));

/** The array as thin mode's JSON writes it. */
function asJson(value) {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === 'bigint') return Number(value);
  return Array.isArray(value) ? value.map(asJson) : value;
}

/** Feeds a frame as the match does; says whether it was taken in. */
function take(state, data) {
  const frame = readFrame(data);
  if (frame[0] === 4) return state.takeSnapshot(frame, 0);
  if (frame[0] === 1 || frame[0] === 2) readAnswer(data);
  if (frame[0] === 3) new MatchState(frame, { tickRate: 60 });
  if (frame[0] === 5) readEvent(frame);
  return false;
}

function started(start) {
  return new MatchState(readFrame(bytes(start)), { tickRate: 60 });
}

test("the server's frames are read as the vectors say, the client's written so", () => {
  const { frames, start } = vectors();
  for (const { name, from, hex: expected, json } of frames) {
    if (from === 'client') assert.equal(hex(encode(json)), expected, name);
    else {
      assert.deepEqual(asJson(readFrame(bytes(expected))), json, name);
      take(started(start), bytes(expected));
    }
  }
});

test('invalid frames are ignored or refused as the vectors say', () => {
  const { invalid, start } = vectors();
  for (const { name, hex: data, answer, why } of invalid) {
    const state = started(start);
    const feed = () => take(state, bytes(data));
    if (answer === 'refused') assert.throws(feed, ProtocolError, `${name}: ${why}`);
    else {
      assert.equal(feed(), false, `${name}: ${why}`);
      assert.equal(state.snapshots.newest, 0, name);
    }
  }
});

for (const run of ['run', 'spectator_run']) {
  test(`the ${run.replace('_', ' ')} of snapshots gives the state after each`, () => {
    const all = vectors();
    const { snapshots, ...state } = started(all.start);
    for (const { name, hex: data, delivered, taken, expect } of all[run]) {
      if (!delivered) continue;
      const isTaken = snapshots.apply(readFrame(bytes(data))) === 'taken';
      assert.equal(isTaken, taken, name);
      assert.equal(snapshots.newest, expect.newest, name);
      assert.equal(snapshots.before, expect.before, name);
      const ids = [...snapshots.entities.keys()].map(String).sort();
      assert.deepEqual(ids, Object.keys(expect.entities).sort(), name);
      for (const [id, entity] of snapshots.entities) check(entity, expect.entities[id], name);
    }
    assert.ok(state.kinds.length > 0);
  });
}

function check(entity, expected, name) {
  assert.equal(entity.kind.name, expected.kind, name);
  for (const field of entity.kind.fields) {
    const off = Math.abs(entity.get(field.name) - expected.values[field.name]);
    assert.ok(off <= 1e-9 * field.step, `${name}: ${entity.id}.${field.name} is ${off} off`);
  }
}
