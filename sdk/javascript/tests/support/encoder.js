/**
 * A server's side of the snapshot stream, written from docs/protocol.md for the tests alone: what
 * each snapshot said, what was acknowledged, differences to that.
 */

export class ReferenceEncoder {
  /** @param {any[]} kinds As in the start frame. @param {number} interval */
  constructor(kinds, interval) {
    this.kinds = kinds;
    this.interval = interval;
    this.number = 0;
    /** Snapshots by number: tick and the state of every entity. */
    this.sent = new Map();
    this.acknowledged = new Set();
    /** Number of the snapshot that last said so, by entity: it comes back whole. */
    this.goneAt = new Map();
  }

  /**
   * @param {number} tick
   * @param {Map<number, {kind: number, q: number[]}>} world
   * @param {{age?: (id: number) => number}} [choice] Intervals back for an entity; by default to
   *   the newest acknowledged snapshot that has it.
   */
  snapshot(tick, world, choice = {}) {
    this.number += 1;
    const state = new Map([...world].map(([id, { kind, q }]) => [id, { kind, q: [...q] }]));
    const acknowledged = [...this.acknowledged].sort((a, b) => b - a);
    const byAge = new Map();
    for (const id of [...state.keys()].sort((a, b) => a - b)) {
      const since = this.goneAt.get(id) ?? 0;
      const usable = acknowledged.filter(
        (number) => number > since && this.sent.get(number)?.state.has(id),
      );
      const base = usable[choice.age?.(id) ?? 0];
      const age = base === undefined ? 0 : tick - this.sent.get(base).tick;
      const record = this.record(id, state, base);
      if (record !== null) byAge.set(age, [...(byAge.get(age) ?? []), record]);
    }
    const isFirst = acknowledged.length === 0;
    // Whatever was ever sent may be known, also by a snapshot whose acknowledgement was lost.
    const known = new Set();
    for (const { state: old } of this.sent.values()) old.forEach((_, id) => known.add(id));
    const gone = isFirst ? null : [...known].filter((id) => !state.has(id));
    gone?.forEach((id) => this.goneAt.set(id, this.number));
    this.sent.set(this.number, { tick, state });
    const groups = [...byAge].flatMap(([age, records]) => [age, flat(records)]);
    return [4, this.number, tick, null, gone, groups];
  }

  record(id, state, base) {
    const { kind, q } = state.get(id);
    const fields = this.kinds[kind][1];
    if (base === undefined) {
      const mask = q.reduce((bits, value, index) => bits + (value !== 0 ? 2 ** index : 0), 0);
      return { id, rest: [kind, mask, ...q.filter((value) => value !== 0)] };
    }
    const old = this.sent.get(base).state.get(id).q;
    let mask = 0;
    const differences = [];
    q.forEach((value, index) => {
      if (value === old[index]) return;
      mask += 2 ** index;
      differences.push(zigzag(shortest(value - old[index], fields[index][3])));
    });
    return { id, rest: [mask, ...differences] };
  }

  /** @param {number} newest @param {number} before As an ack says it. */
  acknowledge(newest, before) {
    if (newest > 0) this.acknowledged.add(newest);
    for (let bit = 0; bit < 32; bit += 1) {
      if ((before >>> bit) & 1) this.acknowledged.add(newest - 1 - bit);
    }
    for (const number of this.acknowledged) {
      if (this.number - number > 30) this.acknowledged.delete(number);
    }
  }
}

/** The shortest way round a circle of `count` states. */
export function shortest(difference, count) {
  let result = difference;
  while (result < -count / 2) result += count;
  while (result >= count / 2) result -= count;
  return result;
}

export function zigzag(difference) {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}

function flat(records) {
  let last = 0;
  return records.flatMap(({ id, rest }) => {
    const step = id - last;
    last = id;
    return [step, ...rest];
  });
}
