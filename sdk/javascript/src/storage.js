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

/**
 * A storage that keeps in memory what another one cannot take: it may be full, or be denied later.
 */
export class ForgivingStorage {
  #storage;
  #memory = new Map();

  /** @param {{getItem(key: string): string | null, setItem(key: string, value: string): void,
   *   removeItem(key: string): void}} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /** @param {string} key @returns {string | null} */
  getItem(key) {
    if (this.#memory.has(key)) return this.#memory.get(key);
    try {
      return this.#storage.getItem(key);
    } catch {
      return null;
    }
  }
  /** @param {string} key @param {string} value */
  setItem(key, value) {
    try {
      this.#storage.setItem(key, value);
      this.#memory.delete(key);
    } catch {
      this.#memory.set(key, value);
    }
  }
  /** @param {string} key */
  removeItem(key) {
    this.#memory.delete(key);
    try {
      this.#storage.removeItem(key);
    } catch {
      // What cannot be removed must not count any more either.
      this.#memory.set(key, null);
    }
  }
}
