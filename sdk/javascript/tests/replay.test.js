/** Match logs: any tick, damage, and the vectors of the server. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Replay, ReplayError } from '../src/index.js';
import { findBlocks, Unpacker } from '../src/log/blocks.js';
import { decodeAt, encode } from '../src/messagepack.js';
import { bytes, hex } from './support/hex.js';
import { block, bytesOf, logOfTenSeconds, stored } from './support/log.js';

test('a log tells what match it is of', async () => {
  const replay = await Replay.open(bytesOf(logOfTenSeconds()));
  const { game, mode, tickRate, interval, startedAtMs, matchId } = replay.header;
  assert.deepEqual([game, mode, tickRate, interval], ['arena', 'ffa', 60, 3]);
  assert.equal(startedAtMs, 1_700_000_000_000);
  assert.equal(matchId, '01010101-0101-0101-0101-010101010101');
  assert.deepEqual([replay.firstTick, replay.lastTick, replay.isComplete], [3, 600, true]);
  assert.deepEqual(replay.config, { a: 1 });
});

test('any tick can be shown, forwards, backwards and in between', async () => {
  const replay = await Replay.open(bytesOf(logOfTenSeconds()));
  const x = (tick) => replay.entitiesAt(tick)[0]?.x;
  for (const tick of [3, 4.5, 30, 300, 301, 90.75, 600, 599, 61, 62, 240, 3]) {
    assert.ok(Math.abs(x(tick) - (tick / 3) * 0.25) < 1e-9, `tick ${tick}: ${x(tick)}`);
  }
  assert.equal(x(1), undefined);
});

test('a log is shown to its very last tick, which has no snapshot', async () => {
  const log = logOfTenSeconds();
  const last = Buffer.concat([
    encode([1, 602, [], [0, new Uint8Array(5)], new Uint8Array(8)]),
    encode([3, 602, encode([5, 11, 602, 'kill', [9, 9]])]),
  ]);
  log.blocks.splice(10, 0, block(10, [601, 602], 1, last.length, stored(last)));
  log.blocks[11].writeUInt32BE(11, 20);
  const replay = await Replay.open(bytesOf(log));
  assert.equal(replay.lastTick, 602);
  assert.deepEqual(
    replay.eventsUntil(replay.lastTick).at(-1).payload,
    [9, 9],
    'the last kill is in it',
  );
  assert.equal(replay.entitiesAt(602).length, 1);
});

test('events are known up to a tick', async () => {
  const replay = await Replay.open(bytesOf(logOfTenSeconds()));
  assert.deepEqual(
    replay.eventsUntil(180).map(({ payload }) => payload[0]),
    [0, 1, 2],
  );
  assert.deepEqual(
    replay.eventsBetween(60, 120).map(({ payload }) => payload[0]),
    [1],
  );
});

test('a damaged block costs its own seconds only', async () => {
  const log = logOfTenSeconds();
  log.blocks[4].fill(0xee, 0, 60);
  const replay = await Replay.open(bytesOf(log));
  assert.equal(replay.entitiesAt(200)[0].x, (200 / 3) * 0.25);
  assert.equal(replay.entitiesAt(330)[0].x, (330 / 3) * 0.25);
  assert.equal(replay.eventsUntil(600).length, 9);
});

test('a log that was cut off anywhere plays up to there, or is refused', async () => {
  const whole = bytesOf(logOfTenSeconds());
  for (let length = 0; length < whole.length; length += 257) {
    try {
      const replay = await Replay.open(whole.subarray(0, length));
      assert.equal(replay.isComplete, false);
      replay.entitiesAt(replay.lastTick);
    } catch (error) {
      assert.ok(error instanceof ReplayError, String(error));
    }
  }
});

test('random damage is never more than a ReplayError', async () => {
  const whole = bytesOf(logOfTenSeconds());
  let seed = 3;
  const random = (below) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 200; round += 1) {
    const damaged = whole.slice();
    for (let count = 0; count < 5; count += 1) damaged[random(damaged.length)] = random(256);
    try {
      const replay = await Replay.open(damaged);
      for (const tick of [3, 300, 500, 10]) replay.entitiesAt(tick);
    } catch (error) {
      assert.ok(error instanceof ReplayError, error.stack);
    }
  }
});

// Made by `zstd -3 --no-check -D first.bin second.bin`; first.bin is `first`, and second.bin is
// `first` backwards in words, then `first` as it is.
const FIRST = 'the quick brown fox jumps over the lazy dog, and then the dog jumps over the fox. ';
const SECOND =
  '28b52ffd20f67d010068646f677468656e666f787468650c00a1bcd1d1d8006093a7a941c802ba3898a201' +
  '2508c1ea8e51033b17b60d0301';

test('a block that refers back to the one before is unpacked', () => {
  const first = Buffer.from(FIRST.repeat(2));
  const expected = FIRST.split(' ').reverse().join(' ') + FIRST.repeat(2);
  const packed = bytes(SECOND);
  const log = Buffer.concat([
    Buffer.from('47534c4f47000001', 'hex'),
    block(0, [0, 1], 1, first.length, stored(first)),
    block(1, [1, 2], 0, expected.length, packed),
  ]);
  const blocks = findBlocks(new Uint8Array(log));
  const unpacker = new Unpacker(new Uint8Array(log));
  assert.equal(Buffer.from(unpacker.unpack(blocks[0])).toString(), first.toString());
  assert.equal(Buffer.from(unpacker.unpack(blocks[1])).toString(), expected);
  assert.equal(new Unpacker(new Uint8Array(log)).unpack(blocks[1]), null, 'not without the first');
});

const VECTORS = new URL('../../../tests/vectors/match-log.json', import.meta.url);

test('a log of the server is read as the vectors say', async () => {
  const vectors = JSON.parse(readFileSync(VECTORS, 'utf8'));
  const log = bytes(vectors.log);
  const blocks = findBlocks(log);
  assert.deepEqual(
    blocks.map(({ offset, packedBytes, firstTick, lastTick, number, standsAlone }) => [
      offset - 40,
      packedBytes + 40,
      firstTick,
      lastTick,
      number,
      standsAlone,
    ]),
    vectors.blocks.map(({ offset, length, first_tick, last_tick, number, stands_alone }) => [
      offset,
      length,
      first_tick,
      last_tick,
      number,
      stands_alone,
    ]),
  );
  const unpacker = new Unpacker(log);
  const records = [];
  for (const block of blocks) {
    const payload = unpacker.unpack(block);
    assert.ok(payload !== null, `block ${block.number}`);
    for (let position = 0; position < payload.length;) {
      const { end } = decodeAt(payload, position);
      records.push(hex(payload.subarray(position, end)));
      position = end;
    }
  }
  assert.deepEqual(records, vectors.records);
});
