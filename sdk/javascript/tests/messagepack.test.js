/** MessagePack both ways, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, decodeAt, encode, MessagePackError } from '../src/messagepack.js';
import { bytes, hex } from './support/hex.js';

const INTEGERS = [
  [0, '00'],
  [127, '7f'],
  [128, 'cc80'],
  [255, 'ccff'],
  [256, 'cd0100'],
  [65_535, 'cdffff'],
  [65_536, 'ce00010000'],
  [2 ** 32 - 1, 'ceffffffff'],
  [2 ** 32, 'cf0000000100000000'],
  [Number.MAX_SAFE_INTEGER, 'cf001fffffffffffff'],
  [-1, 'ff'],
  [-32, 'e0'],
  [-33, 'd0df'],
  [-128, 'd080'],
  [-129, 'd1ff7f'],
  [-32_768, 'd18000'],
  [-32_769, 'd2ffff7fff'],
  [-(2 ** 31), 'd280000000'],
  [-(2 ** 31) - 1, 'd3ffffffff7fffffff'],
  [Number.MIN_SAFE_INTEGER, 'd3ffe0000000000001'],
];

test('integers are written in their shortest form and read back', () => {
  for (const [value, expected] of INTEGERS) {
    assert.equal(hex(encode(value)), expected, `${value}`);
    assert.equal(decode(bytes(expected)), value);
  }
});

test('wider forms of an integer are read too', () => {
  for (const wide of [
    '07',
    'cc07',
    'cd0007',
    'ce00000007',
    'cf0000000000000007',
    'd007',
    'd10007',
  ]) {
    assert.equal(decode(bytes(wide)), 7, wide);
  }
});

test('an integer beyond 2^53 is read as BigInt and never written', () => {
  assert.equal(decode(bytes('cfffffffffffffffff')), 2n ** 64n - 1n);
  assert.throws(() => encode(2 ** 53), MessagePackError);
});

test('texts, bytes, arrays and the rest come back as they were', () => {
  const values = [
    null,
    true,
    false,
    0.5,
    -1e-300,
    '',
    'ä€😀',
    'x'.repeat(31),
    'x'.repeat(32),
    'x'.repeat(300),
    'x'.repeat(70_000),
    [],
    new Array(15).fill(1),
    new Array(16).fill(1),
    new Array(70_000).fill(0),
    [1, ['a', [null]]],
  ];
  for (const value of values) assert.deepEqual(decode(encode(value)), value);
  for (const length of [0, 255, 256, 70_000]) {
    const blob = new Uint8Array(length).fill(7);
    assert.deepEqual(decode(encode(blob)), blob);
  }
});

test('a map is read, and none of its keys reaches a prototype', () => {
  const map = decode(bytes('82a16101a95f5f70726f746f5f5f02'));
  assert.equal(map.a, 1);
  assert.equal(Object.getPrototypeOf(map), null);
  assert.equal(Object.keys(map).length, 2);
});

test('values may follow each other', () => {
  const first = decodeAt(bytes('cc8001'));
  assert.deepEqual(first, { value: 128, end: 2 });
  assert.deepEqual(decodeAt(bytes('cc8001'), first.end), { value: 1, end: 3 });
});

test('bytes that end early, come after the end or mean nothing are refused', () => {
  const wrong = [
    '',
    'cc',
    '91',
    'a2 61',
    'c403 0102',
    '0000',
    'c1',
    'c7',
    'a1ff',
    'd4',
    'ddffffffff',
    'dfffffffff00',
    'dbffffffff',
    '81c000',
  ];
  for (const text of wrong) {
    assert.throws(() => decode(bytes(text)), MessagePackError, text);
  }
});

test('deep nesting is refused and not followed', () => {
  assert.throws(() => decode(new Uint8Array(100_000).fill(0x91)), MessagePackError);
});

test('random bytes are read or refused, and nothing else happens', () => {
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let round = 0; round < 20_000; round += 1) {
    const noise = Uint8Array.from({ length: random() % 40 }, () => random() & 0xff);
    try {
      decode(noise);
    } catch (error) {
      assert.ok(error instanceof MessagePackError, String(error));
    }
  }
});
