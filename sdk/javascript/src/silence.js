/**
 * When a connection that says nothing is taken for dead: long before the platform does.
 *
 * Reads no clock: it is told the time.
 */

/**
 * A server sends a player 20 snapshots a second and answers two pings. Datagrams may be blocked in
 * the middle of a match while TCP still gets through, so two seconds are enough to change over.
 * Over TCP there is nothing to change to: as long as the server waits itself.
 */
export const SILENT_MS = Object.freeze({ webtransport: 2_000, websocket: 10_000 });
/** What counts of a pause at most: a page that was stopped has heard nothing, however much came. */
const PAUSE_MS = 100;

export class Silence {
  #lastMs;
  #quietMs = 0;

  /** @param {number} nowMs */
  constructor(nowMs) {
    this.#lastMs = nowMs;
  }

  /** A frame has come. */
  heard() {
    this.#quietMs = 0;
  }

  /**
   * @param {number} nowMs
   * @returns {number} Milliseconds without a frame, as far as the program was awake.
   */
  at(nowMs) {
    this.#quietMs += Math.min(PAUSE_MS, Math.max(0, nowMs - this.#lastMs));
    this.#lastMs = nowMs;
    return this.#quietMs;
  }
}
