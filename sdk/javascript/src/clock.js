/**
 * Which tick the server is at, and which tick to show.
 *
 * Reads no clock itself: every call takes the local time in milliseconds, of any steady clock.
 */

/** Share of a new sample in the running means. */
const GAIN = 0.1;
/** Samples that the first guess is made of; until then the mean follows at once. */
const WARM_UP = 5;
/** How fast the shown tick may run: this share faster or slower than the server's. */
const SKEW_MAX = 0.1;
/** Farther off than this, it jumps. */
const JUMP_MS = 400;
/** Delays beyond this are not believed. */
const JITTER_MS_MAX = 500;
const INTERVALS_SHOWN_LATE = 2;
/** Answers to pings that the round trip is the shortest of: of ten seconds. */
const PONGS_KEPT = 20;

/** Estimates the server's tick from what arrives. */
export class ServerClock {
  /** @param {number} tickRate Per second. */
  constructor(tickRate) {
    this.tickMs = 1000 / tickRate;
    this.samples = 0;
    /** Local time of tick 0 as the arrivals tell it: the true one plus the usual way here. */
    this.originMs = 0;
    /** Usual deviation of the arrivals. */
    this.jitterMs = 0;
    /**
     * Round trip: the shortest of the last pings, because the answer to a ping waits for the
     * server's next tick, and now and then for this program. NaN before the first pong.
     */
    this.rttMs = Number.NaN;
    this.pongs = [];
    /** What a ping usually takes, waits included: as long as inputs take. NaN likewise. */
    this.usualRttMs = Number.NaN;
  }

  /**
   * @param {number} tick That the snapshot is of.
   * @param {number} nowMs
   */
  onSnapshot(tick, nowMs) {
    const origin = nowMs - tick * this.tickMs;
    this.samples += 1;
    const off = origin - this.originMs;
    if (this.samples === 1 || Math.abs(off) > JUMP_MS * 5) {
      this.originMs = origin;
      this.jitterMs = 0;
      return;
    }
    const gain = Math.max(GAIN, 1 / Math.min(this.samples, WARM_UP));
    this.originMs += off * gain;
    const jitter = Math.min(Math.abs(off), JITTER_MS_MAX);
    this.jitterMs += (jitter - this.jitterMs) * GAIN;
  }

  /**
   * @param {number} sentMs When the ping went out.
   * @param {number} nowMs
   */
  onPong(sentMs, nowMs) {
    const rtt = nowMs - sentMs;
    if (!(rtt >= 0) || rtt > 60_000) return;
    this.pongs.push(rtt);
    if (this.pongs.length > PONGS_KEPT) this.pongs.shift();
    this.rttMs = Math.min(...this.pongs);
    const off = rtt - this.usualRttMs;
    this.usualRttMs = Number.isNaN(off) ? rtt : this.usualRttMs + off * 0.2;
  }

  /** False before the first snapshot. */
  get isSet() {
    return this.samples > 0;
  }

  /** @param {number} nowMs @returns {number} Tick of a snapshot that would arrive now. */
  arrivalTick(nowMs) {
    return (nowMs - this.originMs) / this.tickMs;
  }

  /** @param {number} nowMs @returns {number} The tick that the server is at. */
  serverTick(nowMs) {
    const way = Number.isNaN(this.usualRttMs) ? 0 : this.usualRttMs / 2;
    return this.arrivalTick(nowMs) + way / this.tickMs;
  }
}

/**
 * The tick to show: late enough that the next snapshot is usually there, and never backwards but
 * after a jump.
 */
export class PlaybackClock {
  /**
   * @param {ServerClock} server
   * @param {number} interval Ticks between snapshots.
   */
  constructor(server, interval) {
    this.server = server;
    this.interval = interval;
    this.shown = Number.NaN;
    this.lastMs = 0;
  }

  /** Milliseconds between a snapshot's arrival and its showing: two intervals and the jitter. */
  get delayMs() {
    const usual = INTERVALS_SHOWN_LATE * this.interval * this.server.tickMs;
    return usual + Math.max(0, 2 * this.server.jitterMs - 5);
  }

  /** @param {number} nowMs @returns {number} With a fraction. */
  tick(nowMs) {
    const { server } = this;
    const wanted = server.arrivalTick(nowMs) - this.delayMs / server.tickMs;
    const off = wanted - this.shown;
    if (Number.isNaN(this.shown) || Math.abs(off) * server.tickMs > JUMP_MS) {
      this.shown = wanted;
    } else {
      const passed = Math.max(0, nowMs - this.lastMs) / server.tickMs;
      const skew = Math.max(-SKEW_MAX, Math.min(SKEW_MAX, off / 30));
      this.shown += passed * (1 + skew);
    }
    this.lastMs = nowMs;
    return this.shown;
  }
}
