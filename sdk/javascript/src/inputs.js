/**
 * Which tick the next input is for, and the frame that carries it.
 *
 * Inputs have to be at the server a little before their tick. The clock here runs ahead of the
 * server's by the way there and a margin, and is steered by the `lead` that snapshots report.
 * Reads no clock itself.
 */
import { INPUT, INPUTS_MAX } from './frames.js';

/** Inputs a frame repeats, its own included: a loss of three frames in a row costs nothing. */
export const REDUNDANCY = 4;
/** So early inputs should be at the server; one tick at least. */
const EARLY_MS = 33;
const SKEW_PER_TICK = 0.02;
const SKEW_MAX = 0.1;
/** Farther off than this, the clock jumps instead of running faster or slower. */
const JUMP_TICKS = 12;
/** Ticks that are made up for after a pause, for example of a hidden page. */
const CATCH_UP_MAX = 8;

/** The ticks that inputs are due for. */
export class InputClock {
  /** @param {number} tickRate Per second. */
  constructor(tickRate) {
    this.tickMs = 1000 / tickRate;
    /** Ticks that inputs should wait at the server. A player waits for each of them as well. */
    this.leadWanted = Math.max(1, Math.round((EARLY_MS * tickRate) / 1000));
    this.next = Number.NaN;
    this.lastMs = 0;
    this.sent = 0;
    this.skew = 0;
    this.settleUntilMs = 0;
  }

  /** False before the first call of `steer`. */
  get isRunning() {
    return !Number.isNaN(this.next);
  }

  /**
   * Steers by a snapshot. While no input has been in time the server reports no lead, and the way
   * there is guessed from the round trip.
   *
   * @param {number | null} lead Ticks that the newest input waits at the server.
   * @param {{serverTick: number, rttMs: number}} clock Where the server is now; the round trip is
   *   NaN when it is not known yet.
   * @param {number} nowMs
   */
  steer(lead, { serverTick, rttMs }, nowMs) {
    if (lead !== null && this.isRunning) {
      this.follow(this.leadWanted - lead, rttMs, nowMs);
      return;
    }
    const way = Number.isNaN(rttMs) ? 0 : rttMs / 2 / this.tickMs;
    const guess = serverTick + way + this.leadWanted + 1;
    this.skew = 0;
    if (this.isRunning && Math.abs(guess - this.next) < this.leadWanted) return;
    this.next = guess;
    // What was sent for later ticks was for too late ones, and is not there.
    this.sent = Math.min(this.sent, Math.floor(guess));
    this.lastMs = nowMs;
  }

  follow(error, rttMs, nowMs) {
    if (Math.abs(error) > JUMP_TICKS) {
      this.skew = 0;
      // What the jump does shows in the lead only a round trip later.
      if (nowMs < this.settleUntilMs) return;
      this.settleUntilMs = nowMs + (Number.isNaN(rttMs) ? 200 : rttMs) + 200;
      this.next = Math.max(this.next + error, 1);
      return;
    }
    this.skew = Math.max(-SKEW_MAX, Math.min(SKEW_MAX, error * SKEW_PER_TICK));
  }

  /**
   * Where the clock is, whoever looked at it last: to draw between two ticks.
   *
   * @param {number} nowMs
   * @returns {number} A tick with a fraction; NaN while it does not run.
   */
  at(nowMs) {
    return this.next + ((nowMs - this.lastMs) / this.tickMs) * (1 + this.skew);
  }

  /**
   * The ticks that inputs are due for now; call it often.
   *
   * @param {number} nowMs
   * @returns {{first: number, count: number}} `count` is 0 when none is.
   */
  due(nowMs) {
    if (!this.isRunning) return { first: 0, count: 0 };
    const passed = Math.max(0, nowMs - this.lastMs) / this.tickMs;
    this.lastMs = nowMs;
    this.next += passed * (1 + this.skew);
    const last = Math.floor(this.next);
    const first = Math.max(this.sent + 1, last - CATCH_UP_MAX + 1);
    const count = Math.max(0, last - first + 1);
    if (count > 0) this.sent = last;
    return { first, count };
  }
}

/** The latest inputs, and the frames that carry them. */
export class InputWindow {
  constructor() {
    /** Newest first. @type {any[]} */
    this.inputs = [];
    this.tick = 0;
  }

  /**
   * Adds the input of a tick and gives the frame to send.
   *
   * @param {number} tick
   * @param {any} input As the game defines it.
   * @param {{newest: number, before: number}} snapshots What was taken in.
   * @returns {any[]}
   */
  frame(tick, input, snapshots) {
    // The inputs of one frame are for successive ticks; after a gap the older ones do not fit.
    if (tick !== this.tick + 1) this.inputs.length = 0;
    this.tick = tick;
    this.inputs.unshift(input);
    this.inputs.length = Math.min(this.inputs.length, REDUNDANCY, INPUTS_MAX);
    return [INPUT, tick, this.inputs, snapshots.newest, snapshots.before];
  }
}
