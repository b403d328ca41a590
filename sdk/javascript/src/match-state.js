/**
 * What the frames of one connection say: kinds, snapshots, clocks. Made new for each connection,
 * because numbers are counted anew on each.
 *
 * Pure: no socket, no timer; the local time is passed in.
 */
import { PlaybackClock, ServerClock } from './clock.js';
import { ProtocolError } from './errors.js';
import { array, text, uint } from './frames.js';
import { Interpolator } from './interpolation.js';
import { readKinds } from './schema.js';
import { Snapshots } from './snapshots.js';

export class MatchState {
  /**
   * @param {any[]} start The start frame.
   * @param {{tickRate: number, snapOn?: string[], smooth?: string[]}} options
   * @throws {ProtocolError}
   */
  constructor(start, { tickRate, snapOn, smooth }) {
    this.tickAtStart = uint(start, 1);
    this.interval = Math.max(1, uint(start, 2));
    this.kinds = readKinds(start[3]);
    this.config = readConfig(text(start, 4));
    this.snapshots = new Snapshots(this.kinds);
    this.clock = new ServerClock(tickRate);
    this.playback = new PlaybackClock(this.clock, this.interval);
    this.interpolator = new Interpolator({ tickRate, interval: this.interval, snapOn, smooth });
    this.taken = 0;
    this.shown = new Map();
  }

  /**
   * @param {any[]} frame
   * @param {number} nowMs
   * @returns {boolean} True when it was taken in.
   */
  takeSnapshot(frame, nowMs) {
    const isTaken = this.snapshots.apply(frame) === 'taken';
    if (!isTaken) return false;
    this.taken += 1;
    this.clock.onSnapshot(this.snapshots.tick, nowMs);
    return true;
  }

  /**
   * The entities as they are to be shown now. The objects are reused by the next call.
   *
   * @param {number} nowMs
   * @returns {Record<string, any>[]}
   */
  shownAt(nowMs) {
    if (!this.clock.isSet) return [];
    const tick = this.playback.tick(nowMs);
    const result = [];
    for (const entity of this.snapshots.entities.values()) {
      const into = this.shown.get(entity.id) ?? {};
      const sampled = this.interpolator.sample(entity, tick, this.snapshots.tick, into);
      if (sampled === null) continue;
      this.shown.set(entity.id, into);
      result.push(sampled);
    }
    if (this.shown.size > 2 * this.snapshots.entities.size + 64) this.shown.clear();
    return result;
  }

  /** @returns {Record<string, any>[]} The newest known states, as they came. */
  latest() {
    return Array.from(this.snapshots.entities.values(), (entity) => {
      const values = { id: entity.id, kind: entity.kind.name, tick: entity.tick };
      entity.kind.fields.forEach((field, index) => {
        values[field.name] = entity.value(entity.head, index);
      });
      return values;
    });
  }
}

/** @param {any[]} frame An event frame. */
export function readEvent(frame) {
  return {
    number: uint(frame, 1),
    tick: uint(frame, 2),
    name: text(frame, 3),
    payload: array(frame, 4),
  };
}

function readConfig(json) {
  if (json === '') return {};
  try {
    return JSON.parse(json);
  } catch {
    throw new ProtocolError('the start frame has a config that is no JSON');
  }
}
