/**
 * One game connection: transport, Hello, Welcome; then frames both ways until it ends.
 *
 * Knows how to come back with a resume token, not what the frames after the Welcome mean.
 */
import { ConnectError, ProtocolError, RefusedError } from './errors.js';
import { hello, readAnswer, readFrame } from './frames.js';
import { encode } from './messagepack.js';
import { CONNECT_TIMEOUT_MS, race } from './race.js';

/**
 * @typedef {object} ConnectionOptions
 * @property {string} [build] Name and version of the program, for the server's log.
 * @property {any} [WebTransport] Instead of the platform's; null for none.
 * @property {any} [WebSocket] Likewise.
 * @property {AbortSignal} [signal] Gives the attempt up.
 */

export class Connection {
  #carrier;

  /**
   * @param {import('./carriers/carrier.js').Carrier} carrier
   * @param {import('./frames.js').Welcome} welcome
   */
  constructor(carrier, welcome) {
    this.#carrier = carrier;
    this.welcome = welcome;
    this.transport = carrier.kind;
  }

  /**
   * Connects and is welcomed.
   *
   * @param {import('./race.js').TransportOffer[]} transports
   * @param {{kind: 'ticket' | 'resume', text: string}} credential Good for one use.
   * @param {ConnectionOptions} [options]
   * @returns {Promise<Connection>}
   * @throws {ConnectError | RefusedError | ProtocolError}
   */
  static async open(transports, credential, options = {}) {
    const carrier = await race(transports, options);
    const answer = answerOf(carrier, options.signal);
    carrier.sendReliable(encode(hello(credential, options.build ?? 'gameserver-js')));
    const result = await answer;
    if ('refused' in result) {
      carrier.close('consented', '');
      const { code, text, retryAfterMs } = result.refused;
      throw new RefusedError(code, text, retryAfterMs);
    }
    return new Connection(carrier, result.welcome);
  }

  get bytesDown() {
    return this.#carrier.bytesDown;
  }

  get bytesUp() {
    return this.#carrier.bytesUp;
  }

  /**
   * @param {(frame: any[]) => void} onFrame Whatever ProtocolError it throws ends the connection.
   * @param {(end: {name: string, text: string}) => void} onEnd Once, at last.
   */
  listen(onFrame, onEnd) {
    const guarded = (bytes) => {
      try {
        onFrame(readFrame(bytes));
      } catch (error) {
        this.#carrier.close('protocol_error', error.message.slice(0, 100));
        if (!(error instanceof ProtocolError)) throw error;
      }
    };
    this.#carrier.listen(guarded, onEnd);
  }

  /** The start was read: from now on unreliable frames mean something. */
  started() {
    this.#carrier.takesUnreliable = true;
  }

  /** @param {any[]} frame */
  sendReliable(frame) {
    this.#carrier.sendReliable(encode(frame));
  }

  /** @param {any[]} frame */
  sendUnreliable(frame) {
    this.#carrier.sendUnreliable(encode(frame));
  }

  /** @param {string} [name] Of the close. @param {string} [text] */
  close(name = 'consented', text = '') {
    this.#carrier.close(name, text);
  }
}

/** The first frame that arrives; nothing else may come before it. */
function answerOf(carrier, signal) {
  return new Promise((resolve, reject) => {
    const fail = (code, message) => {
      carrier.close('timeout', '');
      reject(new ConnectError(code, message));
    };
    const aborted = () => fail('aborted', 'Given up.');
    const timer = setTimeout(
      () => fail('timeout', 'The server did not answer the Hello.'),
      CONNECT_TIMEOUT_MS,
    );
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
    };
    signal?.addEventListener('abort', aborted, { once: true });
    const onFrame = (bytes) => {
      done();
      // What follows the answer waits for whoever gets the connection.
      carrier.unlisten();
      try {
        resolve(readAnswer(bytes));
      } catch (error) {
        carrier.close('protocol_error', error.message);
        reject(error);
      }
    };
    const onEnd = ({ name, text }) => {
      done();
      reject(new ConnectError(name, text || `The server closed the connection: ${name}.`));
    };
    carrier.listen(onFrame, onEnd);
  });
}
