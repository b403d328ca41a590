/** Writes match logs for the tests: blocks whose zstd frames are not compressed. */
import { encode } from '../../src/messagepack.js';

export const START = [3, 0, 3, [['fighter', [['x', 0, 0.25, 4000, 0]]]], '{"a":1}'];
const STANDS_ALONE = 1;
const HAS_FOOTER = 4;

export function header() {
  const id = new Uint8Array(16).fill(1);
  return [
    0,
    id,
    id,
    'arena',
    'ffa',
    'b 1',
    1,
    2,
    3,
    2,
    16,
    60,
    3,
    4,
    encode(START),
    1_700_000_000_000,
    ['Body'],
  ];
}

/** A block. `packed` is its payload as a zstd frame. */
export function block(number, [firstTick, lastTick], flags, rawBytes, packed) {
  const head = new DataView(new ArrayBuffer(40));
  [0x4753626b, packed.length, rawBytes, firstTick, lastTick, number].forEach((value, index) =>
    head.setUint32(index * 4, value),
  );
  head.setUint8(24, flags);
  return Buffer.concat([Buffer.from(head.buffer), packed]);
}

/** A zstd frame with one uncompressed block. */
export function stored(payload) {
  const head = (payload.length << 3) | 1;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(payload.length);
  return Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]),
    size,
    Buffer.from([head & 0xff, (head >> 8) & 0xff, (head >> 16) & 0xff]),
    payload,
  ]);
}

/** A log of ten seconds in which one fighter moves 0.25 m a snapshot; a block a second. */
export function logOfTenSeconds() {
  const blocks = [];
  let number = 0;
  for (let second = 0; second < 10; second += 1) {
    const records = second === 0 ? [header()] : [[4, second * 60, new Uint8Array(50)]];
    for (let tick = second * 60 + 3; tick <= second * 60 + 60; tick += 3) {
      number += 1;
      const isKey = tick === second * 60 + 3;
      const groups = isKey ? [0, [7, 0, 1, tick / 3]] : [3, [7, 1, 2]];
      records.push([1, tick, [], [0, new Uint8Array(5)], new Uint8Array(8)]);
      records.push([
        2,
        tick,
        Number(isKey),
        encode([4, number, tick, null, isKey ? null : [], groups]),
      ]);
    }
    records.push([
      3,
      second * 60 + 60,
      encode([5, second + 1, second * 60 + 60, 'kill', [second, 1]]),
    ]);
    const payload = Buffer.concat(records.map((record) => encode(record)));
    const ticks = [second * 60 + 1, second * 60 + 60];
    blocks.push(block(second, ticks, STANDS_ALONE, payload.length, stored(payload)));
  }
  const footer = encode([
    6,
    new Uint8Array(3),
    new Uint8Array(32),
    new Uint8Array(32),
    new Uint8Array(32),
    600,
    0,
  ]);
  blocks.push(
    block(10, [600, 600], STANDS_ALONE | HAS_FOOTER, footer.length, stored(Buffer.from(footer))),
  );
  return { magic: Buffer.from('47534c4f47000001', 'hex'), blocks };
}

export function bytesOf({ magic, blocks }) {
  return new Uint8Array(Buffer.concat([magic, ...blocks]));
}
