/**
 * Several tabs of one browser, over HTTP/1.1: `GAMESERVER_URL` names a running server.
 *
 *     node --test tests/browser/tabs.test.mjs
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from './chromium.mjs';
import { Proxy } from './proxy.mjs';

const SERVER = (process.env.GAMESERVER_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
/** More than the six connections that a browser opens to a server over HTTP/1.1. */
const TABS = 8;
const LIVE =
  'document.querySelector(\'[data-testid="list-state"]\')?.textContent === "Live" && ' +
  'document.querySelectorAll(\'[data-testid="session-row"]\').length > 0';
const WHO = 'document.getElementById("who").textContent';
const NO_LOCKS = 'Object.defineProperty(Navigator.prototype, "locks", { get: () => undefined })';
const POLL_MS = 50;

let browser;
before(async () => {
  browser = await Chromium.launch();
});
after(async () => {
  await browser?.close();
});

async function withProxy(run) {
  const proxy = await Proxy.start(SERVER);
  try {
    await run(proxy);
  } finally {
    proxy.stop();
  }
}

async function until(isTrue, what, withinMs = 15_000) {
  const endMs = Date.now() + withinMs;
  while (!isTrue()) {
    assert.ok(Date.now() < endMs, `never: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

/** Opens tabs of one profile, the second and later ones at once. */
async function tabs(url, count, options = {}) {
  const first = await browser.page(options);
  const others = await Promise.all(
    Array.from({ length: count - 1 }, () => browser.page({ ...options, beside: first })),
  );
  const pages = [first, ...others];
  await Promise.all(pages.map((page) => page.open(`${url}/`)));
  return pages;
}

/** Opens a session; a server whose machine is busy may have no room for a moment. */
const openSession = (name) => `(async () => {
  const { api } = await import('./context.js');
  for (let tries = 1; ; tries += 1) {
    try {
      const body = { game: 'arena', name: ${JSON.stringify(name)} };
      return (await api.createSession(body)).id;
    } catch (error) {
      if (error.status !== 503 || tries >= 10) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 1000 * (error.retryAfterS ?? 1));
      });
    }
  }
})()`;
const endSession = (id) => `import('./context.js').then(({ api }) => api.end('${id}'))`;
/** Which of the pages reads the stream for all: a lock of its own tells its id. */
async function readerAmong(pages) {
  const hold = (index) =>
    `void navigator.locks.request('probe ${index}', () => new Promise(() => {}))`;
  await Promise.all(pages.map((page, index) => page.evaluate(hold(index))));
  const { held } = await pages[0].evaluate('navigator.locks.query()');
  const reader = held.find(({ name }) => name.startsWith('gameserver.sessions'));
  return pages.findIndex((_, index) =>
    held.some(({ name, clientId }) => name === `probe ${index}` && clientId === reader.clientId),
  );
}
const hasRow = (id) => `document.querySelector('[data-id="${id}"]') !== null`;

test('eight tabs show the list live with one stream, and calls are answered', () =>
  withProxy(async (proxy) => {
    const pages = await tabs(proxy.url, TABS);
    await Promise.all(pages.map((page) => page.until(LIVE)));
    assert.equal(proxy.streams.size, 1);
    const id = await pages.at(-1).evaluate(openSession('told to all'));
    await Promise.all(pages.map((page) => page.until(hasRow(id))));
    const logins = proxy.calls.filter((call) => call === 'POST /api/v1/auth/guest');
    assert.equal(logins.length, 1, 'they are one guest with one login');
    const names = await Promise.all(pages.map((page) => page.until(WHO)));
    assert.equal(new Set(names).size, 1, String(names));
    await pages[0].evaluate(endSession(id));
    await Promise.all(pages.map((page) => page.until(`!(${hasRow(id)})`)));
    for (const page of pages) assert.deepEqual(page.complaints, []);
    await pages[0].close();
  }));

test('when the tab that reads the stream is closed, another one goes on', () =>
  withProxy(async (proxy) => {
    const pages = await tabs(proxy.url, 3);
    await Promise.all(pages.map((page) => page.until(LIVE)));
    const [stream] = proxy.streams;
    const reader = await readerAmong(pages);
    await pages[reader].closeTab();
    const left = pages.filter((_, index) => index !== reader);
    await until(() => !proxy.streams.has(stream) && proxy.streams.size === 1, 'another stream');
    const id = await left.at(-1).evaluate(openSession('after the change'));
    await Promise.all(left.map((page) => page.until(hasRow(id))));
    await left[0].evaluate(endSession(id));
    await left[0].close();
  }));

test('a tab that the browser has frozen does not keep the others from the list', () =>
  withProxy(async (proxy) => {
    const pages = await tabs(proxy.url, 2);
    await Promise.all(pages.map((page) => page.until(LIVE)));
    const reader = await readerAmong(pages);
    await pages[reader].setFrozen(true);
    const late = await browser.page({ beside: pages[0] });
    await late.open(`${proxy.url}/`);
    await late.until(LIVE);
    const id = await late.evaluate(openSession('while one is frozen'));
    await Promise.all([late, pages[1 - reader]].map((page) => page.until(hasRow(id))));
    await pages[reader].setFrozen(false);
    await pages[reader].until(hasRow(id));
    await until(() => proxy.streams.size === 1, 'one stream');
    await late.evaluate(endSession(id));
    await late.close();
  }));

test('where tabs cannot find each other, a hidden one lets go of its stream', () =>
  withProxy(async (proxy) => {
    const options = { before: NO_LOCKS, mayHide: true };
    const first = await browser.page(options);
    await first.open(`${proxy.url}/`);
    await first.until(LIVE);
    const second = await browser.page({ ...options, beside: first });
    await second.open(`${proxy.url}/`);
    await second.show();
    await second.until(LIVE);
    await first.until('document.hidden');
    await until(() => proxy.streams.size === 1, 'the hidden tab has let go');
    await first.show();
    await first.until(`!document.hidden && ${LIVE}`);
    const id = await first.evaluate(openSession('seen again'));
    await first.until(hasRow(id));
    await first.evaluate(endSession(id));
    await first.close();
  }));
