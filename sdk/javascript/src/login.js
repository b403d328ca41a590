/**
 * The tokens of a guest: got with the device that is kept in a storage, renewed before they end.
 *
 * Knows the calls of `/api/v1/auth` and nothing else of the API.
 */
import { ApiError } from './errors.js';

const DEVICE_KEY = 'gameserver.device';
/** Renewed so long before the end, because the call that needs it takes a while too. */
const MARGIN_MS = 30_000;

export class Login {
  #post;
  #storage;
  #tokens = null;
  #renewing = null;

  /**
   * @param {(path: string, body: object) => Promise<any>} post Sends without a token.
   * @param {{getItem(key: string): string | null, setItem(key: string, value: string): void,
   *   removeItem(key: string): void}} storage
   */
  constructor(post, storage) {
    this.#post = post;
    this.#storage = storage;
    /** @type {any} Who is logged in; null before. */
    this.player = null;
  }

  /** @returns {Promise<string>} An access token that is good for the next call. */
  async token() {
    if (this.#tokens !== null && Date.now() < this.#tokens.endsMs - MARGIN_MS) {
      return this.#tokens.access;
    }
    return this.renew();
  }

  /** Gets new tokens; calls at the same time share one renewal. @returns {Promise<string>} */
  async renew() {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = null;
    });
    await this.#renewing;
    return this.#tokens.access;
  }

  /** Ends this login on the server. The device stays known. */
  async logOut() {
    const tokens = this.#tokens;
    this.#tokens = null;
    if (tokens !== null) await this.#post('/auth/logout', { refresh_token: tokens.refresh });
  }

  async #renew() {
    if (this.#tokens !== null) {
      try {
        this.#keep(await this.#post('/auth/refresh', { refresh_token: this.#tokens.refresh }));
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
        this.#tokens = null;
      }
    }
    await this.#logIn();
  }

  async #logIn() {
    const device = this.#device();
    if (device !== null) {
      const body = { device_id: device.id, device_secret: device.secret };
      try {
        this.#keep(await this.#post('/auth/guest', body));
        return;
      } catch (error) {
        // The account is gone, for example with the database of a trial: be somebody new.
        const isForgotten = error instanceof ApiError && [401, 422].includes(error.status);
        if (!isForgotten) throw error;
        this.#storage.removeItem(DEVICE_KEY);
      }
    }
    this.#keep(await this.#post('/auth/guest', {}));
  }

  #keep(answer) {
    const endsMs = Date.now() + answer.expires_in_s * 1000;
    this.#tokens = { access: answer.access_token, refresh: answer.refresh_token, endsMs };
    if (answer.player) this.player = answer.player;
    if (answer.device) this.#storage.setItem(DEVICE_KEY, JSON.stringify(answer.device));
  }

  #device() {
    try {
      const device = JSON.parse(this.#storage.getItem(DEVICE_KEY) ?? 'null');
      return device?.id && device?.secret ? device : null;
    } catch {
      return null;
    }
  }
}
