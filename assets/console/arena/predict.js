/**
 * Shows the own fighter where its inputs will have brought it, and corrects that when a snapshot
 * tells otherwise. The server alone decides; nothing here is sent.
 */
import { step } from './map.js';

/** Ticks of inputs kept: more than a second. */
const WINDOW = 128;
/** Differences up to here are the rounding of the snapshot. */
const TOLERANCE_M = 0.06;
/** What a correction leaves to be seen, after 100 ms. */
const FADE_PER_100_MS = 0.2;
/** Farther than this nothing is smoothed. */
const JUMP_M = 3;
/** Share of a tick that the own fighter is drawn past the newest one, at most. */
const BEYOND_MAX = 2;

export class Predictor {
  /**
   * @param {any} config Of the match.
   * @param {number} tickRate
   * @param {(nowMs: number) => number} [tickAt] The tick that inputs are sent for at a time, with a
   *   fraction. Without it a tick is taken to begin when its input is sent, which timers do late.
   */
  constructor(config, tickRate, tickAt) {
    this.config = config;
    this.tickRate = tickRate;
    this.tickAt = tickAt ?? ((nowMs) => this.tick + ((nowMs - this.tickAtMs) * tickRate) / 1000);
    this.reset();
  }

  reset() {
    this.body = null;
    this.before = null;
    this.tick = 0;
    this.tickAtMs = 0;
    this.life = -1;
    /** By tick modulo WINDOW: the input, and the body after it. */
    this.history = new Array(WINDOW).fill(null);
    this.confirmed = null;
    this.offset = { x: 0, y: 0, atMs: 0 };
    this.corrections = 0;
  }

  /** An input was sent. */
  onInput(tick, input, nowMs) {
    if (this.body === null) return;
    this.before = this.body;
    if (this.life % 2 === 0) this.body = step(this.config, this.tickRate, this.body, input);
    this.tick = tick;
    this.tickAtMs = nowMs;
    this.history[tick % WINDOW] = { tick, input, body: this.body };
  }

  /**
   * A snapshot has the own fighter.
   *
   * @param {number} tick Of that state.
   * @param {{x: number, y: number, life: number}} fighter
   * @param {number} nowMs
   */
  onSnapshot(tick, { x, y, life }, nowMs) {
    const before = this.confirmed;
    this.confirmed = { tick, x, y };
    if (this.body === null || life !== this.life) {
      this.life = life;
      this.place({ x, y, vx: 0, vy: 0 }, tick);
      this.offset.x = 0;
      this.offset.y = 0;
      return;
    }
    const then = this.history[tick % WINDOW];
    if (then?.tick !== tick) return;
    const off = Math.hypot(then.body.x - x, then.body.y - y);
    if (off <= TOLERANCE_M) return;
    this.corrections += 1;
    const shown = this.shown(nowMs);
    this.place({ x, y, ...this.velocity(before, then) }, tick);
    this.smooth(shown, nowMs);
  }

  /** Puts the body where it was at a tick and repeats the inputs since. */
  place(body, tick) {
    let current = body;
    this.before = body;
    for (let later = tick + 1; later <= this.tick; later += 1) {
      const entry = this.history[later % WINDOW];
      if (entry?.tick !== later) continue;
      this.before = current;
      if (this.life % 2 === 0) current = step(this.config, this.tickRate, current, entry.input);
      entry.body = current;
    }
    this.body = current;
  }

  /** Snapshots have no velocity: it is told by two positions, or taken from the prediction. */
  velocity(before, then) {
    const ticks = before === null ? 0 : this.confirmed.tick - before.tick;
    if (ticks < 1 || ticks > 6) return { vx: then.body.vx, vy: then.body.vy };
    const perSecond = this.tickRate / ticks;
    return {
      vx: (this.confirmed.x - before.x) * perSecond,
      vy: (this.confirmed.y - before.y) * perSecond,
    };
  }

  smooth(shown, nowMs) {
    this.offset = { x: 0, y: 0, atMs: nowMs };
    const target = this.shown(nowMs);
    const [x, y] = [shown.x - target.x, shown.y - target.y];
    if (Math.hypot(x, y) < JUMP_M) this.offset = { x, y, atMs: nowMs };
  }

  /** Where to draw the own fighter: between two ticks, corrections fading. */
  shown(nowMs) {
    if (this.body === null) return null;
    // A timer may be late, and the picture's time a little before it: motion goes on evenly.
    const ahead = this.tickAt(nowMs) - this.tick;
    const share = Number.isNaN(ahead) ? 0 : Math.min(BEYOND_MAX, Math.max(-1, ahead));
    const left = FADE_PER_100_MS ** (Math.max(0, nowMs - this.offset.atMs) / 100);
    return {
      x: this.before.x + (this.body.x - this.before.x) * share + this.offset.x * left,
      y: this.before.y + (this.body.y - this.before.y) * share + this.offset.y * left,
    };
  }
}
