/**
 * Frames over WebSocket: each one is one binary message, reliable or not.
 *
 * Knows nothing of what the frames mean.
 */
import { ConnectError, ProtocolError } from '../errors.js';
import { CLOSE_NAMES, closeName, closeNumber } from '../frames.js';
import { Carrier } from './carrier.js';

const SUB_PROTOCOL = 'gs.v1.msgpack';
const CODE_BASE = 4000;
/** 1000, 1001 and 1005 read as consented: somebody was done. */
const CONSENTED_CODES = [1000, 1001, 1005];
const REASON_BYTES_MAX = 123;
/** Longest wait for the handshake of a socket that nobody wants any more. */
const GIVEN_UP_MS = 5_000;

/** An open WebSocket. Made by `openWebSocket`. */
class WebSocketCarrier extends Carrier {
  constructor(socket) {
    super('websocket');
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => {
      if (data instanceof ArrayBuffer) this.received(new Uint8Array(data));
      else this.failed(new ProtocolError('a text message'));
    });
    socket.addEventListener('close', ({ code, reason }) => this.ended(nameOf(code), reason));
  }

  sendReliable(bytes) {
    this.send(bytes);
  }

  sendUnreliable(bytes) {
    this.send(bytes);
  }

  send(bytes) {
    if (this.socket.readyState !== 1) return;
    this.sent(bytes.length);
    this.socket.send(bytes);
  }

  close(name, text) {
    const reason = new TextEncoder().encode(text).length <= REASON_BYTES_MAX ? text : '';
    this.socket.close(CODE_BASE + closeNumber(name), reason);
    this.ended(name, text);
  }
}

/**
 * @param {{url: string}} offer
 * @param {{WebSocket: typeof WebSocket, signal: AbortSignal}} context
 * @returns {Promise<Carrier>} When the handshake is over.
 * @throws {ConnectError}
 */
export function openWebSocket(offer, { WebSocket, signal }) {
  return new Promise((resolve, reject) => {
    let socket;
    try {
      socket = new WebSocket(offer.url, [SUB_PROTOCOL]);
    } catch (error) {
      // A page from https may not open ws://, for example.
      reject(new ConnectError('unreachable', `${offer.url}: ${error.message}`));
      return;
    }
    socket.binaryType = 'arraybuffer';
    // Browsers complain of a socket that is closed while it connects; given up, it is closed then.
    let timer;
    const abort = () => {
      timer = setTimeout(() => socket.close(), GIVEN_UP_MS);
      reject(new ConnectError('aborted', `${offer.url}: given up`));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.addEventListener(
      'open',
      () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        if (signal.aborted) socket.close();
        else resolve(new WebSocketCarrier(socket));
      },
      { once: true },
    );
    // Platforms differ in which of the two they tell when nobody answers.
    for (const name of ['error', 'close']) {
      socket.addEventListener(name, () => {
        clearTimeout(timer);
        reject(new ConnectError('unreachable', `${offer.url}: no WebSocket`));
      });
    }
  });
}

function nameOf(code) {
  if (CONSENTED_CODES.includes(code)) return 'consented';
  if (code >= CODE_BASE && code < CODE_BASE + 1000) return closeName(code - CODE_BASE);
  return CLOSE_NAMES[14];
}
