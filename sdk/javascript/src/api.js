/**
 * The REST API: who plays, which sessions there are, the right to connect, replays.
 *
 * Logs in as a guest by itself. Answers are the API's own objects, as OpenAPI describes them.
 */
import { ApiError } from './errors.js';
import { Login } from './login.js';
import { SessionList } from './session-list.js';
import { defaultStorage } from './storage.js';

const PREFIX = '/api/v1';
/** One step of a replay's download: small enough to show progress, large enough to be quick. */
export const RANGE_BYTES = 1024 * 1024;
/** Replays beyond this are not loaded into memory. */
export const REPLAY_BYTES_MAX = 256 * 1024 * 1024;

/**
 * @typedef {object} ApiOptions
 * @property {string} [url] Where web-api is; the page's own origin in browsers.
 * @property {{getItem(key: string): string | null, setItem(key: string, value: string): void,
 *   removeItem(key: string): void}} [storage] Keeps the guest's device.
 * @property {typeof fetch} [fetch]
 */

export class Api {
  #url;
  #fetch;

  /** @param {ApiOptions} [options] */
  constructor({ url = globalThis.location?.origin, storage, fetch = globalThis.fetch } = {}) {
    if (!url) throw new TypeError('Api: url is missing');
    this.#url = url.replace(/\/+$/, '');
    this.#fetch = (...request) => fetch(...request);
    // One origin may have several servers behind path prefixes, each with accounts of its own.
    const { location } = globalThis;
    const server = location === undefined || this.#url === location.origin ? '' : this.#url;
    const post = (path, body) => this.#plain(path, body);
    this.login = new Login(post, storage ?? defaultStorage(), server);
  }

  /** The logged-in player; logs in when nobody is. */
  async me() {
    return this.#json('GET', '/me');
  }

  /** @param {string} displayName 1 to 32 characters. */
  async rename(displayName) {
    const current = await this.#call('GET', '/me');
    const headers = { 'If-Match': current.headers.get('ETag') ?? '*' };
    await current.body?.cancel();
    const player = await this.#json('PATCH', '/me', { display_name: displayName }, headers);
    this.login.player = player;
    return player;
  }

  /** The games that are hosted here, with their modes. @returns {Promise<any[]>} */
  async games() {
    const answer = await this.#json('GET', '/games');
    return Array.isArray(answer) ? answer : answer.items;
  }

  /**
   * One page of public sessions, newest first.
   *
   * @param {Record<string, string | number>} [filter] game, mode, region, state, free_slots_min,
   *   tag, limit, cursor.
   * @returns {Promise<{items: any[], next_cursor: string | null}>}
   */
  async sessions(filter = {}) {
    const pairs = Object.entries(filter).map(([name, value]) => [name, String(value)]);
    // Browsers of 2023 do not know how many pairs a query has; its text they know.
    const query = new URLSearchParams(pairs).toString();
    return this.#json('GET', query === '' ? '/sessions' : `/sessions?${query}`);
  }

  /** @param {string} id */
  async session(id) {
    return this.#json('GET', `/sessions/${encodeURIComponent(id)}`);
  }

  /** @param {{game: string, mode?: string, name?: string, players_max?: number}} body */
  async createSession(body) {
    return this.#json('POST', '/sessions', body, idempotent());
  }

  /**
   * @param {string} id
   * @param {{role?: 'player' | 'spectator', join_code?: string, view?: 'all' | 'team',
   *   team?: number, delay_s?: number}} [body]
   * @returns {Promise<import('./match.js').JoinResponse>}
   */
  async join(id, body = {}) {
    return this.#json('POST', `/sessions/${encodeURIComponent(id)}/join`, body);
  }

  /** @param {string} id */
  async leave(id) {
    await this.#json('POST', `/sessions/${encodeURIComponent(id)}/leave`);
  }

  /** @param {string} id Of a session that the player hosts. */
  async end(id) {
    return this.#json('POST', `/sessions/${encodeURIComponent(id)}/end`);
  }

  /**
   * The public sessions, kept true by the server. The pages of an origin share one stream.
   *
   * @returns {SessionList}
   */
  watchSessions() {
    const open = async (signal) => {
      const headers = { Accept: 'text/event-stream' };
      const response = await this.#call('GET', '/sessions/events', undefined, headers, signal);
      return response.body;
    };
    return new SessionList(open, { group: `gameserver.sessions ${this.#url}` });
  }

  /**
   * Downloads the match log of a session that is over, piece by piece.
   *
   * @param {string} id
   * @param {{onProgress?: (bytes: number, total: number) => void, signal?: AbortSignal}} [options]
   * @returns {Promise<Uint8Array>}
   */
  async replay(id, { onProgress, signal } = {}) {
    const path = `/sessions/${encodeURIComponent(id)}/replay`;
    const pieces = [];
    let loaded = 0;
    let total = Infinity;
    while (loaded < total) {
      const headers = { Range: `bytes=${loaded}-${loaded + RANGE_BYTES - 1}`, Accept: '*/*' };
      const response = await this.#call('GET', path, undefined, headers, signal);
      const piece = new Uint8Array(await response.arrayBuffer());
      // A server that knows no ranges answers 200 with all of it.
      total = response.status === 206 ? totalOf(response) : piece.length;
      if (response.status !== 206) pieces.length = 0;
      loaded = response.status === 206 ? loaded + piece.length : piece.length;
      if (loaded > REPLAY_BYTES_MAX || total > REPLAY_BYTES_MAX) {
        throw new ApiError({ status: 0, code: 'replay.too_large' });
      }
      if (piece.length === 0 && loaded < total) {
        throw new ApiError({ status: 0, code: 'network.unreachable', title: 'It ended early.' });
      }
      pieces.push(piece);
      onProgress?.(loaded, total);
    }
    return joined(pieces, loaded);
  }

  async #json(method, path, body, headers) {
    const response = await this.#call(method, path, body, headers);
    return response.status === 204 ? null : response.json();
  }

  /** With a token; once more with a new one when the server does not take it. */
  async #call(method, path, body, headers = {}, signal = undefined) {
    const send = (token) => {
      const all = { ...headers, Authorization: `Bearer ${token}` };
      return this.#send(method, path, body, all, signal);
    };
    const token = await this.login.token();
    try {
      return await send(token);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      return send(await this.login.renew(token));
    }
  }

  async #plain(path, body) {
    const response = await this.#send('POST', path, body, {});
    return response.status === 204 ? null : response.json();
  }

  async #send(method, path, body, headers, signal) {
    const isJson = body !== undefined;
    let response;
    try {
      response = await this.#fetch(this.#url + PREFIX + path, {
        method,
        headers: {
          Accept: 'application/json',
          ...(isJson ? { 'Content-Type': 'application/json' } : {}),
          ...headers,
        },
        body: isJson ? JSON.stringify(body) : undefined,
        signal,
        cache: 'no-store',
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      const title = 'The server cannot be reached.';
      throw new ApiError({ status: 0, code: 'network.unreachable', title, cause });
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN);
  return new ApiError({
    status: response.status,
    code: typeof problem.code === 'string' ? problem.code : 'unknown',
    title: problem.title ?? `HTTP ${response.status}`,
    details: problem.details,
    requestId: problem.request_id ?? response.headers.get('X-Request-Id'),
    retryAfterS: Number.isFinite(seconds) ? seconds : null,
  });
}

/** So that a repeated request opens one session only. */
function idempotent() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  const key = Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { 'Idempotency-Key': key };
}

function totalOf(response) {
  const total = Number(/\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '')?.[1]);
  if (Number.isSafeInteger(total)) return total;
  throw new ApiError({ status: response.status, code: 'replay.malformed_range' });
}

function joined(pieces, length) {
  const bytes = new Uint8Array(length);
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}
