/** How long to wait before trying again. */

const FIRST_MS = 250;
const MAX_MS = 5_000;

/**
 * Doubles from a quarter of a second to five seconds, with half of it left to chance, so that the
 * clients of a server that restarts do not come back all at once.
 *
 * @param {number} attempt From 0.
 * @param {number} [chance] 0 to 1.
 * @returns {number} Milliseconds.
 */
export function backoffMs(attempt, chance = Math.random()) {
  const full = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return full * (0.5 + chance / 2);
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal] Ends the wait early.
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}
