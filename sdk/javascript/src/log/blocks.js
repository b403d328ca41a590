/**
 * The blocks of a match log: where they are, and how they are unpacked.
 *
 * Knows nothing of the records in them. Bytes that make no sense are left out; the checksums are
 * not verified, because what is damaged fails to unpack or to be read, and a viewer proves nothing.
 */
import { decompress } from '../../vendor/fzstd/index.mjs';
import { ReplayError } from '../errors.js';

const MAGIC = [0x47, 0x53, 0x4c, 0x4f, 0x47, 0, 0, 1];
const MARK = 0x4753_626b;
const HEADER_BYTES = 40;
/** Largest block, unpacked. */
export const BLOCK_BYTES_MAX = 16 * 1024 * 1024;
/** What a block may refer back to. */
const DICTIONARY_BYTES_MAX = 64 * 1024;
/** zstd takes no shorter dictionary. */
const DICTIONARY_BYTES_MIN = 8;
/** Blocks of a log; a match of days has fewer. */
const BLOCKS_MAX = 1_000_000;
const STANDS_ALONE = 1;
const ZSTD_MAGIC = 0x28b5_2ffd;

/**
 * @typedef {object} Block
 * @property {number} offset Of its payload.
 * @property {number} packedBytes
 * @property {number} rawBytes
 * @property {number} firstTick
 * @property {number} lastTick
 * @property {number} number
 * @property {boolean} standsAlone
 * @property {number} keyTick From which tick on everything can be known that begins here; Infinity
 *   before a survey.
 */

/**
 * Finds the blocks, hopping from header to header; past damage it looks for the next mark.
 *
 * @param {Uint8Array} bytes
 * @returns {Block[]}
 * @throws {ReplayError} when the bytes are no match log of this version.
 */
export function findBlocks(bytes) {
  if (bytes.length < MAGIC.length || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new ReplayError('no match log of a version that is known here');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = [];
  let offset = MAGIC.length;
  while (offset + HEADER_BYTES <= bytes.length && blocks.length < BLOCKS_MAX) {
    const block = readHeader(view, offset);
    const last = blocks.at(-1)?.number ?? -1;
    if (block !== null && block.number > last) {
      blocks.push(block);
      offset = block.offset + block.packedBytes;
    } else offset = nextMark(view, offset + 1);
  }
  if (blocks[0]?.number !== 0) throw new ReplayError('the beginning of the log is missing');
  return blocks;
}

function readHeader(view, at) {
  const offset = at + HEADER_BYTES;
  const packedBytes = view.getUint32(at + 4);
  const rawBytes = view.getUint32(at + 8);
  const firstTick = view.getUint32(at + 12);
  const lastTick = view.getUint32(at + 16);
  const isSound =
    view.getUint32(at) === MARK &&
    offset + packedBytes <= view.byteLength &&
    rawBytes <= BLOCK_BYTES_MAX &&
    firstTick <= lastTick;
  if (!isSound) return null;
  const number = view.getUint32(at + 20);
  const standsAlone = (view.getUint8(at + 24) & STANDS_ALONE) !== 0;
  const keyTick = Infinity;
  return { offset, packedBytes, rawBytes, firstTick, lastTick, number, standsAlone, keyTick };
}

function nextMark(view, from) {
  for (let at = from; at + HEADER_BYTES <= view.byteLength; at += 1) {
    if (view.getUint32(at) === MARK) return at;
  }
  return view.byteLength;
}

/** Unpacks blocks one after the other, beginning with one that stands alone. */
export class Unpacker {
  /** @param {Uint8Array} bytes Of the whole log. */
  constructor(bytes) {
    this.bytes = bytes;
    this.dictionary = new Uint8Array(0);
    this.expected = -1;
  }

  /**
   * @param {Block} block
   * @returns {Uint8Array | null} Null when it cannot be unpacked, by itself or because of a block
   *   before it.
   */
  unpack(block) {
    if (block.standsAlone) this.dictionary = new Uint8Array(0);
    else if (block.number !== this.expected) return null;
    const packed = this.bytes.subarray(block.offset, block.offset + block.packedBytes);
    const payload = unpack(packed, block.rawBytes, this.dictionary);
    if (payload === null) {
      this.expected = -1;
      return null;
    }
    this.expected = block.number + 1;
    this.dictionary = ending(this.dictionary, payload);
    return payload;
  }
}

function unpack(packed, rawBytes, dictionary) {
  try {
    const prefix =
      dictionary.length >= DICTIONARY_BYTES_MIN ? dictionary : dictionary.subarray(0, 0);
    const frame = withPrefix(packed, rawBytes, prefix);
    const whole = decompress(frame);
    return whole.length === prefix.length + rawBytes ? whole.subarray(prefix.length) : null;
  } catch {
    return null;
  }
}

/**
 * A zstd frame that begins with a text and goes on with the blocks of another frame. The decoder
 * here knows no dictionaries; a dictionary that is plain text is the same as a text that was there
 * before (RFC 8878, section 5), so the frame is written anew with the text as uncompressed block.
 */
function withPrefix(packed, rawBytes, prefix) {
  const { start, end } = blocksOf(packed);
  const blocks = packed.subarray(start, end);
  const prefixHead = prefix.length > 0 ? 3 : 0;
  const frame = new Uint8Array(9 + prefixHead + prefix.length + blocks.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, ZSTD_MAGIC);
  // One segment, its length in four bytes, no checksum, no dictionary.
  frame[4] = 0xa0;
  view.setUint32(5, prefix.length + rawBytes, true);
  if (prefixHead > 0) {
    const head = prefix.length << 3;
    frame.set([head & 0xff, (head >> 8) & 0xff, (head >> 16) & 0xff], 9);
    frame.set(prefix, 9 + prefixHead);
  }
  frame.set(blocks, 9 + prefixHead + prefix.length);
  return frame;
}

/** Where a frame's blocks begin and end. */
function blocksOf(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0) !== ZSTD_MAGIC) throw new ReplayError('no zstd frame');
  const descriptor = view.getUint8(4);
  const isOneSegment = (descriptor >> 5) & 1;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3];
  const sizeBytes = [isOneSegment, 2, 4, 8][descriptor >> 6];
  const start = 5 + (1 - isOneSegment) + dictionaryBytes + sizeBytes;
  return { start, end: frame.length - ((descriptor >> 2) & 1) * 4 };
}

/** The last bytes of what was unpacked. */
function ending(before, payload) {
  if (payload.length >= DICTIONARY_BYTES_MAX) return payload.slice(-DICTIONARY_BYTES_MAX);
  const kept = before.subarray(Math.max(0, before.length + payload.length - DICTIONARY_BYTES_MAX));
  const joined = new Uint8Array(kept.length + payload.length);
  joined.set(kept);
  joined.set(payload, kept.length);
  return joined;
}
