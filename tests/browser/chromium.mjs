/**
 * Drives headless Chromium over the DevTools protocol, through a pipe: no packages, no port.
 *
 * As much of it as the console's tests need: pages, evaluation, keys, pointer, screenshots, and
 * everything that a page complains about.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const NAMES = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'];
const ANSWER_MS = 20_000;
const POLL_MS = 50;
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--remote-debugging-pipe',
  '--no-first-run',
  '--no-proxy-server',
  // Containers often have 64 MB of shared memory, which ends a page in the middle of a test.
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--hide-scrollbars',
  '--mute-audio',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/** A running browser. End it with `close`. */
export class Chromium {
  #process;
  #folder;
  #next = 1;
  #answers = new Map();
  #listeners = new Map();

  /** @returns {Promise<Chromium>} @throws when no Chromium can be started. */
  static async launch() {
    for (const name of NAMES.filter(Boolean)) {
      const browser = new Chromium();
      if (await browser.#start(name)) return browser;
    }
    throw new Error('no Chromium: install it, or name it in the variable CHROMIUM');
  }

  async #start(name) {
    this.#folder = await mkdtemp(path.join(tmpdir(), 'console-test-'));
    const flags = [...FLAGS, `--user-data-dir=${this.#folder}`, 'about:blank'];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    this.#process = spawn(name, flags, { stdio, detached: true });
    const isThere = await new Promise((resolve) => {
      this.#process.once('error', () => resolve(false));
      this.#process.once('spawn', () => resolve(true));
    });
    if (!isThere) {
      await rm(this.#folder, { recursive: true, force: true });
      return false;
    }
    let rest = '';
    this.#process.stdio[3].on('error', () => {});
    this.#process.stdio[4].setEncoding('utf8').on('data', (chunk) => {
      const messages = (rest + chunk).split('\0');
      rest = messages.pop();
      messages.forEach((message) => this.#received(JSON.parse(message)));
    });
    return true;
  }

  /**
   * A new page in a profile of its own, with nothing in its storage.
   *
   * @param {{width?: number, height?: number, isPhone?: boolean, scheme?: 'light' | 'dark',
   *   before?: string, beside?: Page, mayHide?: boolean}} [options] `before` is script that runs
   *   ahead of the page's own; `beside` is a page to share the profile with; a page that `mayHide`
   *   knows when another one is in front.
   */
  async page({
    width = 1280,
    height = 800,
    isPhone = false,
    scheme = 'light',
    before = '',
    beside = null,
    mayHide = false,
  } = {}) {
    const { browserContextId } =
      beside === null
        ? await this.send('Target.createBrowserContext')
        : { browserContextId: beside.contextId };
    const url = 'about:blank';
    const { targetId } = await this.send('Target.createTarget', { url, browserContextId });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, browserContextId, targetId);
    this.#listeners.set(sessionId, page);
    await page.send('Page.enable');
    await page.send('Runtime.enable');
    await page.send('Log.enable');
    const metrics = { width, height, deviceScaleFactor: isPhone ? 2 : 1, mobile: isPhone };
    await page.send('Emulation.setDeviceMetricsOverride', metrics);
    await page.send('Emulation.setTouchEmulationEnabled', { enabled: isPhone });
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await page.send('Emulation.setEmulatedMedia', { features });
    // Pages that are not in front would otherwise draw nothing.
    await page.send('Emulation.setFocusEmulationEnabled', { enabled: !mayHide });
    if (before) await page.send('Page.addScriptToEvaluateOnNewDocument', { source: before });
    return page;
  }

  /** @param {string} method @param {object} [params] @param {string} [sessionId] */
  send(method, params = {}, sessionId = undefined) {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), ANSWER_MS);
      this.#answers.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      });
      this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #received(message) {
    if (message.id === undefined) {
      this.#listeners.get(message.sessionId)?.onEvent(message.method, message.params);
      return;
    }
    this.#answers.get(message.id)?.(message);
    this.#answers.delete(message.id);
  }

  async close() {
    const isGone = new Promise((resolve) => {
      this.#process.once('exit', resolve);
    });
    await this.send('Browser.close').catch(() => {});
    await isGone;
    // The browser's helpers may still be writing for a moment.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** One tab. */
class Page {
  constructor(browser, sessionId, contextId, targetId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.contextId = contextId;
    this.targetId = targetId;
    /** Errors and warnings of the page, as texts. */
    this.complaints = [];
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  onEvent(method, params) {
    if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      this.complaints.push(exception?.description ?? text);
    } else if (
      method === 'Runtime.consoleAPICalled' &&
      ['error', 'warning'].includes(params.type)
    ) {
      this.complaints.push(
        params.args.map(({ value, description }) => value ?? description).join(' '),
      );
    } else if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    }
  }

  /** Closes the tab alone. */
  async closeTab() {
    await this.browser.send('Target.closeTarget', { targetId: this.targetId });
  }

  /** Stops the tab, or lets it go on, as browsers do with those in the background. */
  async setFrozen(isFrozen) {
    await this.send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' });
  }

  /** Shows the tab in front of the others of its window. */
  async show() {
    await this.send('Page.bringToFront');
  }

  /** Closes the tab and forgets its profile. */
  async close() {
    await this.browser.send('Target.disposeBrowserContext', { browserContextId: this.contextId });
  }

  async open(url) {
    await this.send('Page.navigate', { url });
  }

  /** The value of an expression, awaited. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
    return result.value;
  }

  /** Waits until an expression is true, and gives its value. */
  async until(expression, timeoutMs = 15_000) {
    const endMs = Date.now() + timeoutMs;
    for (;;) {
      const value = await this.evaluate(expression).catch(() => undefined);
      if (value) return value;
      if (Date.now() > endMs) throw new Error(`never true: ${expression}`);
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
    }
  }

  /** Waits for the element with this data-testid and clicks it. */
  async click(testid) {
    const element = `document.querySelector('[data-testid="${testid}"]')`;
    await this.until(`${element} && !${element}.disabled`);
    await this.evaluate(`${element}.click()`);
  }

  /** Presses or releases a key, by its code and its name. */
  async key(type, code, key = code) {
    await this.send('Input.dispatchKeyEvent', { type, code, key });
  }

  async pointer(type, x, y, button = 'none') {
    await this.send('Input.dispatchMouseEvent', { type, x, y, button, clickCount: 1 });
  }

  /** @returns {Promise<Buffer>} PNG of what is visible. */
  async screenshot() {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }
}
