/** Where the device that a guest logs in from is kept: `getItem`, `setItem`, `removeItem`. */

/** Forgets everything with the process. */
export class MemoryStorage {
  #items = new Map();

  /** @param {string} key @returns {string | null} */
  getItem(key) {
    return this.#items.get(key) ?? null;
  }
  /** @param {string} key @param {string} value */
  setItem(key, value) {
    this.#items.set(key, value);
  }
  /** @param {string} key */
  removeItem(key) {
    this.#items.delete(key);
  }
}

/** The browser's storage where it works (a page may be denied it), memory elsewhere. */
export function defaultStorage() {
  try {
    const storage = globalThis.document && globalThis.localStorage;
    if (!storage) return new MemoryStorage();
    const probe = 'gameserver.probe';
    storage.setItem(probe, '1');
    storage.removeItem(probe);
    return storage;
  } catch {
    return new MemoryStorage();
  }
}
