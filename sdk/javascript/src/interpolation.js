/**
 * Values of an entity between its snapshots.
 *
 * Pure: it is told the tick to show. Fields in whole steps (health, kills, seats) keep the older
 * value; the others move evenly, on circles the shorter way round.
 */

/** Beyond the newest snapshot motion goes on for at most so long. */
export const EXTRAPOLATION_MS_MAX = 100;

/**
 * @typedef {object} InterpolationOptions
 * @property {number} tickRate Per second.
 * @property {number} interval Ticks between snapshots.
 * @property {string[]} [snapOn] When one of these fields changes, nothing moves in between: a
 *   fighter who comes back elsewhere does not slide there. Default `['life']`.
 * @property {string[]} [smooth] Fields that move; by default those with a step that is no integer.
 */

export class Interpolator {
  /** @param {InterpolationOptions} options */
  constructor({ tickRate, interval, snapOn = ['life'], smooth }) {
    this.reach = (EXTRAPOLATION_MS_MAX * tickRate) / 1000;
    this.interval = interval;
    this.snapOn = snapOn;
    this.smooth = smooth === undefined ? null : new Set(smooth);
    /** @type {WeakMap<import('./schema.js').Kind, {smooth: boolean[], snapOn: number[]}>} */
    this.plans = new WeakMap();
  }

  /**
   * @param {import('./snapshots.js').Entity} entity
   * @param {number} tick To show, with a fraction.
   * @param {number} newestTick Of the newest snapshot that was taken in.
   * @param {Record<string, any>} [into] Is filled and returned, so that a caller can reuse it.
   * @returns {Record<string, any> | null} `id`, `kind` and the fields; null before the entity was.
   */
  sample(entity, tick, newestTick, into = {}) {
    const from = entity.slotAt(tick);
    if (from < 0) return null;
    const plan = this.plan(entity.kind);
    const to = next(entity, from);
    let share = 0;
    let target = to;
    if (to >= 0) share = this.share(entity, from, to, tick);
    else {
      target = this.before(entity, from, newestTick);
      if (target >= 0) share = this.beyond(entity, target, from, tick);
    }
    if (target >= 0 && jumps(entity, from, target, plan.snapOn)) share = 0;
    into.id = entity.id;
    into.kind = entity.kind.name;
    const { fields } = entity.kind;
    for (let index = 0; index < fields.length; index += 1) {
      const value = entity.value(from, index);
      const isMoving = share !== 0 && plan.smooth[index];
      into[fields[index].name] = isMoving
        ? moved(fields[index], value, entity.value(target, index), share)
        : value;
    }
    return into;
  }

  /** How far the tick is from one state to the next, 0 to 1. */
  share(entity, from, to, tick) {
    // What was without a record for longer rested, and began to move just now.
    const began = Math.max(entity.ticks[from], entity.ticks[to] - 2 * this.interval);
    return Math.max(0, (tick - began) / (entity.ticks[to] - began));
  }

  /** The state before the newest one, when the entity is moving now; −1 otherwise. */
  before(entity, from, newestTick) {
    if (entity.ticks[from] !== newestTick) return -1;
    const slot = entity.slot(1);
    const isFresh = slot >= 0 && newestTick - entity.ticks[slot] <= 2 * this.interval;
    return isFresh ? slot : -1;
  }

  /** The share that goes past the newest state: away from the one before, so it is negative. */
  beyond(entity, before, from, tick) {
    const passed = Math.min(tick - entity.ticks[from], this.reach);
    return -passed / (entity.ticks[from] - entity.ticks[before]);
  }

  plan(kind) {
    let plan = this.plans.get(kind);
    if (plan === undefined) {
      const isSmooth = (field) =>
        this.smooth === null ? !Number.isInteger(field.step) : this.smooth.has(field.name);
      const snapOn = this.snapOn.map((name) => kind.indexOf.get(name));
      plan = {
        smooth: kind.fields.map(isSmooth),
        snapOn: snapOn.filter((index) => index !== undefined),
      };
      this.plans.set(kind, plan);
    }
    return plan;
  }
}

/** Slot of the state after the one in a slot, or −1. */
function next(entity, slot) {
  if (slot === entity.head) return -1;
  return (slot + 1) % entity.ticks.length;
}

function jumps(entity, from, to, fields) {
  return fields.some((index) => entity.value(from, index) !== entity.value(to, index));
}

function moved(field, value, target, share) {
  let difference = target - value;
  if (field.wraps) {
    difference -= Math.round(difference / field.span) * field.span;
    const along = value + difference * share - field.minimum;
    return field.minimum + along - Math.floor(along / field.span) * field.span;
  }
  return value + difference * share;
}
