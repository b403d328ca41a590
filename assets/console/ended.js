/** Matches that are over: asked for when somebody wants to see them, because nobody pushes them. */
import { api } from './context.js';

/** States that a session stays in. A match that failed has a recording up to there as well. */
export const OVER = ['ended', 'failed'];
const PAGE = 50;
/** Sessions that are kept; beyond that a filter of the API helps more than a longer list. */
const KEPT_MAX = 1000;
const AGAIN_MS = 2000;

export class EndedSessions {
  #onChange;
  #cursors = new Map();
  #sessions = new Map();
  #timer = null;
  #loading = null;

  /** @param {() => void} onChange Called when there is something else to show. */
  constructor(onChange) {
    this.#onChange = onChange;
    /** @type {'empty' | 'loading' | 'there'} */
    this.state = 'empty';
    /** @type {Error | null} */
    this.error = null;
  }

  /** Newest first. */
  get items() {
    const byAge = (a, b) => (a.created_at < b.created_at ? 1 : -1);
    return [...this.#sessions.values()].sort(byAge);
  }

  get hasMore() {
    const hasCursor = [...this.#cursors.values()].some((cursor) => cursor !== null);
    return hasCursor && this.#sessions.size < KEPT_MAX;
  }

  /** Loads the newest ones, soon; several wishes in a short time are one. */
  refresh() {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = null;
        this.#load(OVER.map((state) => [state, null]));
      },
      this.state === 'empty' ? 0 : AGAIN_MS,
    );
  }

  /** Loads older ones. */
  more() {
    this.#load([...this.#cursors].filter(([, cursor]) => cursor !== null));
  }

  stop() {
    clearTimeout(this.#timer);
    this.#onChange = () => {};
  }

  async #load(pages) {
    await this.#loading;
    if (this.state === 'empty') this.state = 'loading';
    this.#loading = Promise.all(pages.map(([state, cursor]) => this.#page(state, cursor)))
      .then(() => {
        this.error = null;
      })
      .catch((error) => {
        this.error = error;
      });
    await this.#loading;
    this.state = 'there';
    this.#onChange();
  }

  async #page(state, cursor) {
    const filter = { state, limit: PAGE, ...(cursor === null ? {} : { cursor }) };
    const { items, next_cursor: next } = await api.sessions(filter);
    // The newest page is asked for again and again; where the older ones go on does not change.
    if (cursor !== null || !this.#cursors.has(state)) this.#cursors.set(state, next ?? null);
    for (const session of items) this.#sessions.set(session.id, session);
  }
}
