/**
 * Takes in snapshots: whole entities, and differences to states that were acknowledged.
 *
 * Pure: no clock, no socket. A snapshot is taken in as a whole or not at all. Memory is allocated
 * when an entity appears, not when it changes.
 */
import { ProtocolError } from './errors.js';
import { array, uint } from './frames.js';

/** Intervals back that a difference may reach. */
const WINDOW = 32;
/** States kept for each entity: one an interval, both ends, and one more. */
export const HISTORY = WINDOW + 2;
/** Entities that a client holds at once; far more than any match has. */
export const ENTITIES_MAX = 65_536;
const HALF = 0x1_0000_0000;

/** One entity and its latest states, newest first at `head`. */
export class Entity {
  /**
   * @param {number} id
   * @param {number} kindIndex
   * @param {import('./schema.js').Kind} kind
   */
  constructor(id, kindIndex, kind) {
    this.id = id;
    this.kindIndex = kindIndex;
    this.kind = kind;
    this.ticks = new Float64Array(HISTORY).fill(-1);
    this.states = new Uint32Array(HISTORY * kind.fields.length);
    this.head = 0;
    this.length = 0;
    /** States before this tick are for showing only: a key frame has made them forgotten. */
    this.sinceTick = 0;
  }

  /** @param {number} age 0 is the newest state. @returns {number} Its slot, or −1. */
  slot(age) {
    return age < this.length ? (this.head + HISTORY - age) % HISTORY : -1;
  }

  /**
   * @param {number} tick
   * @returns {number} Slot of the newest state that is not younger than the tick, or −1.
   */
  slotAt(tick) {
    for (let age = 0; age < this.length; age += 1) {
      const slot = this.slot(age);
      if (this.ticks[slot] <= tick) return slot;
    }
    return -1;
  }

  /** @param {number} slot @param {number} index Of the field. @returns {number} In its unit. */
  value(slot, index) {
    const field = this.kind.fields[index];
    return field.minimum + this.states[slot * this.kind.fields.length + index] * field.step;
  }

  /** @param {string} name Of the field. @returns {number | undefined} Its newest value. */
  get(name) {
    const index = this.kind.indexOf.get(name);
    return index === undefined ? undefined : this.value(this.head, index);
  }

  /** Tick of the newest state. */
  get tick() {
    return this.ticks[this.head];
  }

  /** Files a state; a second one of the same tick replaces the first. */
  push(tick, state, offset) {
    const width = this.kind.fields.length;
    if (this.length === 0 || this.ticks[this.head] !== tick) {
      this.head = (this.head + 1) % HISTORY;
      this.length = Math.min(this.length + 1, HISTORY);
    }
    this.ticks[this.head] = tick;
    const start = this.head * width;
    for (let index = 0; index < width; index += 1)
      this.states[start + index] = state[offset + index];
  }
}

/** The client's side of the snapshot stream of one connection. */
export class Snapshots {
  /** @param {import('./schema.js').Kind[]} kinds */
  constructor(kinds) {
    this.kinds = kinds;
    /** @type {Map<number, Entity>} */
    this.entities = new Map();
    /** Number of the newest snapshot taken in; 0 for none. */
    this.newest = 0;
    /** Bit i: snapshot newest − 1 − i was taken in. */
    this.before = 0;
    /** Tick of that snapshot. */
    this.tick = 0;
    /** @type {number | null} How early the own inputs come, in ticks. */
    this.lead = null;
    this.taken = new TickRing(HISTORY);
    this.pending = new Pending();
    /** What the latest key frame made forgotten and its parts may bring again. */
    this.former = new Map();
  }

  /**
   * Takes a snapshot in.
   *
   * @param {any[]} frame
   * @returns {'taken' | 'stale' | 'unknown_baseline'} Only the first may be acknowledged.
   * @throws {ProtocolError} when it is no snapshot.
   */
  apply(frame) {
    const number = uint(frame, 1);
    const tick = uint(frame, 2);
    const lead = frame[3];
    if (lead !== null && !Number.isSafeInteger(lead)) throw new ProtocolError('lead: no integer');
    const gone = frame[4] === null ? null : array(frame, 4);
    const groups = array(frame, 5);
    if (groups.length % 2 !== 0) throw new ProtocolError('groups: an age without records');
    if (number <= this.newest) return 'stale';
    this.pending.clear();
    for (let index = 0; index < groups.length; index += 2) {
      const age = uint(groups, index);
      const records = array(groups, index + 1);
      if (age === 0) this.readWhole(records, gone);
      else if (!this.readDifferences(records, tick - age, gone)) return 'unknown_baseline';
    }
    this.forget(gone, tick);
    this.commit(tick);
    this.acknowledge(number);
    this.tick = tick;
    this.lead = lead;
    this.taken.add(tick);
    return 'taken';
  }

  /** The entity as it is known after `gone`, which comes before the groups. */
  known(id, gone) {
    return gone === null || gone.includes(id) ? undefined : this.entities.get(id);
  }

  readWhole(records, gone) {
    let position = 0;
    let id = 0;
    while (position < records.length) {
      id = nextId(id, uint(records, position));
      const kindIndex = uint(records, position + 1);
      const kind = this.kinds[kindIndex];
      if (kind === undefined) throw new ProtocolError(`no kind ${kindIndex}`);
      if ((this.known(id, gone)?.kind ?? kind) !== kind) {
        throw new ProtocolError('an entity of two kinds');
      }
      const mask = maskOf(records, position + 2, kind);
      position += 3;
      const offset = this.pending.add(id, kindIndex, kind.fields.length);
      const state = this.pending.states;
      for (let index = 0; index < kind.fields.length; index += 1) {
        if (!hasBit(mask, index)) {
          state[offset + index] = 0;
          continue;
        }
        const q = uint(records, position);
        if (q >= kind.fields[index].count) throw new ProtocolError('a value out of its range');
        state[offset + index] = q;
        position += 1;
      }
    }
  }

  /** @returns {boolean} False when a state is missing that a difference is to. */
  readDifferences(records, baseTick, gone) {
    let position = 0;
    let id = 0;
    while (position < records.length) {
      id = nextId(id, uint(records, position));
      const entity = this.known(id, gone);
      const slot = entity === undefined ? -1 : this.baseline(entity, baseTick);
      // Without the kind the record's end is unknown, so nothing after it can be read either.
      if (slot < 0) return false;
      const { fields } = entity.kind;
      const mask = maskOf(records, position + 1, entity.kind);
      position += 2;
      const offset = this.pending.add(id, entity.kindIndex, fields.length);
      const state = this.pending.states;
      const base = slot * fields.length;
      for (let index = 0; index < fields.length; index += 1) {
        const old = entity.states[base + index];
        if (hasBit(mask, index)) {
          state[offset + index] = shifted(old, uint(records, position), fields[index].count);
          position += 1;
        } else state[offset + index] = old;
      }
    }
    return true;
  }

  /** Slot of the state that the entity had in the snapshot of a tick; −1 when it is not known. */
  baseline(entity, tick) {
    const slot = entity.slotAt(tick);
    if (slot < 0 || entity.ticks[slot] < entity.sinceTick) return -1;
    // Without a record in that snapshot the entity was as before: sure only if it was taken in.
    return entity.ticks[slot] === tick || this.taken.has(tick) ? slot : -1;
  }

  forget(gone, tick) {
    if (gone === null) {
      this.former = this.entities;
      this.entities = new Map();
      this.taken.clear();
      return;
    }
    // The other parts of a key frame have its tick.
    if (this.former.size > 0 && tick !== this.tick) this.former = new Map();
    for (let index = 0; index < gone.length; index += 1) this.entities.delete(uint(gone, index));
  }

  commit(tick) {
    const { pending } = this;
    for (let index = 0; index < pending.length; index += 1) {
      const id = pending.ids[index];
      const kindIndex = pending.kinds[index];
      const entity = this.entities.get(id) ?? this.appeared(id, kindIndex, tick);
      entity.push(tick, pending.states, pending.offsets[index]);
    }
  }

  /** An entity that was forgotten a moment ago keeps its past, so that its motion is not cut. */
  appeared(id, kindIndex, tick) {
    if (this.entities.size >= ENTITIES_MAX) throw new ProtocolError('too many entities');
    const former = this.former.get(id);
    const isSame = former !== undefined && former.kindIndex === kindIndex;
    const entity = isSame ? former : new Entity(id, kindIndex, this.kinds[kindIndex]);
    entity.sinceTick = tick;
    this.entities.set(id, entity);
    return entity;
  }

  acknowledge(number) {
    const step = number - this.newest;
    const shiftedBits = step >= 32 ? 0 : this.before << step;
    const previous = this.newest > 0 && step <= 32 ? 1 << (step - 1) : 0;
    this.before = (shiftedBits | previous) >>> 0;
    this.newest = number;
  }
}

/** Records that were read and not yet taken in. Grows to the largest snapshot and stays. */
class Pending {
  constructor() {
    this.ids = [];
    this.kinds = [];
    this.offsets = [];
    this.states = new Uint32Array(1024);
    this.clear();
  }

  clear() {
    this.length = 0;
    this.used = 0;
  }

  /** @returns {number} Where the record's fields go in `states`. */
  add(id, kindIndex, width) {
    const offset = this.used;
    this.used += width;
    if (this.used > this.states.length) {
      const grown = new Uint32Array(this.used * 2);
      grown.set(this.states);
      this.states = grown;
    }
    this.ids[this.length] = id;
    this.kinds[this.length] = kindIndex;
    this.offsets[this.length] = offset;
    this.length += 1;
    return offset;
  }
}

/** The last few ticks that snapshots were taken in of. */
class TickRing {
  constructor(size) {
    this.ticks = new Float64Array(size).fill(-1);
    this.next = 0;
  }

  add(tick) {
    this.ticks[this.next] = tick;
    this.next = (this.next + 1) % this.ticks.length;
  }

  has(tick) {
    return this.ticks.includes(tick);
  }

  clear() {
    this.ticks.fill(-1);
  }
}

function nextId(before, step) {
  const id = before + step;
  if (step === 0 || id >= HALF) throw new ProtocolError('entities out of order');
  return id;
}

function maskOf(records, position, kind) {
  const mask = uint(records, position);
  if (mask >= 2 ** kind.fields.length) throw new ProtocolError('a mask with unknown fields');
  return mask;
}

function hasBit(mask, index) {
  return index < 32 ? (mask >>> index) & 1 : (Math.floor(mask / HALF) >>> (index - 32)) & 1;
}

/** A state moved by a difference in its zigzag form, round the circle if need be. */
function shifted(old, zigzag, count) {
  const difference = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  const moved = (old + difference) % count;
  return moved < 0 ? moved + count : moved;
}
