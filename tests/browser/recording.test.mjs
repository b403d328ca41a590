/**
 * The page of `gameserver replay serve` in a real browser: `RECORDING_URL` names it.
 *
 *     node --test tests/browser/recording.test.mjs
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chromium } from './chromium.mjs';

const PAGE = process.env.RECORDING_URL ?? 'http://127.0.0.1:8090/';
const SIZES = [{}, { scheme: 'dark' }, { width: 390, height: 844, isPhone: true }];

test('the page plays the recording at once, fits the window and complains of nothing', async () => {
  const browser = await Chromium.launch();
  try {
    for (const size of SIZES) await plays(await browser.page(size));
  } finally {
    await browser.close();
  }
});

async function plays(page) {
  await page.open(PAGE);
  await page.until('window.gameserver?.others.length > 0 && window.gameserver.isPlaying');
  const { firstTick, lastTick } = await page.evaluate('window.gameserver');
  await page.until(`window.gameserver.tick > ${firstTick} + 30`);
  const seek = (tick) =>
    page.evaluate(`(() => {
      const position = document.querySelector('[data-testid="replay-position"]');
      position.value = ${tick};
      position.dispatchEvent(new Event('input'));
    })()`);
  const phase = 'document.querySelector(\'[data-testid="phase"]\').textContent';
  const middle = Math.round((firstTick + lastTick) / 2);
  await seek(middle);
  await page.until(`window.gameserver.tick >= ${middle} && ${phase} !== ''`);
  assert.doesNotMatch(await page.evaluate(phase), /\d/, 'there is one clock');
  await seek(lastTick);
  await page.until('!window.gameserver.isPlaying');
  const text = (testid) =>
    page.evaluate(`document.querySelector('[data-testid="${testid}"]').textContent`);
  const [at, whole] = (await text('replay-time')).split(' / ');
  assert.equal(at, whole, 'it plays to its end');
  const [content, window] = await page.evaluate(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  assert.ok(content <= window, `${content} px wide in ${window}`);
  const links = await page.evaluate('document.querySelectorAll("header a, main a").length');
  assert.equal(links, 0, 'there is no other page to go to');
  assert.deepEqual(page.complaints, []);
  await page.close();
}
