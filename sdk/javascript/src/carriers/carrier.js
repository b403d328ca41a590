/**
 * What every carrier does: counts bytes, hands frames on, ends once.
 *
 * Until somebody listens, arriving frames wait; no more than a handful can, because the server says
 * nothing but its answer before the start.
 */

const WAITING_MAX = 1024;

export class Carrier {
  #onFrame = null;
  #onEnd = null;
  #waiting = [];
  #end = null;

  /** @param {'webtransport' | 'websocket'} kind */
  constructor(kind) {
    this.kind = kind;
    this.bytesDown = 0;
    this.bytesUp = 0;
    /** Unreliable frames may overtake the start; until then they mean nothing. */
    this.takesUnreliable = false;
  }

  /**
   * @param {(bytes: Uint8Array) => void} onFrame Each frame, in order of arrival.
   * @param {(end: {name: string, text: string, error?: Error}) => void} onEnd Once, at last.
   */
  listen(onFrame, onEnd) {
    this.#onFrame = onFrame;
    this.#onEnd = onEnd;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) {
      if (this.#onFrame === onFrame) onFrame(bytes);
      else this.#waiting.push(bytes);
    }
    if (this.#end !== null && this.#onEnd === onEnd) onEnd(this.#end);
  }

  /** What arrives from now on waits for the next listener. */
  unlisten() {
    this.#onFrame = null;
    this.#onEnd = null;
  }

  /** Sends a frame that arrives, in order. @abstract @param {Uint8Array} _bytes */
  sendReliable(_bytes) {
    throw new TypeError('abstract');
  }

  /** Sends a frame that may be lost. @abstract @param {Uint8Array} _bytes */
  sendUnreliable(_bytes) {
    throw new TypeError('abstract');
  }

  /** Ends the connection. @abstract @param {string} _name @param {string} _text */
  close(_name, _text) {
    throw new TypeError('abstract');
  }

  /** Counts bytes that go out. */
  sent(length) {
    this.bytesUp += length;
  }

  /** @param {Uint8Array} bytes */
  received(bytes) {
    this.bytesDown += bytes.length;
    if (this.#end !== null) return;
    if (this.#onFrame !== null) this.#onFrame(bytes);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(bytes);
  }

  /** @param {Uint8Array} bytes Of a frame that may have overtaken others. */
  receivedUnreliable(bytes) {
    if (this.takesUnreliable) this.received(bytes);
  }

  /** The connection is over; later reasons do not count. */
  ended(name, text, error) {
    if (this.#end !== null) return;
    this.#end = { name, text: text ?? '', error };
    this.#onEnd?.(this.#end);
  }

  /** The peer did what the protocol does not have. */
  failed(error) {
    if (this.#end !== null) return;
    this.close('protocol_error', error.message);
  }
}
