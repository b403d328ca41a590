/** The REST API against a server of its own: logins, refreshing, errors, the pushed list. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Api, ApiError, MemoryStorage } from '../src/index.js';

const DEVICE = { id: 'd-1', secret: 's-1' };
const REPLAY = Uint8Array.from({ length: 2_500_000 }, (_, index) => index % 251);

/** A small web-api: real HTTP, tokens that can be made worthless, a list that can be pushed. */
class TestApi {
  static async start() {
    const api = new TestApi();
    api.http = createServer((request, response) => api.answer(request, response));
    api.http.listen(0, '127.0.0.1');
    await once(api.http, 'listening');
    api.url = `http://127.0.0.1:${api.http.address().port}/`;
    return api;
  }

  requests = [];
  streams = [];
  issued = 0;
  good = new Set();
  expiresInS = 900;
  knowsDevice = true;

  async answer(request, response) {
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = text ? JSON.parse(text) : undefined;
    const call = `${request.method} ${request.url.replace('/api/v1', '')}`;
    this.requests.push({ call, body, headers: request.headers });
    if (call.startsWith('POST /auth/')) return this.auth(call, body, response);
    if (!this.good.has(request.headers.authorization)) {
      return problem(response, 401, 'auth.token_expired');
    }
    if (call === 'GET /sessions/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      this.streams.push(response);
      return response.write(': open\n\n');
    }
    if (call.endsWith('/replay')) return this.replay(request, response);
    if (call === 'GET /sessions/full') return problem(response, 409, 'session.full');
    if (call.endsWith('/leave')) return response.writeHead(204).end();
    return json(response, { call, body });
  }

  auth(call, body, response) {
    if (call === 'POST /auth/guest' && body.device_id && !this.knowsDevice) {
      return problem(response, 401, 'auth.invalid_credentials');
    }
    if (call === 'POST /auth/refresh' && body.refresh_token !== `refresh ${this.issued}`) {
      return problem(response, 401, 'auth.invalid_refresh_token');
    }
    this.issued += 1;
    this.good.add(`Bearer access ${this.issued}`);
    return json(response, {
      player: { id: 'p', display_name: 'ann' },
      access_token: `access ${this.issued}`,
      refresh_token: `refresh ${this.issued}`,
      expires_in_s: this.expiresInS,
      device: body.device_id ? null : { ...DEVICE, id: `d-${this.issued}` },
    });
  }

  replay(request, response) {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range);
    const piece = REPLAY.subarray(Number(from), Number(to) + 1);
    const range = `bytes ${from}-${Number(from) + piece.length - 1}/${REPLAY.length}`;
    response.writeHead(206, { 'Content-Range': range }).end(piece);
  }

  push(event, data) {
    this.streams.at(-1).write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  calls() {
    return this.requests.map(({ call }) => call);
  }

  stop() {
    this.http.close();
    this.http.closeAllConnections();
  }
}

function json(response, body) {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

function problem(response, status, code) {
  const body = {
    status,
    code,
    title: `Because of ${code}.`,
    details: { a: 'b' },
    request_id: 'r-1',
  };
  response.writeHead(status, { 'Content-Type': 'application/problem+json', 'Retry-After': '3' });
  response.end(JSON.stringify(body));
}

async function withApi(run) {
  const server = await TestApi.start();
  const storage = new MemoryStorage();
  try {
    await run(server, new Api({ url: server.url, storage }), storage);
  } finally {
    server.stop();
  }
}

test('a guest is logged in by itself, once, and the device is kept', () =>
  withApi(async (server, api, storage) => {
    await Promise.all([api.me(), api.sessions({ game: 'arena', limit: 5 })]);
    assert.equal(server.calls().filter((call) => call === 'POST /auth/guest').length, 1);
    assert.ok(server.calls().includes('GET /sessions?game=arena&limit=5'));
    const again = new Api({ url: server.url, storage });
    await again.me();
    assert.equal(server.calls().filter((call) => call.startsWith('POST /auth/')).length, 1);
    storage.removeItem('gameserver.token');
    await new Api({ url: server.url, storage }).me();
    const login = server.requests.findLast(({ call }) => call === 'POST /auth/guest');
    assert.deepEqual(login.body, { device_id: 'd-1', device_secret: 's-1' });
  }));

test('a storage that takes nothing any more does not undo a good login', () =>
  withApi(async (server) => {
    const storage = new MemoryStorage();
    storage.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    const api = new Api({ url: server.url, storage });
    await api.me();
    server.good.clear();
    server.issued += 5;
    await api.me();
    const login = server.requests.findLast(({ call }) => call === 'POST /auth/guest');
    assert.deepEqual(login.body, { device_id: 'd-1', device_secret: 's-1' }, 'the same guest');
  }));

test('two pages of one storage that begin at once are one guest', () =>
  withApi(async (server, _, storage) => {
    // Nothing here can wait for another page, as in a browser without Web Locks.
    const pages = [1, 2].map(() => new Api({ url: server.url, storage }));
    await Promise.all(pages.map((page) => page.me()));
    const made = server.requests.filter(({ call, body }) => call === 'POST /auth/guest' && !body.device_id);
    const device = JSON.parse(storage.getItem('gameserver.device'));
    const later = server.requests.filter(({ body }) => body?.device_id);
    assert.equal(made.length, 2);
    assert.deepEqual(later.map(({ body }) => body.device_id), [device.id], 'the slower one is the first one');
  }));

test('a device that the server has forgotten makes way for a new guest', () =>
  withApi(async (server, api, storage) => {
    storage.setItem('gameserver.device', JSON.stringify({ id: 'old', secret: 'old' }));
    server.knowsDevice = false;
    await api.me();
    assert.deepEqual(JSON.parse(storage.getItem('gameserver.device')), DEVICE);
  }));

test('a token is refreshed when it is over or not taken', () =>
  withApi(async (server, api) => {
    await api.me();
    server.good.clear();
    await api.session('a');
    assert.deepEqual(server.calls().slice(-3), [
      'GET /sessions/a',
      'POST /auth/refresh',
      'GET /sessions/a',
    ]);
    server.expiresInS = 1;
    server.good.clear();
    await api.session('b');
    await api.session('c');
    assert.deepEqual(server.calls().slice(-2), ['POST /auth/refresh', 'GET /sessions/c']);
  }));

test('without a good refresh token the device logs in again', () =>
  withApi(async (server, api) => {
    await api.me();
    server.good.clear();
    server.issued += 5;
    await api.me();
    assert.deepEqual(server.calls().slice(-4), [
      'GET /me',
      'POST /auth/refresh',
      'POST /auth/guest',
      'GET /me',
    ]);
  }));

test('calls say what the API wants to hear', () =>
  withApi(async (server, api) => {
    await api.createSession({ game: 'arena', mode: 'ffa' });
    const created = server.requests.at(-1);
    assert.deepEqual(created.body, { game: 'arena', mode: 'ffa' });
    assert.match(created.headers['idempotency-key'], /^[0-9a-f]{32}$/);
    await api.join('x', { role: 'spectator', view: 'all' });
    assert.equal(server.requests.at(-1).call, 'POST /sessions/x/join');
    assert.equal(await api.leave('x'), undefined);
  }));

test('an error has status, code, details, request id and what to wait', () =>
  withApi(async (server, api) => {
    await assert.rejects(api.session('full'), (error) => {
      assert.ok(error instanceof ApiError);
      const { status, code, details, requestId, retryAfterS, message } = error;
      assert.deepEqual(
        [status, code, details, requestId, retryAfterS, message],
        [409, 'session.full', { a: 'b' }, 'r-1', 3, 'Because of session.full.'],
      );
      return true;
    });
  }));

test('a server that is not there is told by a code', async () => {
  const api = new Api({ url: 'http://127.0.0.1:1', storage: new MemoryStorage() });
  await assert.rejects(
    api.me(),
    (error) => error.code === 'network.unreachable' && error.status === 0,
  );
});

test('a replay is loaded piece by piece', () =>
  withApi(async (server, api) => {
    const steps = [];
    const bytes = await api.replay('x', {
      onProgress: (loaded, total) => steps.push([loaded, total]),
    });
    assert.deepEqual(bytes, REPLAY);
    assert.deepEqual(
      steps.map(([loaded]) => loaded),
      [1_048_576, 2_097_152, 2_500_000],
    );
  }));

test('a browser of 2023 filters, pages and is pushed to as well', () =>
  withApi(async (server, api) => {
    const [any, size] = [
      Object.getOwnPropertyDescriptor(AbortSignal, 'any'),
      Object.getOwnPropertyDescriptor(URLSearchParams.prototype, 'size'),
    ];
    delete AbortSignal.any;
    delete URLSearchParams.prototype.size;
    try {
      await api.sessions({ state: 'ended', cursor: 'c' });
      assert.ok(server.calls().includes('GET /sessions?state=ended&cursor=c'));
      const list = api.watchSessions();
      const live = new Promise((resolve, reject) => {
        list.on('state', ({ state, error }) => {
          if (state === 'live') resolve();
          if (state === 'offline') reject(error);
        });
      });
      while (server.streams.length === 0)
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
      server.push('snapshot', { items: [] });
      await live;
      list.stop();
    } finally {
      Object.defineProperty(AbortSignal, 'any', any);
      Object.defineProperty(URLSearchParams.prototype, 'size', size);
    }
  }));

test('the list of sessions follows what is pushed, over a lost stream too', () =>
  withApi(async (server, api) => {
    const list = api.watchSessions();
    const changed = () =>
      new Promise((resolve) => {
        const stop = list.on('change', (items) => {
          stop();
          resolve(items.map(({ id }) => id));
        });
      });
    const opened = async (count) => {
      while (server.streams.length < count)
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
    };
    const session = (id, created_at) => ({ id, created_at });
    await opened(1);
    const sends = [
      ['snapshot', { items: [session('a', '1'), session('b', '2')] }, ['b', 'a']],
      ['session', session('c', '3'), ['c', 'b', 'a']],
      ['removed', { id: 'b' }, ['c', 'a']],
    ];
    for (const [event, data, expected] of sends) {
      const change = changed();
      server.push(event, data);
      assert.deepEqual(await change, expected);
    }
    assert.equal(list.state, 'live');
    server.push('resync', {});
    await opened(2);
    const change = changed();
    server.push('snapshot', { items: [] });
    assert.deepEqual(await change, []);
    list.stop();
  }));
