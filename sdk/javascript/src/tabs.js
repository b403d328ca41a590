/**
 * One page works for all pages of its origin.
 *
 * A browser opens six HTTP/1.1 connections to a server, for all of its tabs together: if each tab
 * held a stream, the seventh would get no answer to anything. A Web Lock names the leader; when its
 * page goes away, the next page in the queue leads. Knows nothing of what the pages share.
 */

/** A leader that does not answer for so long is frozen or stuck, and another page takes over. */
const ANSWER_MS = 3_000;
/** How often a visible page asks whether its leader still works. */
const ASK_MS = 20_000;

/** True where pages can find and hear each other: browsers, over HTTPS or on localhost. */
export function canShare() {
  return Boolean(
    globalThis.document && globalThis.navigator?.locks && globalThis.BroadcastChannel,
  );
}

/**
 * Runs `work` alone among the pages of the origin, or right away where pages cannot find each other
 * or the one before takes too long.
 *
 * @template T
 * @param {string} name
 * @param {number} patienceMs
 * @param {(isSecond: boolean) => Promise<T>} work Is told whether another page was before it.
 * @returns {Promise<T>}
 */
export async function alone(name, patienceMs, work) {
  if (!canShare()) return work(false);
  let isFirst = false;
  const result = await navigator.locks.request(name, { ifAvailable: true }, (lock) => {
    isFirst = lock !== null;
    return isFirst ? work(false) : undefined;
  });
  if (isFirst) return result;
  const tooLong = new AbortController();
  const timer = setTimeout(() => tooLong.abort(), patienceMs);
  let hasBegun = false;
  try {
    return await navigator.locks.request(name, { signal: tooLong.signal }, () => {
      clearTimeout(timer);
      hasBegun = true;
      return work(true);
    });
  } catch (error) {
    if (hasBegun) throw error;
    return work(true);
  } finally {
    clearTimeout(timer);
  }
}

/** The pages that share one work. */
export class TabGroup {
  #name;
  #roles;
  #channel;
  #isLeading = false;
  #askTimer;
  #answerTimer;
  /** Ends the wait for the lock, to take it by force. */
  #waiting = new AbortController();
  #takesOver = false;

  /**
   * @param {string} name
   * @param {{lead(until: AbortSignal): Promise<void>, whole(): any, hear(news: any): void}} roles
   *   `lead` works for everybody until the signal aborts, `whole` is all that a new page has to
   *   know, and `hear` takes that and what the leader `tell`s.
   * @param {AbortSignal} signal Leaves the group.
   */
  constructor(name, roles, signal) {
    this.#name = name;
    this.#roles = roles;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    const look = () => {
      if (!document.hidden) this.#ask('whole');
    };
    document.addEventListener('visibilitychange', look, { signal });
    this.#askTimer = setInterval(() => {
      if (!document.hidden) this.#ask('pulse');
    }, ASK_MS);
    this.#ask('whole');
    this.#run(signal).finally(() => {
      clearInterval(this.#askTimer);
      clearTimeout(this.#answerTimer);
      this.#channel.close();
    });
  }

  /** Tells the other pages; only the leader has something to say. @param {any} message */
  tell(message) {
    if (this.#isLeading) this.#channel.postMessage({ kind: 'news', message });
  }

  async #run(signal) {
    while (!signal.aborted) {
      this.#waiting = new AbortController();
      const stop = () => this.#waiting.abort();
      signal.addEventListener('abort', stop, { once: true });
      // A lock that is taken by force cannot be waited for as well.
      const how = this.#takesOver ? { steal: true } : { signal: this.#waiting.signal };
      this.#takesOver = false;
      const over = new AbortController();
      try {
        await navigator.locks.request(this.#name, how, () => this.#lead(signal, over.signal));
      } catch {
        // Either the wait was ended, or another page took the lock.
      }
      over.abort();
      this.#isLeading = false;
      signal.removeEventListener('abort', stop);
    }
  }

  async #lead(signal, taken) {
    if (signal.aborted) return;
    this.#isLeading = true;
    clearTimeout(this.#answerTimer);
    // Whoever asked while nobody was leading has its answer, however slow the work begins.
    this.tell(this.#roles.whole());
    const end = new AbortController();
    const stop = () => end.abort();
    signal.addEventListener('abort', stop, { once: true });
    taken.addEventListener('abort', stop, { once: true });
    try {
      await this.#roles.lead(end.signal);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Asks the leader for everything, or only whether it is there. */
  #ask(wanted) {
    if (this.#isLeading) return;
    this.#channel.postMessage({ kind: 'ask', wanted });
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => {
      if (this.#isLeading) return;
      this.#takesOver = true;
      this.#waiting.abort();
    }, ANSWER_MS);
  }

  #receive(data) {
    if (data?.kind === 'ask') {
      if (!this.#isLeading) return;
      const message = data.wanted === 'whole' ? this.#roles.whole() : null;
      this.#channel.postMessage({ kind: 'news', message });
    } else if (data?.kind === 'news' && !this.#isLeading) {
      clearTimeout(this.#answerTimer);
      if (data.message !== null) this.#roles.hear(data.message);
    }
  }
}
