/** Replays: of a session that is over, or of a file. */
import { Replay } from '../sdk/src/index.js';
import { api } from '../context.js';
import { clock, h, select, setText } from '../dom.js';
import { sentenceFor } from '../messages.js';
import { expose, MatchPage, PlayerList } from './match-page.js';
import { Roster } from '../arena/roster.js';

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const SKIP_S = 5;
const LONG_SKIP_S = 30;
/** A recording that is not shown yet is asked for again: after this pause, and so often. */
const RETRY_S = 2;
const TRIES_MAX = 150;

function pause(ms, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal.addEventListener('abort', resolve, { once: true });
  });
}

export async function replayView(place, sessionId, isCurrent) {
  let player = null;
  const show = (replay) => {
    if (!isCurrent()) return;
    player?.close();
    place.replaceChildren();
    player = new Player(place, replay);
    expose(() => player.state());
  };
  const left = new AbortController();
  if (sessionId) {
    const loading = progress('Loading the recording …');
    place.append(loading.element);
    // Shown while it loads; the view is up before the replay is.
    load(sessionId, loading, left.signal)
      .then(show)
      .catch((error) => {
        loading.element.replaceWith(picker(show, sentenceFor(error)));
      });
  } else place.append(picker(show, ''));
  return () => {
    left.abort();
    player?.close();
    delete window.gameserver;
  };
}

/** Plays the log at this address of a server that has nothing else. */
export async function recordingView(place, url) {
  const loading = progress('Loading the recording …');
  place.append(loading.element);
  const bytes = await download(url);
  loading.say('Reading the recording …');
  const replay = await Replay.open(bytes, { onProgress: loading.show });
  place.replaceChildren();
  const player = new Player(place, replay, { hasBack: false });
  expose(() => player.state());
}

async function download(url) {
  const response = await fetch(url).catch((cause) => {
    throw Object.assign(new Error('no answer', { cause }), { code: 'network.unreachable' });
  });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Loads a recording; one that is shown only later is waited for. */
async function load(sessionId, loading, signal) {
  const onProgress = (done, total) => loading.show(done / total);
  let bytes = null;
  for (let tries = 1; bytes === null; tries += 1) {
    try {
      bytes = await api.replay(sessionId, { onProgress, signal });
    } catch (error) {
      if (error.code !== 'replay.not_ready' || tries >= TRIES_MAX || signal.aborted) throw error;
      loading.say('The recording is shown when the match is over. This page waits for it …');
      await pause((error.retryAfterS ?? RETRY_S) * 1000, signal);
    }
  }
  loading.say('Reading the recording …');
  return Replay.open(bytes, { onProgress: loading.show });
}

function progress(text) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': text });
  const words = h('p', {}, text);
  return {
    element: h('section', { class: 'panel empty' }, words, bar),
    show: (share) => {
      bar.value = share;
    },
    say: (other) => setText(words, other),
  };
}

/** Asks for a file, by button or by dropping it. */
function picker(show, failure) {
  const error = h('p', { class: 'error', role: 'alert', 'data-testid': 'replay-error' }, failure);
  const open = async (file) => {
    if (!file) return;
    error.textContent = '';
    try {
      show(await Replay.open(new Uint8Array(await file.arrayBuffer())));
    } catch (problem) {
      error.textContent = sentenceFor(problem);
    }
  };
  const input = h('input', {
    type: 'file',
    'aria-label': 'Match log',
    'data-testid': 'replay-file',
    onchange: () => open(input.files[0]),
  });
  const zone = h(
    'section',
    {
      class: 'drop',
      ondragover: (event) => {
        event.preventDefault();
        zone.classList.add('over');
      },
      ondragleave: () => zone.classList.remove('over'),
      ondrop: (event) => {
        event.preventDefault();
        zone.classList.remove('over');
        open(event.dataTransfer.files[0]);
      },
    },
    h('h1', {}, 'Watch a recording'),
    h('p', { class: 'quiet' }, 'Drop a match log here, or pick one. It stays on this computer.'),
    input,
    error,
    h(
      'p',
      { class: 'quiet' },
      'Matches that ended on this server are in the list of ',
      h('a', { href: '#/' }, 'sessions'),
      ', under “ended matches”.',
    ),
  );
  return zone;
}

class Player {
  constructor(place, replay, { hasBack = true } = {}) {
    this.replay = replay;
    this.tick = replay.firstTick;
    this.speed = 1;
    this.isPlaying = true;
    this.lastMs = 0;
    this.toldUntil = -1;
    this.shown = [];
    this.makeTools();
    this.page = new MatchPage(place, {
      label: 'The recording. Space plays and pauses, the arrows go back and forth.',
      hasNetwork: false,
      hasBack,
      tools: [this.facts(), this.follow.element],
      below: [this.timeline()],
    });
    this.page.setConfig(replay.config, replay.header.tickRate);
    this.end = new AbortController();
    const { signal } = this.end;
    document.addEventListener('keydown', (event) => this.key(event), { signal });
    this.page.animate((nowMs) => this.draw(nowMs));
  }

  makeTools() {
    this.follow = new PlayerList('Camera', 'whole map', { 'data-testid': 'follow' });
    this.button = h(
      'button',
      {
        type: 'button',
        'data-testid': 'replay-play',
        onclick: () => this.toggle(),
      },
      'Pause',
    );
    this.range = h('input', {
      type: 'range',
      min: this.replay.firstTick,
      max: this.replay.lastTick,
      step: 1,
      'aria-label': 'Position',
      'data-testid': 'replay-position',
      oninput: () => this.seek(Number(this.range.value)),
    });
    this.output = h('output', { 'data-testid': 'replay-time' });
    const speeds = SPEEDS.map((speed) => [String(speed), `${speed} ×`]);
    this.speeds = select('Speed', speeds, {
      'data-testid': 'replay-speed',
      onchange: () => {
        this.speed = Number(this.speeds.list.value);
      },
    });
    this.speeds.list.value = '1';
  }

  facts() {
    const { game, mode, startedAtMs } = this.replay.header;
    const when = Number.isFinite(startedAtMs) ? new Date(startedAtMs).toLocaleString() : '';
    const cut = this.replay.isComplete ? '' : ' · cut off before its end';
    return h('span', { class: 'quiet' }, `${game} · ${mode} · ${when}${cut}`);
  }

  timeline() {
    return h(
      'div',
      { class: 'timeline' },
      this.button,
      this.range,
      this.output,
      this.speeds.element,
    );
  }

  key(event) {
    const isOurs =
      !event.ctrlKey &&
      !event.metaKey &&
      !event.altKey &&
      !['INPUT', 'SELECT', 'BUTTON', 'A'].includes(event.target.tagName);
    if (!isOurs) return;
    const skip = event.shiftKey ? LONG_SKIP_S : SKIP_S;
    const acts = {
      Space: () => this.toggle(),
      ArrowLeft: () => this.skip(-skip),
      ArrowRight: () => this.skip(skip),
      ArrowUp: () => this.changeSpeed(1),
      ArrowDown: () => this.changeSpeed(-1),
      Home: () => this.seek(this.replay.firstTick),
      End: () => this.seek(this.replay.lastTick),
    };
    if (!(event.code in acts)) return;
    event.preventDefault();
    acts[event.code]();
  }

  toggle() {
    const isAtEnd = this.tick >= this.replay.lastTick;
    if (!this.isPlaying && isAtEnd) this.seek(this.replay.firstTick);
    this.play(!this.isPlaying);
  }

  play(isPlaying) {
    this.isPlaying = isPlaying;
    setText(this.button, isPlaying ? 'Pause' : 'Play');
  }

  skip(seconds) {
    this.seek(this.tick + seconds * this.replay.header.tickRate);
  }

  changeSpeed(by) {
    const index = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, index))];
    this.speeds.list.value = String(this.speed);
  }

  seek(tick) {
    this.tick = Math.max(this.replay.firstTick, Math.min(this.replay.lastTick, tick));
  }

  draw(nowMs) {
    const passedS = Math.min(0.25, (nowMs - this.lastMs) / 1000);
    this.lastMs = nowMs;
    if (this.isPlaying) {
      this.seek(this.tick + passedS * this.speed * this.replay.header.tickRate);
      if (this.tick >= this.replay.lastTick) this.play(false);
    }
    this.tell();
    this.shown = this.replay.entitiesAt(this.tick).filter(({ kind }) => kind === 'fighter');
    const { roster } = this.page;
    roster.onFighters(this.shown);
    this.follow.update(roster);
    const follow = this.follow.pick(this.shown);
    const nameOf = (seat) => roster.nameOf(seat);
    this.page.renderer.draw({ fighters: this.shown, follow, nameOf }, nowMs);
    this.page.showPhaseOnly();
    this.range.value = this.tick;
    const { tickRate } = this.replay.header;
    const at = clock((this.tick - this.replay.firstTick) / tickRate);
    setText(this.output, `${at} / ${clock(this.replay.durationS)}`);
  }

  /** Tells the roster what happened; after going back, from the beginning. */
  tell() {
    const isFar = this.tick < this.toldUntil || this.tick > this.toldUntil + 600;
    if (isFar) {
      this.page.roster = new Roster();
      this.replay.eventsUntil(this.tick).forEach((event) => this.page.roster.onEvent(event));
      // What is long over is no news.
      this.page.roster.feed.length = 0;
    } else {
      this.replay
        .eventsBetween(this.toldUntil, this.tick)
        .forEach((event) => this.page.roster.onEvent(event));
    }
    this.toldUntil = this.tick;
  }

  state() {
    return {
      view: 'replay',
      tick: this.tick,
      isPlaying: this.isPlaying,
      speed: this.speed,
      firstTick: this.replay.firstTick,
      lastTick: this.replay.lastTick,
      own: null,
      others: this.shown.map(({ seat, x, y }) => ({ seat, x, y })),
    };
  }

  close() {
    this.end.abort();
    this.page.close();
  }
}
