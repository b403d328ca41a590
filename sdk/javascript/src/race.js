/**
 * Tries the transports of a join answer in their order, each a little after the one before, and
 * keeps the first whose handshake is over.
 */
import { ConnectError } from './errors.js';
import { openWebSocket } from './carriers/websocket.js';
import { openWebTransport } from './carriers/webtransport.js';

/** Head start of each transport. */
export const STAGGER_MS = 250;
/** All of it, answer included. */
export const CONNECT_TIMEOUT_MS = 10_000;
const NOTHING_HERE =
  'This program has neither WebTransport nor WebSocket: Node has WebSocket from version 22 on, ' +
  'or with --experimental-websocket; another one is passed as connect(answer, { WebSocket }).';
/** Offers looked at; a server has three. */
const OFFERS_MAX = 8;

/**
 * @typedef {object} TransportOffer
 * @property {'quic' | 'webtransport' | 'websocket'} kind
 * @property {string} url
 * @property {string | null} [certificate_sha256]
 */

/**
 * @param {TransportOffer[]} offers
 * @param {{WebTransport?: any, WebSocket?: any, signal?: AbortSignal}} [options] The platform's
 *   own transports unless others are given; null leaves one out.
 * @returns {Promise<import('./carriers/carrier.js').Carrier>}
 * @throws {ConnectError}
 */
export async function race(offers, options = {}) {
  const { WebTransport = globalThis.WebTransport, WebSocket = globalThis.WebSocket } = options;
  if (!WebTransport && !WebSocket) throw new ConnectError('no_transport', NOTHING_HERE);
  const openers = usable(offers, { WebTransport, WebSocket });
  if (openers.length === 0) {
    const offered = offers.map(({ kind }) => kind).join(', ') || 'nothing';
    const here = [WebTransport && 'WebTransport', WebSocket && 'WebSocket'].filter(Boolean);
    const text = `The server offers ${offered}, and this program can use ${here.join(' and ')}.`;
    throw new ConnectError('no_transport', text);
  }
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), CONNECT_TIMEOUT_MS);
  const forward = () => giveUp.abort();
  options.signal?.addEventListener('abort', forward, { once: true });
  if (options.signal?.aborted) forward();
  try {
    return await first(openers, giveUp);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', forward);
  }
}

/** The offers that this platform can open, as functions that do it. */
function usable(offers, { WebTransport, WebSocket }) {
  const known = offers.slice(0, OFFERS_MAX).map((offer) => {
    if (offer.kind === 'webtransport' && WebTransport) {
      return (signal) => openWebTransport(offer, { WebTransport, signal });
    }
    if (offer.kind === 'websocket' && WebSocket) {
      return (signal) => openWebSocket(offer, { WebSocket, signal });
    }
    return null;
  });
  return known.filter((open) => open !== null);
}

function first(openers, giveUp) {
  return new Promise((resolve, reject) => {
    const failures = [];
    const controllers = [];
    let winner = null;
    let next = 0;
    let timer;
    const stop = () => {
      clearTimeout(timer);
      controllers.forEach((controller) => controller.abort());
    };
    const start = () => {
      clearTimeout(timer);
      if (next >= openers.length || winner !== null || giveUp.signal.aborted) return;
      const open = openers[next];
      const controller = new AbortController();
      controllers.push(controller);
      next += 1;
      timer = setTimeout(start, STAGGER_MS);
      open(controller.signal).then(won, lost);
    };
    const won = (carrier) => {
      if (winner !== null || giveUp.signal.aborted) {
        carrier.close('consented', 'another transport was faster');
        return;
      }
      winner = carrier;
      stop();
      resolve(carrier);
    };
    const lost = (error) => {
      failures.push(error);
      if (winner !== null) return;
      if (failures.length === openers.length) {
        stop();
        reject(new ConnectError('unreachable', 'No transport reached the server.', failures));
      } else start();
    };
    giveUp.signal.addEventListener(
      'abort',
      () => {
        stop();
        reject(new ConnectError('timeout', 'The server did not answer in time.', failures));
      },
      { once: true },
    );
    start();
    if (giveUp.signal.aborted) reject(new ConnectError('aborted', 'Given up.'));
  });
}
