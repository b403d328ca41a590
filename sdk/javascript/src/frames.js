/**
 * Numbers, names and layouts of the game connection's frames, as docs/protocol.md has them.
 *
 * It checks what a peer sent before anybody else sees it, and knows no sockets.
 */
import { decode, MessagePackError } from './messagepack.js';
import { ProtocolError } from './errors.js';

export const PROTOCOL_VERSION = 1;
/** What the Hello is told by: `[0, version, mode, credential kind, …]`. */
export const MODE_THIN = 1;
export const CREDENTIAL_TICKET = 0;
export const CREDENTIAL_RESUME = 1;
const HELLO_FRAME_BYTES_MAX = 1024;
const BUILD_BYTES_MAX = 64;

export const WELCOME = 1;
export const REFUSED = 2;
export const START = 3;
export const SNAPSHOT = 4;
export const EVENT = 5;
export const PONG = 6;
export const BYE = 7;
export const INPUT = 16;
export const ACK = 17;
export const PING = 18;
export const CHAT = 19;
export const LEAVE = 20;

/** Inputs in one frame. */
export const INPUTS_MAX = 8;
/** Bytes of a chat text. */
export const CHAT_BYTES_MAX = 200;

/** Why a connection ended; a name's place in the list is its number. */
export const CLOSE_NAMES = Object.freeze([
  'consented',
  'kicked',
  'banned',
  'replaced',
  'draining',
  'protocol_mismatch',
  'slow_consumer',
  'rate_limited',
  'ticket_invalid',
  'match_over',
  'timeout',
  'internal',
  'protocol_error',
  'refused',
  'lost',
]);

/** Why a Hello was not answered with a Welcome; likewise. */
export const REFUSAL_NAMES = Object.freeze([
  'protocol_mismatch',
  'ticket_malformed',
  'ticket_bad_signature',
  'ticket_expired',
  'ticket_wrong_instance',
  'ticket_used',
  'resume_unknown',
  'match_unknown',
  'match_full',
  'seat_taken',
  'draining',
  'busy',
  'malformed_hello',
  'timeout',
  'overloaded',
]);

/** Ends after which coming back with the resume token, or with a new ticket, makes sense. */
const RESUMABLE = new Set(['draining', 'slow_consumer', 'timeout', 'internal', 'lost']);

/** @param {number} number @returns {string} The close's name; unknown ones are `internal`. */
export function closeName(number) {
  return CLOSE_NAMES[number] ?? 'internal';
}

/** @param {string} name @returns {number} */
export function closeNumber(name) {
  const number = CLOSE_NAMES.indexOf(name);
  return number < 0 ? CLOSE_NAMES.indexOf('internal') : number;
}

/** @param {string} name @returns {boolean} True when the seat may be taken up again. */
export function isResumable(name) {
  return RESUMABLE.has(name);
}

/**
 * @param {{kind: 'ticket' | 'resume', text: string}} credential
 * @param {string} build Name and version of the program, for the server's log.
 * @returns {any[]}
 */
export function hello(credential, build) {
  const kind = credential.kind === 'resume' ? CREDENTIAL_RESUME : CREDENTIAL_TICKET;
  const short = build.slice(0, BUILD_BYTES_MAX).replace(/[^\x20-\x7e]/g, '?');
  return [0, PROTOCOL_VERSION, MODE_THIN, kind, credential.text, short, 0];
}

/**
 * @typedef {object} Welcome
 * @property {number | bigint} connection
 * @property {string} player The account's UUID.
 * @property {number | null} seat
 * @property {'player' | 'spectator'} role
 * @property {number} tickRate Per second.
 * @property {number} snapshotRate Per second.
 * @property {string} resumeToken Empty for spectators.
 * @property {number} datagramSize
 * @property {string} game
 */

/**
 * Reads the answer to the Hello.
 *
 * @param {Uint8Array} bytes
 * @returns {{welcome: Welcome} |
 *   {refused: {code: string, text: string, retryAfterMs: number | null}}}
 * @throws {ProtocolError}
 */
export function readAnswer(bytes) {
  if (bytes.length > HELLO_FRAME_BYTES_MAX) throw new ProtocolError('an answer that is too long');
  const frame = readFrame(bytes);
  if (frame[0] === REFUSED) {
    const code = REFUSAL_NAMES[uint(frame, 1)] ?? 'refused';
    const retryAfterMs = frame.length > 3 ? uint(frame, 3) : null;
    return { refused: { code, text: text(frame, 2), retryAfterMs } };
  }
  if (frame[0] !== WELCOME) throw new ProtocolError('neither a Welcome nor a refusal');
  const player = frame[2];
  if (!(player instanceof Uint8Array) || player.length !== 16) {
    throw new ProtocolError('the Welcome names no player');
  }
  const tickRate = uint(frame, 5);
  const snapshotRate = uint(frame, 6);
  if (tickRate < 1 || tickRate > 1000 || snapshotRate < 1 || snapshotRate > tickRate) {
    throw new ProtocolError('the Welcome has impossible rates');
  }
  return {
    welcome: {
      connection: frame[1],
      player: uuid(player),
      seat: frame[3] === null ? null : uint(frame, 3),
      role: uint(frame, 4) === 1 ? 'spectator' : 'player',
      tickRate,
      snapshotRate,
      resumeToken: text(frame, 7),
      datagramSize: uint(frame, 8),
      game: text(frame, 9),
    },
  };
}

/**
 * @param {Uint8Array} bytes
 * @returns {any[]} An array whose first element is a number.
 * @throws {ProtocolError}
 */
export function readFrame(bytes) {
  let frame;
  try {
    frame = decode(bytes);
  } catch (error) {
    if (error instanceof MessagePackError) throw new ProtocolError(error.message);
    throw error;
  }
  if (!Array.isArray(frame) || !Number.isInteger(frame[0])) throw new ProtocolError('no frame');
  return frame;
}

/** @param {any[]} frame @param {number} index @returns {number} An integer ≥ 0. */
export function uint(frame, index) {
  const value = frame[index];
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ProtocolError(`frame ${frame[0]}: element ${index} is no unsigned integer`);
  }
  return value;
}

/** @param {any[]} frame @param {number} index @returns {string} */
export function text(frame, index) {
  const value = frame[index];
  if (typeof value !== 'string') {
    throw new ProtocolError(`frame ${frame[0]}: element ${index} is no text`);
  }
  return value;
}

/** @param {any[]} frame @param {number} index @returns {any[]} */
export function array(frame, index) {
  const value = frame[index];
  if (!Array.isArray(value)) {
    throw new ProtocolError(`frame ${frame[0]}: element ${index} is no array`);
  }
  return value;
}

/** @param {Uint8Array} bytes 16 of them. @returns {string} */
export function uuid(bytes) {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
