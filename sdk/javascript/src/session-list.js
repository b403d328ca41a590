/**
 * The list of sessions, kept true by what the server pushes.
 */
import { Emitter } from './emitter.js';
import { backoffMs, sleep } from './reconnect.js';
import { readEvents } from './sse.js';

/** A stream that was quiet for so long is taken for dead; the server says something more often. */
const SILENCE_MS = 60_000;
/** Sessions that are kept. */
export const SESSIONS_MAX = 10_000;

/**
 * Events: `change` (the list is new), `state` ('connecting', 'live', 'offline' with `error`).
 */
export class SessionList extends Emitter {
  #open;
  #stopped = new AbortController();
  #sessions = new Map();

  /**
   * @param {(signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>} open Opens the stream.
   */
  constructor(open) {
    super();
    this.#open = open;
    this.state = 'connecting';
    /** @type {Error | null} Why it is offline. */
    this.error = null;
    this.#run();
  }

  /** Newest first. @returns {any[]} */
  get items() {
    const byAge = (a, b) => (a.created_at < b.created_at ? 1 : -1);
    return [...this.#sessions.values()].sort(byAge);
  }

  /** Ends the pushing. */
  stop() {
    this.#stopped.abort();
  }

  async #run() {
    const { signal } = this.#stopped;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      this.#setState('connecting', this.error);
      try {
        await this.#follow(signal, () => {
          attempt = 0;
        });
        this.error = null;
      } catch (error) {
        if (signal.aborted) return;
        this.#setState('offline', error);
      }
      await sleep(backoffMs(attempt), signal);
    }
  }

  /** Reads one stream to its end. */
  async #follow(signal, onEvent) {
    const silence = new AbortController();
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    const stream = await this.#open(AbortSignal.any([signal, silence.signal]));
    const awake = stream.pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          listen();
          controller.enqueue(chunk);
        },
      }),
    );
    listen();
    try {
      for await (const { event, data } of readEvents(awake)) {
        onEvent();
        if (!this.#apply(event, data)) return;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  /** @returns {boolean} False when the stream has to be opened anew. */
  #apply(event, data) {
    if (event === 'resync') return false;
    const value = parse(data);
    if (event === 'snapshot') {
      const items = Array.isArray(value?.items) ? value.items : [];
      this.#sessions = new Map(items.slice(0, SESSIONS_MAX).map((item) => [item.id, item]));
    } else if (event === 'session' && value?.id) {
      const hasRoom = this.#sessions.has(value.id) || this.#sessions.size < SESSIONS_MAX;
      if (hasRoom) this.#sessions.set(value.id, value);
    } else if (event === 'removed' && value?.id) this.#sessions.delete(value.id);
    else return true;
    this.#setState('live', null);
    this.emit('change', this.items);
    return true;
  }

  #setState(state, error) {
    const isNew = state !== this.state || error !== this.error;
    this.state = state;
    this.error = error;
    if (isNew) this.emit('state', { state, error });
  }
}

function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
