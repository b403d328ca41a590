/**
 * The console in a real browser against a running server: `GAMESERVER_URL`, by default a
 * `gameserver dev` of this machine.
 *
 *     node --test tests/browser
 *
 * `EXPECT_TRANSPORT=websocket` for a server that offers no WebTransport. `CHROMIUM` names another
 * browser.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from './chromium.mjs';
import { Route } from './route.mjs';

const SERVER = (process.env.GAMESERVER_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
const TRANSPORT = process.env.EXPECT_TRANSPORT ?? 'webtransport';
const PHONE = { width: 390, height: 844, isPhone: true };
const SCREENS = [{}, PHONE, { width: 844, height: 390, isPhone: true }];
const KEYS = { right: 'KeyD', left: 'KeyA', up: 'KeyW', down: 'KeyS' };
const NO_WEBTRANSPORT = 'delete window.WebTransport';
const IN_MATCH = 'window.gameserver?.own';
const MEETING = { x: 15, y: 10 };
/** Closer than this, nothing hides two fighters from each other. */
const MEETING_M = 2.5;
const STEP_MS = 120;
const WALK_STEPS_MAX = 300;

let browser;
before(async () => {
  browser = await Chromium.launch();
});
after(async () => {
  await browser?.close();
});

const pause = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

async function inPages(options, run) {
  const pages = await Promise.all(options.map((one) => browser.page(one)));
  try {
    await run(...pages);
    for (const page of pages) assert.deepEqual(page.complaints, []);
  } finally {
    await Promise.all(pages.map((page) => page.close()));
  }
}

async function playNow(page) {
  await page.open(SERVER);
  await page.click('play-now');
  return page.until(IN_MATCH);
}

/** Opens a match that nobody else is in, and plays in it. */
async function openPractice(page) {
  await page.open(SERVER);
  const mode = 'document.querySelector(\'[data-testid="new-mode"]\')';
  await page.until(`[...${mode}?.options ?? []].some(({ value }) => value === 'practice')`);
  await page.evaluate(`${mode}.value = 'practice'`);
  await page.click('new-match');
  return page.until(IN_MATCH);
}

/** Shows the matches that are over, on the first page. */
function showEnded(page) {
  return page.evaluate(`(() => {
    const scope = document.querySelector('[data-testid="session-scope"]');
    scope.value = 'ended';
    scope.dispatchEvent(new Event('change'));
  })()`);
}

const state = (page) => page.evaluate('window.gameserver');

async function hold(page, directions, ms) {
  for (const direction of directions) await page.key('keyDown', KEYS[direction]);
  await pause(ms);
  for (const direction of directions) await page.key('keyUp', KEYS[direction]);
}

/** Walks to a place around the walls, with shorter steps the nearer it is. */
async function walkTo(page, goal) {
  let { own, config } = await state(page);
  const route = new Route(config, goal);
  const speed = config.movement.speed_max_m_per_s;
  for (let step = 0; step < WALK_STEPS_MAX; step += 1) {
    const far = Math.hypot(own.x - goal.x, own.y - goal.y);
    if (far < MEETING_M / 2) return;
    await hold(page, route.keysAt(own), Math.min(STEP_MS, (far / speed) * 500));
    ({ own } = await state(page));
  }
  assert.fail(`never got from ${JSON.stringify(own)} to the meeting point`);
}

function colours(page) {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('[data-testid="canvas"]');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) {
      seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    }
    return seen.size;
  })()`);
}

async function assertFits(page, name) {
  const [content, window] = await page.evaluate(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  assert.ok(content <= window, `${name}: ${content} px wide in ${window}`);
}

test('one click leads into a match, over the best transport, and it is drawn', () =>
  inPages([{}], async (page) => {
    await playNow(page);
    assert.equal((await state(page)).transport, TRANSPORT);
    await page.until(
      'window.gameserver.stats.snapshotsPerS > 5 && window.gameserver.stats.rttMs > 0',
    );
    const shown = (id) =>
      page.evaluate(`document.querySelector('[data-testid="net-${id}"]').textContent`);
    assert.equal(await shown('transport'), TRANSPORT);
    assert.match(await shown('rtt'), /^\d+(\.\d)? ms$/);
    assert.ok((await colours(page)) >= 5, 'something is drawn');
    // Two seconds of samples are a line over the whole width already.
    await page.until(`(() => {
      const spark = document.querySelector('[data-testid="net-snapshots"]').previousSibling;
      const { width, height } = spark;
      const copy = Object.assign(document.createElement('canvas'), { width, height });
      const pen = copy.getContext('2d', { willReadFrequently: true });
      pen.drawImage(spark, 0, 0);
      const hasInk = (x) => pen.getImageData(x, 0, 2, height).data.some(Boolean);
      return [0, Math.floor(width / 2), width - 2].every(hasInk);
    })()`);
  }));

test('without WebTransport the game goes over WebSocket', () =>
  inPages([{ before: NO_WEBTRANSPORT }], async (page) => {
    const start = await playNow(page);
    assert.equal((await state(page)).transport, 'websocket');
    assert.ok(Number.isFinite(start.x));
  }));

test('two players in one match see each other move', () =>
  inPages([{}, {}], async (ann, bob) => {
    await openPractice(ann);
    await bob.open(await ann.evaluate('location.href'));
    await bob.until(IN_MATCH);
    const [first, second] = [await state(ann), await state(bob)];
    assert.equal(first.session, second.session);
    assert.notEqual(first.seat, second.seat);
    await Promise.all([walkTo(ann, MEETING), walkTo(bob, MEETING)]);
    const seenBy = (page, seat) =>
      `window.gameserver.others.find((other) => other.seat === ${seat})`;
    await Promise.all([ann.until(seenBy(ann, second.seat)), bob.until(seenBy(bob, first.seat))]);
    for (const [mover, watcher] of [
      [ann, bob],
      [bob, ann],
    ]) {
      const { seat } = await state(mover);
      const before = await watcher.evaluate(seenBy(watcher, seat));
      await hold(mover, ['up'], 500);
      const moved = `Math.hypot(${seenBy(watcher, seat)}.x - ${before.x},
      ${seenBy(watcher, seat)}.y - ${before.y}) > 1`;
      await watcher.until(moved);
      await pause(500);
      const { own } = await state(mover);
      const seen = await watcher.evaluate(seenBy(watcher, seat));
      assert.ok(Math.hypot(seen.x - own.x, seen.y - own.y) < 0.3, 'both agree where it is');
    }
  }));

test('the own fighter answers before the server does, and is rarely corrected', () =>
  inPages([{}], async (page) => {
    await openPractice(page);
    const before = await state(page);
    for (const direction of ['right', 'up', 'left', 'down']) await hold(page, [direction], 400);
    const later = await state(page);
    const moved = Math.hypot(later.own.x - before.own.x, later.own.y - before.own.y);
    assert.ok(later.tick > before.tick && moved < 6);
    const corrections = later.corrections - before.corrections;
    assert.ok(corrections <= 3, `${corrections} corrections in less than two seconds`);
  }));

test('watching shows fighters that move', () =>
  inPages([{}, {}], async (player, page) => {
    await playNow(player);
    const { session } = await state(player);
    await page.open(SERVER);
    const link = `[data-id="${session}"] [data-testid="watch"]`;
    await page.until(`document.querySelector('${link}')`);
    await page.evaluate(`document.querySelector('${link}').click()`);
    await page.until('window.gameserver?.others.length > 0');
    await hold(player, ['right'], 100);
    const places = 'JSON.stringify(window.gameserver.others)';
    const before = await page.evaluate(places);
    for (const direction of ['right', 'up', 'left', 'down']) await hold(player, [direction], 200);
    await page.until(`${places} !== ${JSON.stringify(before)}`);
    assert.ok((await colours(page)) >= 5, 'something is drawn');
  }));

test('chat reaches the others', () =>
  inPages([{}, {}], async (ann, bob) => {
    await openPractice(ann);
    await bob.open(await ann.evaluate('location.href'));
    await bob.until(IN_MATCH);
    await ann.evaluate(`(() => {
    const input = document.querySelector('[data-testid="chat"]');
    input.value = 'hello from ann';
    input.form.requestSubmit();
  })()`);
    await bob.until(
      'document.querySelector(\'[data-testid="feed"]\').textContent.includes("hello from ann")',
    );
  }));

test('a match that its host has ended can be watched again', () =>
  inPages([{}], async (page) => {
    await openPractice(page);
    const { session } = await state(page);
    await hold(page, ['right', 'up'], 1500);
    await page.click('leave');
    const row = `document.querySelector('[data-id="${session}"]')`;
    await page.until(`${row}?.querySelector('[data-testid="end"]')`);
    await page.evaluate(`${row}.querySelector('[data-testid="end"]').click()`);
    await page.until(`!${row}`);
    await showEnded(page);
    await page.until(`${row}?.querySelector('[data-testid="replay"]')`);
    await page.evaluate(`${row}.querySelector('[data-testid="replay"]').click()`);
    await page.until('window.gameserver?.view === "replay" && window.gameserver.others.length > 0');
    await page.evaluate(`(() => {
    const position = document.querySelector('[data-testid="replay-position"]');
    position.value = window.gameserver.lastTick - 1;
    position.dispatchEvent(new Event('input'));
  })()`);
    await page.until('window.gameserver.tick >= window.gameserver.lastTick - 1');
    assert.ok((await colours(page)) >= 5, 'something is drawn');
  }));

test('a match that was stopped is told as such, with a way to its recording', async () => {
  const page = await browser.page();
  try {
    await openPractice(page);
    const { session } = await state(page);
    await page.evaluate(`import('./context.js').then(({ api }) => api.end('${session}'))`);
    const banner = 'document.querySelector(\'[data-testid="banner"]\')';
    await page.until(`/ended before it was decided/.test(${banner}.textContent)`);
    await page.click('watch-replay');
    // It is not shown at once, and asked for again: that is all the page may complain of.
    await page.until('window.gameserver?.view === "replay" && window.gameserver.others.length > 0');
    const others = page.complaints.filter((text) => !/409.*\/replay$/.test(text));
    assert.deepEqual(others, []);
  } finally {
    await page.close();
  }
});

test('nothing lies over the map, on any screen, and a phone on its side shows all of it', () =>
  inPages(SCREENS, async (...pages) => {
    for (const [index, page] of pages.entries()) {
      await openPractice(page);
      const name = JSON.stringify(SCREENS[index]);
      const covered = await page.evaluate(`(() => {
        const box = document.querySelector('[data-testid="canvas"]').getBoundingClientRect();
        const overlaps = (other) => {
          const { left, right, top, bottom } = other.getBoundingClientRect();
          return right > box.left && left < box.right && bottom > box.top && top < box.bottom;
        };
        const others = document.querySelectorAll('.hud, .feed, .match-bar, .side, .chat, .top');
        return Array.from(others).filter(overlaps).map(({ className }) => className);
      })()`);
      assert.deepEqual(covered, [], name);
      const bottom = await page.evaluate(
        'document.querySelector(\'[data-testid="canvas"]\').getBoundingClientRect().bottom',
      );
      const { height } = { height: 800, ...SCREENS[index] };
      assert.ok(bottom <= height, `${name}: the map ends at ${bottom} px`);
    }
  }));

test('the scores that Tab shows move nothing else', () =>
  inPages([{}], async (page) => {
    await openPractice(page);
    const top =
      'document.querySelector(\'[data-testid="network-panel"]\').getBoundingClientRect().top';
    const before = await page.evaluate(top);
    await page.key('keyDown', 'Tab');
    await page.until('document.querySelector(".enlarged")');
    assert.equal(await page.evaluate(top), before);
    await page.key('keyUp', 'Tab');
    await page.until('!document.querySelector(".enlarged")');
    assert.equal(await page.evaluate(top), before);
  }));

test('rows of the list stand in columns, and new matches are of games that have a page', () =>
  inPages([{}], async (page) => {
    await openPractice(page);
    await page.click('leave');
    await page.until('document.querySelector(\'[data-testid="end"]\')');
    await page.until('document.querySelectorAll(".session").length > 1');
    const lefts = await page.evaluate(`
      Array.from(document.querySelectorAll('.fact.players'), (fact) =>
        fact.getBoundingClientRect().left)`);
    assert.equal(new Set(lefts).size, 1, String(lefts));
    const list = 'document.querySelector(\'[data-testid="new-game"]\')';
    const games = await page.evaluate(`Array.from(${list}.options, ({ value }) => value)`);
    assert.deepEqual(games, ['arena']);
  }));

test('a phone shows every page without scrolling sideways', () =>
  inPages([PHONE], async (page) => {
    await page.open(SERVER);
    await page.until('document.querySelector(\'[data-testid="session-row"]\')');
    await assertFits(page, 'sessions');
    for (const link of ['#/', '#/replay', 'docs/']) {
      const width = `document.querySelector('nav a[href="${link}"]').offsetWidth`;
      assert.ok((await page.evaluate(width)) > 0, `${link} can be reached`);
    }
    await playNow(page);
    await assertFits(page, 'play');
    await page.evaluate('location.hash = `#/watch/${window.gameserver.session}`');
    await page.until('window.gameserver?.view === "watch"');
    await assertFits(page, 'watch');
    await page.evaluate('location.hash = "#/replay"');
    await page.until('document.querySelector(\'[data-testid="replay-file"]\')');
    await assertFits(page, 'replay');
  }));

test('what does not work is told in a sentence, with a way on', async () => {
  const page = await browser.page();
  try {
    await page.open(`${SERVER}/#/play/00000000-0000-4000-8000-000000000000`);
    const failure = 'document.querySelector(\'[data-testid="failure"]\')';
    const text = await page.until(`${failure}?.textContent`);
    assert.match(text, /not here any more/);
    const first = `${failure}.querySelector('.row').firstChild`;
    assert.equal(await page.evaluate(`${first}.getAttribute('href')`), '#/');
    assert.ok(await page.evaluate(`${first}.classList.contains('primary')`), 'it helps');
    assert.doesNotMatch(text, /Try again/, 'nothing changes by that');
  } finally {
    await page.close();
  }
});
