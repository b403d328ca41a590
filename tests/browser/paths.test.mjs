/**
 * The console behind a path, on a network that stops carrying UDP, and in a browser of 2023:
 * `GAMESERVER_URL` names a running server.
 *
 *     node --test tests/browser/paths.test.mjs
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from './chromium.mjs';
import { Proxy } from './proxy.mjs';

const SERVER = (process.env.GAMESERVER_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
const IN_MATCH = 'window.gameserver?.own';
const OF_2023 = 'delete AbortSignal.any; delete URLSearchParams.prototype.size;';
/** The id of a match that four bots play. */
const PLAYED_BY_BOTS = `Array.from(document.querySelectorAll('[data-testid="session-row"]')).find(
  (row) => row.querySelector('.state.running') && /players4\\//.test(row.textContent))?.dataset.id`;

let browser;
before(async () => {
  browser = await Chromium.launch();
});
after(async () => {
  await browser?.close();
});

async function withProxy(options, run) {
  const proxy = await Proxy.start(SERVER, options);
  const page = await browser.page({ before: options.before ?? '' });
  try {
    await run(page, proxy);
    assert.deepEqual(page.complaints, []);
  } finally {
    await page.close();
    proxy.stop();
  }
}

test('behind a path every link, file and call of the console stays behind it', () =>
  withProxy({ prefix: '/games' }, async (page, proxy) => {
    await page.open(`${proxy.url}/`);
    const links = 'Array.from(document.querySelectorAll("a[href]"), ({ href }) => href)';
    await page.until('document.querySelector(\'[data-testid="session-row"]\')');
    for (const link of await page.evaluate(links)) {
      assert.ok(link.startsWith(`${proxy.url}/`), link);
    }
    const status = 'fetch(document.querySelector("nav a:last-child").href).then((a) => a.status)';
    assert.equal(await page.evaluate(status), 200, 'the API page is there');
    await page.click('play-now');
    await page.until(IN_MATCH);
    await page.click('leave');
    // The match that was just left may be over before it is watched; one with bots goes on.
    const session = await page.until(PLAYED_BY_BOTS);
    await page.open(`${proxy.url}/sdk/examples/watch.html?session=${session}`);
    await page.until('/snapshots\\/s/.test(document.getElementById("says").textContent)');
  }));

test('a browser of 2023 lists, filters and plays', () =>
  withProxy({ before: OF_2023 }, async (page, proxy) => {
    await page.open(`${proxy.url}/`);
    const list = 'document.querySelector(\'[data-testid="list-state"]\')';
    await page.until(`${list}?.textContent === "Live"`);
    await page.click('play-now');
    await page.until(IN_MATCH);
    assert.ok(
      proxy.calls.some((call) => call.startsWith('GET /api/v1/sessions?game=arena')),
      'the filter is sent',
    );
  }));

test('a page without a server says so, promises nothing, and offers to try again', async () => {
  const proxy = await Proxy.start(SERVER);
  const page = await browser.page();
  try {
    await page.open(`${proxy.url}/`);
    await page.until('document.querySelector(\'[data-testid="session-row"]\')');
    proxy.stop();
    await page.evaluate('location.hash = "#/play/00000000-0000-4000-8000-000000000000"');
    const failure = 'document.querySelector(\'[data-testid="failure"]\')';
    assert.match(await page.until(`${failure}?.textContent`), /cannot be reached/);
    assert.doesNotMatch(await page.evaluate(`${failure}.textContent`), /tries again/);
    const primary = `${failure}.querySelector('.primary').textContent`;
    assert.equal(await page.evaluate(primary), 'Try again');
    await page.evaluate('location.hash = "#/"');
    await page.until('/This page tries again/.test(document.body.textContent)');
  } finally {
    await page.close();
    proxy.stop();
  }
});

test('when UDP stops in a match the seat goes on over WebSocket, and returns with UDP', () =>
  withProxy({ relaysUdp: true }, async (page, proxy) => {
    await page.open(`${proxy.url}/`);
    await page.click('play-now');
    await page.until(`${IN_MATCH} && window.gameserver.transport === 'webtransport'`);
    const { seat } = await page.evaluate('window.gameserver');
    proxy.isCut = true;
    const cutMs = Date.now();
    await page.until('window.gameserver.transport === "websocket"', 5_000);
    const tookMs = Date.now() - cutMs;
    console.log(`over WebSocket ${tookMs} ms after the last datagram`);
    assert.ok(tookMs < 4_000, `${tookMs} ms`);
    const { tick } = await page.evaluate('window.gameserver');
    await page.until(`window.gameserver.tick > ${tick} && window.gameserver.own`);
    assert.equal((await page.evaluate('window.gameserver')).seat, seat, 'the same seat');
    assert.equal(proxy.calls.filter((call) => call.endsWith('/join')).length, 1, 'no new ticket');
    proxy.isCut = false;
    await page.until('window.gameserver.transport === "webtransport"', 40_000);
    const back = await page.evaluate('window.gameserver');
    assert.equal(back.seat, seat);
    await page.until(`window.gameserver.tick > ${back.tick + 30} && window.gameserver.own`);
    assert.equal(proxy.calls.filter((call) => call.endsWith('/join')).length, 1);
    const banner = 'document.querySelector(\'[data-testid="banner"]\').hidden';
    await page.until(`${banner} || window.gameserver.life % 2 === 1`);
  }));
