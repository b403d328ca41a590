/**
 * What kinds of entities a match has and what their fields mean: the `kinds` of the start frame.
 */
import { ProtocolError } from './errors.js';

/** More kinds or fields than this are refused, so that no server can exhaust its client. */
export const KINDS_MAX = 256;
/** A mask is one integer, and integers are exact up to 2^53. */
export const FIELDS_MAX = 53;
const COUNT_MAX = 2 ** 32;

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {number} minimum
 * @property {number} step
 * @property {number} count States; q is 0 ≤ q < count.
 * @property {boolean} wraps True when the values form a circle.
 * @property {number} span count × step: once round the circle.
 */

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {Field[]} fields
 * @property {Map<string, number>} indexOf Field's name to its place.
 */

/**
 * @param {unknown} kinds As the start frame has them.
 * @returns {Kind[]}
 * @throws {ProtocolError}
 */
export function readKinds(kinds) {
  if (!Array.isArray(kinds) || kinds.length > KINDS_MAX) throw new ProtocolError('kinds: no list');
  return kinds.map(readKind);
}

function readKind(kind) {
  if (!Array.isArray(kind) || typeof kind[0] !== 'string' || !Array.isArray(kind[1])) {
    throw new ProtocolError('kinds: not [name, fields]');
  }
  if (kind[1].length > FIELDS_MAX) throw new ProtocolError(`kind ${kind[0]}: too many fields`);
  const fields = kind[1].map(readField);
  const indexOf = new Map(fields.map((field, index) => [field.name, index]));
  return { name: kind[0], fields, indexOf };
}

function readField(field) {
  if (!Array.isArray(field) || typeof field[0] !== 'string') {
    throw new ProtocolError('kinds: a field without a name');
  }
  const [name, minimum, step, count, wraps] = field;
  const isRange = Number.isFinite(minimum) && Number.isFinite(step);
  if (!isRange || !Number.isInteger(count) || count < 1 || count > COUNT_MAX) {
    throw new ProtocolError(`field ${name}: impossible range`);
  }
  return { name, minimum, step, count, wraps: Boolean(wraps), span: count * step };
}
