/**
 * The tokens of a guest: got with the device that is kept in a storage, renewed before they end.
 *
 * Pages that have the storage in common are one guest with one login: a handful of new tabs
 * would otherwise be as many logins. Knows the calls of `/api/v1/auth` and nothing else of the API.
 */
import { ApiError } from './errors.js';
import { sleep } from './reconnect.js';
import { ForgivingStorage } from './storage.js';
import { alone } from './tabs.js';

const DEVICE_KEY = 'gameserver.device';
const TOKEN_KEY = 'gameserver.token';
/** Renewed so long before the end, because the call that needs it takes a while too. */
const MARGIN_MS = 30_000;
/** Longest wait for another page that logs in. */
const ALONE_MS = 10_000;
/** Longest wait for what that page has stored, and between two looks. */
const HEARD_MS = 1_000;
const HEARD_STEP_MS = 20;

export class Login {
  #post;
  #storage;
  #suffix;
  #tokens = null;
  #renewing = null;

  /**
   * @param {(path: string, body: object) => Promise<any>} post Sends without a token.
   * @param {{getItem(key: string): string | null, setItem(key: string, value: string): void,
   *   removeItem(key: string): void}} storage
   * @param {string} [server] Tells the servers apart that one storage knows; empty for the usual.
   */
  constructor(post, storage, server = '') {
    this.#post = post;
    this.#storage = new ForgivingStorage(storage);
    this.#suffix = server === '' ? '' : ` ${server}`;
    /** @type {any} Who is logged in; null before. */
    this.player = null;
  }

  /** @returns {Promise<string>} An access token that is good for the next call. */
  async token() {
    return isFresh(this.#tokens) ? this.#tokens.access : this.#renewOnce(null);
  }

  /**
   * Gets new tokens; calls at the same time share one renewal.
   *
   * @param {string} [refused] The token that the server did not take, when that is the reason.
   * @returns {Promise<string>}
   */
  async renew(refused = this.#tokens?.access) {
    // Another call has renewed since that one was sent.
    if (isFresh(this.#tokens) && this.#tokens.access !== refused) return this.#tokens.access;
    return this.#renewOnce(refused ?? null);
  }

  /** Ends this login on the server, for all pages that share it. The device stays known. */
  async logOut() {
    const tokens = this.#read(TOKEN_KEY) ?? this.#tokens;
    this.#tokens = null;
    this.#storage.removeItem(TOKEN_KEY + this.#suffix);
    if (tokens?.refresh) await this.#post('/auth/logout', { refresh_token: tokens.refresh });
  }

  async #renewOnce(refused) {
    // One page after the other: the second finds what the first has got.
    const renew = async (isSecond) => {
      if (isSecond) await this.#heard(refused);
      await this.#renew(refused);
    };
    this.#renewing ??= alone(TOKEN_KEY + this.#suffix, ALONE_MS, renew).finally(() => {
      this.#renewing = null;
    });
    await this.#renewing;
    return this.#tokens.access;
  }

  /** Waits for what another page has stored: other processes of a browser see it a little later. */
  async #heard(refused) {
    for (let waitedMs = 0; waitedMs < HEARD_MS; waitedMs += HEARD_STEP_MS) {
      const stored = this.#read(TOKEN_KEY);
      if (isFresh(stored) && stored.access !== refused) return;
      await sleep(HEARD_STEP_MS);
    }
  }

  async #renew(refused) {
    this.#tokens = this.#read(TOKEN_KEY) ?? this.#tokens;
    if (isFresh(this.#tokens) && this.#tokens.access !== refused) {
      this.player ??= this.#tokens.player ?? null;
      return;
    }
    if (this.#tokens?.refresh) {
      try {
        this.#keep(await this.#post('/auth/refresh', { refresh_token: this.#tokens.refresh }));
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
      }
    }
    this.#tokens = null;
    await this.#logIn();
  }

  async #logIn() {
    if (await this.#logInFrom(this.#device())) return;
    const answer = await this.#post('/auth/guest', {});
    // Where pages cannot wait for each other, another one may have been quicker: be that guest.
    const other = this.#device();
    if (other !== null && (await this.#logInFrom(other))) return;
    this.#keep(answer);
  }

  /** @returns {Promise<boolean>} False when there is no device, or the server forgot it. */
  async #logInFrom(device) {
    if (device === null) return false;
    const body = { device_id: device.id, device_secret: device.secret };
    try {
      this.#keep(await this.#post('/auth/guest', body));
      return true;
    } catch (error) {
      // The account is gone, for example with the database of a trial: be somebody new.
      const isForgotten = error instanceof ApiError && [401, 422].includes(error.status);
      if (!isForgotten) throw error;
      this.#storage.removeItem(DEVICE_KEY + this.#suffix);
      return false;
    }
  }

  #keep(answer) {
    if (answer.player) this.player = answer.player;
    this.#tokens = {
      access: answer.access_token,
      refresh: answer.refresh_token,
      endsMs: Date.now() + answer.expires_in_s * 1000,
      player: this.player,
    };
    if (answer.device) this.#write(DEVICE_KEY, answer.device);
    this.#write(TOKEN_KEY, this.#tokens);
  }

  #device() {
    const device = this.#read(DEVICE_KEY);
    return device?.id && device?.secret ? device : null;
  }

  #write(key, value) {
    this.#storage.setItem(key + this.#suffix, JSON.stringify(value));
  }

  #read(key) {
    try {
      return JSON.parse(this.#storage.getItem(key + this.#suffix) ?? 'null');
    } catch {
      return null;
    }
  }
}

function isFresh(tokens) {
  return typeof tokens?.access === 'string' && Date.now() < tokens.endsMs - MARGIN_MS;
}
