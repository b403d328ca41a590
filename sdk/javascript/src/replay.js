/**
 * A match log as something to look at: any tick of it, and what happened up to there.
 *
 * It shows what spectators were sent; it does not simulate, and proves nothing: that is what
 * `gameserver replay verify` is for.
 */
import { ReplayError } from './errors.js';
import { readFrame } from './frames.js';
import { findBlocks, Unpacker } from './log/blocks.js';
import { readLogHeader, readRecords } from './log/records.js';
import { MatchState, readEvent } from './match-state.js';

/** Events that are kept; a match has some thousands. */
const EVENTS_MAX = 200_000;
/** Blocks looked through before the page may draw again. */
const BLOCKS_A_SLICE = 8;
/** Intervals that the decoder runs ahead of what is shown. */
const AHEAD = 2;

export class Replay {
  #bytes;
  #blocks;
  #events;
  #startFrame;
  #state = null;
  #cursor = null;
  #shownTick = Infinity;

  /**
   * Reads a log: its header, its blocks, all its events.
   *
   * @param {Uint8Array} bytes
   * @param {{snapOn?: string[], smooth?: string[], onProgress?: (share: number) => void}} [options]
   * @returns {Promise<Replay>}
   * @throws {ReplayError}
   */
  static async open(bytes, options = {}) {
    const replay = new Replay(bytes, options);
    await replay.#survey(options.onProgress);
    return replay;
  }

  /** Use `Replay.open`. */
  constructor(bytes, options) {
    this.#bytes = bytes;
    this.#blocks = findBlocks(bytes);
    const first = new Unpacker(bytes).unpack(this.#blocks[0]);
    if (first === null) throw new ReplayError('the beginning of the log cannot be unpacked');
    /** @type {import('./log/records.js').LogHeader} */
    this.header = readLogHeader(first);
    this.#startFrame = readOr(this.header.startFrame);
    if (this.#startFrame === null) throw new ReplayError('the log has no start frame');
    this.options = options;
    this.#reset();
    this.#events = [];
    this.firstTick = 0;
    this.lastTick = 0;
    /** True when the log has its end. */
    this.isComplete = false;
    /** Ticks that were not recorded, as pairs. @type {[number, number][]} */
    this.gaps = [];
  }

  /** What the game lets everybody know: map, speeds … */
  get config() {
    return this.#state.config;
  }
  get kinds() {
    return this.#state.kinds;
  }
  /** Length in seconds. */
  get durationS() {
    return (this.lastTick - this.firstTick) / this.header.tickRate;
  }

  /** The events up to a tick, oldest first. */
  eventsUntil(tick) {
    return this.#events.filter((event) => event.tick <= tick);
  }

  /** The events after one tick up to another. */
  eventsBetween(after, until) {
    return this.#events.filter((event) => event.tick > after && event.tick <= until);
  }

  /**
   * The entities at a tick, between two snapshots. Going on from the last call is cheap, going
   * back or far ahead unpacks from the block before. The objects are reused by the next call.
   *
   * @param {number} tick With a fraction.
   * @returns {Record<string, any>[]}
   */
  entitiesAt(tick) {
    const far = 10 * this.header.tickRate;
    if (tick < this.#shownTick || tick > this.#shownTick + far) this.#seek(tick);
    this.#shownTick = tick;
    this.#decodeUntil(tick + AHEAD * this.header.interval);
    return this.#sample(tick);
  }

  #sample(tick) {
    const { snapshots, interpolator } = this.#state;
    const entities = [];
    for (const entity of snapshots.entities.values()) {
      const sampled = interpolator.sample(entity, tick, snapshots.tick, {});
      if (sampled !== null) entities.push(sampled);
    }
    return entities;
  }

  /** Looks through all blocks, once. */
  async #survey(onProgress) {
    const unpacker = new Unpacker(this.#bytes);
    let first = Infinity;
    let start = this.#blocks[0];
    for (const [index, block] of this.#blocks.entries()) {
      if (block.standsAlone) start = block;
      const payload = unpacker.unpack(block);
      for (const record of payload === null ? [] : readRecords(payload)) {
        // The last ticks have no snapshot of their own: it is not their turn.
        if (record.kind !== 'gap') this.lastTick = Math.max(this.lastTick, record.tick);
        if (record.kind === 'snapshot') {
          first = Math.min(first, record.tick);
          if (record.isKey) start.keyTick = Math.min(start.keyTick, record.tick);
        } else if (record.kind !== 'tick') this.#note(record);
      }
      if (index % BLOCKS_A_SLICE === BLOCKS_A_SLICE - 1) {
        onProgress?.(index / this.#blocks.length);
        await new Promise((resolve) => {
          setTimeout(resolve);
        });
      }
    }
    if (first === Infinity) throw new ReplayError('the log has nothing to look at');
    this.firstTick = first;
  }

  #note(record) {
    if (record.kind === 'footer') this.isComplete = true;
    else if (record.kind === 'gap') this.gaps.push([record.tick, record.lastTick]);
    else if (this.#events.length < EVENTS_MAX) {
      const frame = readOr(record.frame);
      const event = frame === null ? null : quietly(() => readEvent(frame));
      if (event !== null) this.#events.push(event);
    }
  }

  /** Goes to the last block from which everything at a tick can be known. */
  #seek(tick) {
    this.#reset();
    const ahead = tick - AHEAD * this.header.interval;
    let from = 0;
    this.#blocks.forEach((block, index) => {
      if (block.keyTick <= ahead) from = index;
    });
    this.#cursor = this.#records(from);
  }

  *#records(from) {
    const unpacker = new Unpacker(this.#bytes);
    for (const block of this.#blocks.slice(from)) {
      const payload = unpacker.unpack(block);
      if (payload !== null) yield* readRecords(payload);
    }
  }

  #decodeUntil(tick) {
    this.#cursor ??= this.#records(0);
    while (this.#state.snapshots.tick < tick) {
      const { value, done } = this.#cursor.next();
      if (done) return;
      if (value.kind !== 'snapshot') continue;
      const frame = readOr(value.frame);
      // One that cannot be read is like one that was lost: the next key frame helps.
      if (frame !== null) quietly(() => this.#state.snapshots.apply(frame));
    }
  }

  #reset() {
    const { snapOn, smooth } = this.options;
    const { tickRate } = this.header;
    const state = quietly(() => new MatchState(this.#startFrame, { tickRate, snapOn, smooth }));
    if (state === null) throw new ReplayError('the start frame of the log cannot be read');
    this.#state = state;
    this.#cursor = null;
  }
}

function readOr(bytes) {
  return quietly(() => readFrame(bytes));
}

/** A log may be damaged anywhere: what cannot be read is left out. */
function quietly(read) {
  try {
    return read();
  } catch {
    return null;
  }
}
