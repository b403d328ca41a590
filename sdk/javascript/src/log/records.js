/**
 * The records of a match log, as much of them as a viewer needs: the header, what spectators were
 * sent and told, who came and went.
 *
 * Of a tick only its number is read: inputs, hashes and key frames are for a simulation.
 */
import { decodeAt } from '../messagepack.js';
import { ReplayError } from '../errors.js';
import { uuid } from '../frames.js';

const HEADER = 0;
const TICK = 1;
const SNAPSHOT = 2;
const EVENT = 3;
const GAP = 5;
const FOOTER = 6;
const TICK_MAX = 0xffff_ffff;

/**
 * @typedef {object} LogHeader
 * @property {string} matchId
 * @property {string} sessionId
 * @property {string} game
 * @property {string} mode
 * @property {string} build
 * @property {number} tickRate
 * @property {number} interval Ticks between two snapshots.
 * @property {Uint8Array} startFrame
 * @property {number} startedAtMs Since 1970.
 */

/**
 * Goes through the records of a block that was unpacked.
 *
 * @param {Uint8Array} payload
 * @returns {Generator<{kind: string, tick: number, frame?: Uint8Array, isKey?: boolean,
 *   lastTick?: number}>} It ends at the first record that cannot be read.
 */
export function* readRecords(payload) {
  let position = 0;
  while (position < payload.length) {
    let next;
    try {
      next = decodeAt(payload, position);
    } catch {
      return;
    }
    position = next.end;
    const record = next.value;
    if (!Array.isArray(record)) return;
    const known = viewed(record);
    if (known !== null) yield known;
  }
}

function viewed([kind, tick, ...rest]) {
  const isTick = Number.isInteger(tick) && tick >= 0 && tick <= TICK_MAX;
  if (!isTick && kind !== FOOTER) return null;
  switch (kind) {
    case TICK:
      return { kind: 'tick', tick };
    case SNAPSHOT:
      return rest[1] instanceof Uint8Array
        ? { kind: 'snapshot', tick, isKey: rest[0] === 1, frame: rest[1] }
        : null;
    case EVENT:
      return rest[0] instanceof Uint8Array ? { kind: 'event', tick, frame: rest[0] } : null;
    case GAP:
      return { kind: 'gap', tick, lastTick: rest[0] };
    case FOOTER:
      return { kind: 'footer', tick: 0 };
    default:
      return null;
  }
}

/**
 * @param {Uint8Array} payload Of the first block.
 * @returns {LogHeader}
 * @throws {ReplayError}
 */
export function readLogHeader(payload) {
  let record;
  try {
    record = decodeAt(payload).value;
  } catch {
    throw new ReplayError('the header of the log cannot be read');
  }
  const isHeader =
    Array.isArray(record) &&
    record[0] === HEADER &&
    record[1] instanceof Uint8Array &&
    record[2] instanceof Uint8Array &&
    record[14] instanceof Uint8Array &&
    [3, 4, 5].every((index) => typeof record[index] === 'string') &&
    record[11] >= 1 &&
    record[11] <= 1000 &&
    record[12] >= 1 &&
    record[12] <= record[11];
  if (!isHeader) throw new ReplayError('the header of the log cannot be read');
  return {
    matchId: uuid(record[1]),
    sessionId: uuid(record[2]),
    game: record[3],
    mode: record[4],
    build: record[5],
    tickRate: record[11],
    interval: record[12],
    startFrame: record[14],
    startedAtMs: Number(record[15]),
  };
}
