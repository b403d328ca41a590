/**
 * Rates of a connection over the last second or so. Reads no clock: it is told the time.
 */

const WINDOW_MS = 1000;

/**
 * @typedef {object} MatchStats
 * @property {'webtransport' | 'websocket'} transport
 * @property {number | null} rttMs Round trip; null before the first pong.
 * @property {number} snapshotsPerS Taken in.
 * @property {number} bytesPerSDown Payload bytes.
 * @property {number} bytesPerSUp
 * @property {number} lossPercent Snapshots that never came or were of no use.
 * @property {number | null} lead Ticks that the own inputs wait at the server.
 * @property {number} jitterMs Usual deviation of the arrivals.
 * @property {number} playbackDelayMs How long after its arrival a snapshot is shown.
 */

export class RateMeter {
  constructor() {
    this.reset(0);
  }

  /** @param {number} nowMs */
  reset(nowMs) {
    this.sinceMs = nowMs;
    this.start = { down: 0, up: 0, taken: 0, newest: 0 };
    this.rates = { snapshotsPerS: 0, bytesPerSDown: 0, bytesPerSUp: 0, lossPercent: 0 };
  }

  /**
   * @param {number} nowMs
   * @param {{down: number, up: number, taken: number, newest: number}} totals Bytes both ways,
   *   snapshots taken in, and the number of the newest one.
   * @returns {boolean} True when the rates are new: about once a second.
   */
  update(nowMs, totals) {
    const passedMs = nowMs - this.sinceMs;
    if (passedMs < WINDOW_MS) return false;
    const perSecond = (name) => ((totals[name] - this.start[name]) * 1000) / passedMs;
    const sent = totals.newest - this.start.newest;
    const lost = Math.max(0, sent - (totals.taken - this.start.taken));
    this.rates = {
      snapshotsPerS: perSecond('taken'),
      bytesPerSDown: perSecond('down'),
      bytesPerSUp: perSecond('up'),
      lossPercent: sent > 0 ? (100 * lost) / sent : 0,
    };
    this.start = { ...totals };
    this.sinceMs = nowMs;
    return true;
  }
}
