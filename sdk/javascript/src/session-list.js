/**
 * The list of sessions, kept true by what the server pushes.
 *
 * The pages of a browser share one stream where they can find each other; elsewhere a page that
 * nobody sees lets go of its stream, because a browser has few connections for all of its tabs.
 */
import { Emitter } from './emitter.js';
import { ApiError } from './errors.js';
import { backoffMs, sleep } from './reconnect.js';
import { eitherOf } from './signals.js';
import { readEvents } from './sse.js';
import { canShare, TabGroup } from './tabs.js';

/** A stream that was quiet for so long is taken for dead; the server says something more often. */
const SILENCE_MS = 60_000;
/** A page that is hidden for longer lets go: a look at another tab costs no new stream. */
const HIDDEN_MS = 5_000;
/** Sessions that are kept. */
export const SESSIONS_MAX = 10_000;

/**
 * Events: `change` (the list is new), `state` ('connecting', 'live', 'offline' with `error`).
 */
export class SessionList extends Emitter {
  #open;
  #stopped = new AbortController();
  #sessions = new Map();
  #group = null;

  /**
   * @param {(signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>} open Opens the stream.
   * @param {{group?: string}} [options] Pages that name the same group share one stream.
   */
  constructor(open, { group = '' } = {}) {
    super();
    this.#open = open;
    this.state = 'connecting';
    /** @type {Error | null} Why it is offline. */
    this.error = null;
    const { signal } = this.#stopped;
    if (group !== '' && canShare()) {
      const roles = {
        lead: (until) => this.#run(until),
        whole: () => ({ items: [...this.#sessions.values()], ...this.#told() }),
        hear: (message) => this.#hear(message),
      };
      this.#group = new TabGroup(group, roles, signal);
    } else this.#runWhileSeen(signal);
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

  /** Follows the stream while somebody can see the page. */
  async #runWhileSeen(signal) {
    const { document } = globalThis;
    while (!signal.aborted) {
      const hidden = new AbortController();
      let timer;
      const look = () => {
        clearTimeout(timer);
        if (document.hidden) timer = setTimeout(() => hidden.abort(), HIDDEN_MS);
      };
      document?.addEventListener('visibilitychange', look);
      if (document) look();
      const until = eitherOf(signal, hidden.signal);
      await this.#run(until.signal);
      until.release();
      document?.removeEventListener('visibilitychange', look);
      clearTimeout(timer);
      if (!signal.aborted) await seen(signal);
    }
  }

  async #run(signal) {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      let waitMs = 0;
      this.#setState('connecting', this.error);
      try {
        await this.#follow(signal, () => {
          attempt = 0;
        });
        this.error = null;
      } catch (error) {
        if (signal.aborted) return;
        this.#setState('offline', error);
        waitMs = (error?.retryAfterS ?? 0) * 1000;
      }
      if (!signal.aborted) await sleep(Math.max(waitMs, backoffMs(attempt)), signal);
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
    const either = eitherOf(signal, silence.signal);
    try {
      const stream = await this.#open(either.signal);
      const awake = stream.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            listen();
            controller.enqueue(chunk);
          },
        }),
      );
      listen();
      for await (const { event, data } of readEvents(awake)) {
        onEvent();
        const value = parse(data);
        if (event === 'resync' || signal.aborted) return;
        if (this.#apply(event, value)) this.#group?.tell({ event, value });
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
      either.release();
    }
  }

  /** @returns {boolean} True when it was an event of the list. */
  #apply(event, value) {
    if (event === 'snapshot') this.#keep(value?.items);
    else if (event === 'session' && value?.id) {
      const hasRoom = this.#sessions.has(value.id) || this.#sessions.size < SESSIONS_MAX;
      if (hasRoom) this.#sessions.set(value.id, value);
    } else if (event === 'removed' && value?.id) this.#sessions.delete(value.id);
    else return false;
    this.#setState('live', null);
    this.emit('change', this.items);
    return true;
  }

  #keep(items) {
    const all = Array.isArray(items) ? items : [];
    this.#sessions = new Map(all.slice(0, SESSIONS_MAX).map((item) => [item.id, item]));
  }

  /** What the page that leads has said. */
  #hear({ items, event, value, state, problem }) {
    if (event !== undefined) {
      this.#apply(event, value);
      return;
    }
    if (items !== undefined) {
      this.#keep(items);
      this.emit('change', this.items);
    }
    this.#setState(state, problem === null ? null : new ApiError(problem));
  }

  #setState(state, error) {
    const isNew = state !== this.state || error?.message !== this.error?.message;
    this.state = state;
    this.error = error;
    if (!isNew) return;
    this.#group?.tell(this.#told());
    this.emit('state', { state, error });
  }

  /** State and error as one page can tell them to another: classes do not travel. */
  #told() {
    const { state, error } = this;
    if (error === null) return { state, problem: null };
    const { status = 0, code = 'network.unreachable', requestId = null } = error;
    return { state, problem: { status, code, requestId, title: error.message } };
  }
}

/** Resolves when the page is visible, or the signal aborts. */
function seen(signal) {
  return new Promise((resolve) => {
    const { document } = globalThis;
    const look = () => {
      if (document?.hidden && !signal.aborted) return;
      document?.removeEventListener('visibilitychange', look);
      signal.removeEventListener('abort', look);
      resolve();
    };
    document?.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look);
    look();
  });
}

function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
