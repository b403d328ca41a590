/**
 * MessagePack, as much of it as the protocol uses: nil, booleans, integers, float 64, texts, bytes,
 * arrays; maps are read and never written.
 *
 * Integers are written in their shortest form and read in any. Those beyond 2^53 − 1 are read as
 * BigInt and cannot be written. Bytes of a peer cannot make it throw anything but
 * MessagePackError, nor allocate more than a small multiple of their own length.
 */

/** Arrays and maps within each other. */
export const DEPTH_MAX = 16;
const UINT32 = 0x1_0000_0000;

/** Bytes that are no MessagePack, or a value that has no form in it. */
export class MessagePackError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'MessagePackError';
    this.code = 'messagepack';
  }
}

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true });

/**
 * @param {unknown} value null, boolean, number, string, Uint8Array, or an array of such.
 * @returns {Uint8Array}
 * @throws {MessagePackError} when the value has no form here.
 */
export function encode(value) {
  const writer = new Writer();
  writer.value(value, 0);
  return writer.bytes.slice(0, writer.length);
}

/**
 * Reads exactly one value.
 *
 * @param {Uint8Array} bytes
 * @returns {any}
 * @throws {MessagePackError} when they are not one whole value.
 */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.position !== bytes.length) throw new MessagePackError('bytes after the value');
  return value;
}

/**
 * Reads one value that others may follow.
 *
 * @param {Uint8Array} bytes
 * @param {number} [from] Where it begins.
 * @returns {{value: any, end: number}} `end` is the position after it.
 * @throws {MessagePackError} when there is no whole value.
 */
export function decodeAt(bytes, from = 0) {
  const reader = new Reader(bytes);
  reader.position = from;
  const value = reader.value(0);
  return { value, end: reader.position };
}

class Writer {
  constructor() {
    this.bytes = new Uint8Array(256);
    this.view = new DataView(this.bytes.buffer);
    this.length = 0;
  }

  value(value, depth) {
    if (depth > DEPTH_MAX) throw new MessagePackError('nested too deeply');
    if (value === null || value === undefined) this.byte(0xc0);
    else if (typeof value === 'boolean') this.byte(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') this.number(value);
    else if (typeof value === 'string') this.text(value);
    else if (value instanceof Uint8Array) this.binary(value);
    else if (Array.isArray(value)) this.array(value, depth);
    else throw new MessagePackError(`no form for ${typeof value}`);
  }

  number(value) {
    if (!Number.isInteger(value)) {
      this.reserve(9);
      this.view.setUint8(this.length, 0xcb);
      this.view.setFloat64(this.length + 1, value);
      this.length += 9;
    } else if (!Number.isSafeInteger(value)) {
      throw new MessagePackError('an integer beyond 2^53');
    } else if (value >= 0) this.unsigned(value);
    else this.negative(value);
  }

  unsigned(value) {
    if (value < 0x80) this.byte(value);
    else if (value < 0x100) this.head(0xcc, 1, value);
    else if (value < 0x1_0000) this.head(0xcd, 2, value);
    else if (value < UINT32) this.head(0xce, 4, value);
    else this.wide(0xcf, value);
  }

  negative(value) {
    if (value >= -0x20) this.byte(value + 0x100);
    else if (value >= -0x80) this.head(0xd0, 1, value + 0x100);
    else if (value >= -0x8000) this.head(0xd1, 2, value + 0x1_0000);
    else if (value >= -0x8000_0000) this.head(0xd2, 4, value + UINT32);
    else this.wide(0xd3, value);
  }

  wide(marker, value) {
    this.reserve(9);
    this.view.setUint8(this.length, marker);
    this.view.setInt32(this.length + 1, Math.floor(value / UINT32));
    this.view.setUint32(this.length + 5, value >>> 0);
    this.length += 9;
  }

  text(value) {
    const bytes = textEncoder.encode(value);
    if (bytes.length < 0x20) this.byte(0xa0 | bytes.length);
    else this.sized(bytes.length, 0xd9, 0xda, 0xdb);
    this.raw(bytes);
  }

  binary(value) {
    this.sized(value.length, 0xc4, 0xc5, 0xc6);
    this.raw(value);
  }

  array(value, depth) {
    if (value.length < 0x10) this.byte(0x90 | value.length);
    else if (value.length < 0x1_0000) this.head(0xdc, 2, value.length);
    else this.head(0xdd, 4, value.length);
    for (const item of value) this.value(item, depth + 1);
  }

  sized(length, marker8, marker16, marker32) {
    if (length < 0x100) this.head(marker8, 1, length);
    else if (length < 0x1_0000) this.head(marker16, 2, length);
    else this.head(marker32, 4, length);
  }

  head(marker, size, value) {
    this.reserve(1 + size);
    this.view.setUint8(this.length, marker);
    if (size === 1) this.view.setUint8(this.length + 1, value);
    else if (size === 2) this.view.setUint16(this.length + 1, value);
    else this.view.setUint32(this.length + 1, value);
    this.length += 1 + size;
  }

  byte(value) {
    this.reserve(1);
    this.bytes[this.length] = value;
    this.length += 1;
  }

  raw(bytes) {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  reserve(count) {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
  }

  value(depth) {
    const marker = this.bytes[this.take(1)];
    if (marker < 0x80) return marker;
    if (marker < 0x90) return this.map(marker & 0x0f, depth);
    if (marker < 0xa0) return this.array(marker & 0x0f, depth);
    if (marker < 0xc0) return this.text(marker & 0x1f);
    if (marker >= 0xe0) return marker - 0x100;
    return this.marked(marker, depth);
  }

  marked(marker, depth) {
    switch (marker) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.binary(this.uint8());
      case 0xc5:
        return this.binary(this.uint16());
      case 0xc6:
        return this.binary(this.uint32());
      case 0xca:
        return this.view.getFloat32(this.take(4));
      case 0xcb:
        return this.view.getFloat64(this.take(8));
      case 0xcc:
        return this.uint8();
      case 0xcd:
        return this.uint16();
      case 0xce:
        return this.uint32();
      case 0xcf:
        return narrow(this.view.getBigUint64(this.take(8)));
      case 0xd0:
        return this.view.getInt8(this.take(1));
      case 0xd1:
        return this.view.getInt16(this.take(2));
      case 0xd2:
        return this.view.getInt32(this.take(4));
      case 0xd3:
        return narrow(this.view.getBigInt64(this.take(8)));
      case 0xd9:
        return this.text(this.uint8());
      case 0xda:
        return this.text(this.uint16());
      case 0xdb:
        return this.text(this.uint32());
      case 0xdc:
        return this.array(this.uint16(), depth);
      case 0xdd:
        return this.array(this.uint32(), depth);
      case 0xde:
        return this.map(this.uint16(), depth);
      case 0xdf:
        return this.map(this.uint32(), depth);
      default:
        throw new MessagePackError(`marker 0x${marker.toString(16)} is not used here`);
    }
  }

  array(length, depth) {
    this.enter(length, 1, depth);
    const items = new Array(length);
    for (let index = 0; index < length; index += 1) items[index] = this.value(depth + 1);
    return items;
  }

  map(length, depth) {
    this.enter(length, 2, depth);
    // Without a prototype, so that no key of a peer means anything but itself.
    const entries = Object.create(null);
    for (let index = 0; index < length; index += 1) {
      const key = this.value(depth + 1);
      if (typeof key !== 'string' && typeof key !== 'number') {
        throw new MessagePackError('a key that is neither text nor number');
      }
      entries[key] = this.value(depth + 1);
    }
    return entries;
  }

  text(length) {
    const start = this.take(length);
    try {
      return textDecoder.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw new MessagePackError('text that is not UTF-8');
    }
  }

  binary(length) {
    const start = this.take(length);
    return this.bytes.slice(start, start + length);
  }

  uint8() {
    return this.bytes[this.take(1)];
  }
  uint16() {
    return this.view.getUint16(this.take(2));
  }
  uint32() {
    return this.view.getUint32(this.take(4));
  }

  /** Refuses a length that the rest of the bytes cannot hold, before anything is allocated. */
  enter(length, bytesEach, depth) {
    if (depth >= DEPTH_MAX) throw new MessagePackError('nested too deeply');
    if (length * bytesEach > this.bytes.length - this.position) {
      throw new MessagePackError('the bytes end early');
    }
  }

  take(count) {
    const start = this.position;
    if (count > this.bytes.length - start) throw new MessagePackError('the bytes end early');
    this.position = start + count;
    return start;
  }
}

function narrow(wide) {
  const number = Number(wide);
  return Number.isSafeInteger(number) ? number : wide;
}
