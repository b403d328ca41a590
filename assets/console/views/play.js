/** Playing arena: the own fighter answers at once, everybody else is shown as the server tells. */
import { connect } from '../sdk/src/index.js';
import { api, notifyError } from '../context.js';
import { sentenceForMatchEnd } from '../ends.js';
import { h, setText } from '../dom.js';
import { sessionToPlay } from '../lobby.js';
import { ArenaInput } from '../arena/input.js';
import { Predictor } from '../arena/predict.js';
import { expose, MatchPage, replayLink, resultTable } from './match-page.js';

const NEUTRAL = [0, 0, 0, 0];
const AIM_STEPS = 65_536;
const CHAT_MAX = 200;
const RESTING_TICKS = 12;

export async function playView(place, sessionId, isCurrent) {
  const join = () => api.join(sessionId, { role: 'player' });
  const match = await connect(await join(), {
    neutralInput: NEUTRAL,
    rejoin: join,
    build: 'console',
  });
  if (!isCurrent()) return () => match.leave();
  const playing = new Playing(place, sessionId, match);
  expose(() => playing.state());
  return () => playing.close();
}

class Playing {
  constructor(place, sessionId, match) {
    this.sessionId = sessionId;
    this.match = match;
    this.shown = [];
    this.own = null;
    this.isClosed = false;
    this.makeHud();
    this.page = new MatchPage(place, {
      label:
        'The arena. W, A, S, D or arrows move, the mouse aims and fires, R reloads, Tab shows ' +
        'the scores, Enter opens the chat, Escape leaves the arena for the buttons.',
      hasBack: false,
      status: [this.hud],
      tools: [this.leaveButton()],
      below: [this.chatForm],
    });
    this.page.canvas.setAttribute('role', 'application');
    this.input = new ArenaInput(this.page.canvas, this.page.renderer, {
      onChat: () => this.chatInput.focus(),
      onScores: (isShown) => this.page.enlargeScores(isShown),
      onEscape: () => this.leave.focus(),
    });
    this.listen();
    this.started();
    requestAnimationFrame(() => this.page.canvas.focus({ preventScroll: true }));
    this.page.animate((nowMs) => this.draw(nowMs));
  }

  makeHud() {
    this.health = h('meter', {
      min: 0,
      max: 100,
      low: 30,
      high: 60,
      optimum: 100,
      'aria-label': 'Health',
    });
    this.healthText = h('span', { 'data-testid': 'health' });
    this.ammunition = h('span', { class: 'ammunition', 'data-testid': 'ammunition' });
    this.hud = h('div', { class: 'hud' }, this.health, this.healthText, this.ammunition);
    this.chatInput = h('input', {
      name: 'chat',
      maxlength: CHAT_MAX,
      placeholder: 'Say something (Enter)',
      autocomplete: 'off',
      'aria-label': 'Chat',
      'data-testid': 'chat',
      onkeydown: (event) => {
        if (event.key === 'Escape') this.page.canvas.focus();
      },
    });
    this.chatForm = h(
      'form',
      { class: 'chat', onsubmit: (event) => this.chat(event) },
      this.chatInput,
      h('button', { type: 'submit' }, 'Send'),
    );
  }

  leaveButton() {
    this.leave = h('a', { class: 'button', href: '#/', 'data-testid': 'leave' }, 'Leave');
    const watch = h('a', { class: 'button', href: `#/watch/${this.sessionId}` }, 'Watch');
    return h('span', { class: 'row' }, watch, this.leave);
  }

  listen() {
    const { match, page } = this;
    match.on('start', () => this.started());
    match.on('tick', ({ tick, input }) => this.predictor.onInput(tick, input, performance.now()));
    match.on('snapshot', () => this.reconcile());
    match.on('event', (event) => {
      page.roster.onEvent(event);
      if (event.name === 'over') this.over({ name: 'match_over', text: '' });
    });
    match.on('stats', (stats) => page.network.update(stats));
    match.on('reconnecting', () =>
      page.say('The connection broke. Your seat is kept, coming back …'),
    );
    match.on('close', (end) => {
      if (!this.isClosed) this.over(end);
    });
  }

  /** Tells how it ended: as soon as the result is known, and when the connection ends. */
  over(end) {
    const { match, page, sessionId } = this;
    const text = sentenceForMatchEnd(page.roster, match.seat, end);
    const recording = end.name === 'match_over' ? [replayLink(sessionId)] : [];
    page.say(text, resultTable(page.roster, match.seat), playAgain(recording));
  }

  started() {
    const { match, page } = this;
    page.say('');
    page.ownSeat = match.seat;
    page.setConfig(match.config, match.welcome.tickRate);
    const tickAt = (nowMs) => match.inputTick(nowMs);
    this.predictor = new Predictor(match.config, match.welcome.tickRate, tickAt);
  }

  reconcile() {
    const own = this.match
      .latest()
      .find(({ seat, kind }) => kind === 'fighter' && seat === this.match.seat);
    this.own = own ?? null;
    if (!own) return;
    // A state without news for longer is not late: the fighter stands still.
    const isCurrent = this.match.tick - own.tick > RESTING_TICKS;
    const tick = isCurrent ? this.match.tick : own.tick;
    this.predictor.onSnapshot(tick, own, performance.now());
  }

  draw(nowMs) {
    const { match, page, predictor } = this;
    const shown = predictor.shown(nowMs);
    const input = this.input.read(shown);
    match.sendInput(input);
    this.shown = match.entities().filter(({ kind }) => kind === 'fighter');
    page.roster.onFighters(this.shown);
    const fighters = this.shown.map((fighter) => {
      if (fighter.seat !== match.seat || shown === null || this.own === null) return fighter;
      // The own fighter is drawn where it will be; its state is the newest known.
      return { ...this.own, ...shown, aim: input[2] / AIM_STEPS };
    });
    page.renderer.draw(
      {
        fighters,
        ownSeat: match.seat,
        follow: shown,
        nameOf: (seat) => page.roster.nameOf(seat),
        sticks: this.input.sticks.values(),
      },
      nowMs,
    );
    page.showPhase(match.tick);
    this.showHud();
  }

  showHud() {
    const { own } = this;
    this.hud.hidden = own === null;
    if (own === null) return;
    this.health.max = this.match.config.life?.health_max ?? 100;
    this.health.value = own.health;
    setText(this.healthText, String(own.health));
    const magazine = this.match.config.weapon?.magazine ?? '';
    const ammunition = own.reloading ? 'Reloading …' : `${own.ammunition}/${magazine}`;
    setText(this.ammunition, own.ammunition === undefined ? '' : ammunition);
    const isOver = this.match.end !== null || this.page.roster.result !== null;
    if (isOver || this.page.banner.dataset.text?.includes('connection')) return;
    const isDead = own.life % 2 === 1;
    this.page.say(isDead ? 'You were hit. Back in a moment …' : '');
  }

  chat(event) {
    event.preventDefault();
    const text = this.chatInput.value.trim();
    if (text !== '' && !this.match.chat(text)) {
      this.page.roster.say('note', 'That message is too long.', null);
      return;
    }
    this.chatInput.value = '';
    this.page.canvas.focus();
  }

  state() {
    const { match, predictor } = this;
    const shown = predictor.shown(performance.now());
    return {
      view: 'play',
      session: this.sessionId,
      transport: match.stats.transport,
      config: match.config,
      tick: match.tick,
      phase: this.page.roster.phase,
      seat: match.seat,
      life: this.own?.life ?? null,
      own: shown,
      confirmed: this.own && { x: this.own.x, y: this.own.y },
      corrections: predictor.corrections,
      stats: match.stats,
      others: this.shown
        .filter(({ seat }) => seat !== match.seat)
        .map(({ seat, x, y }) => ({ seat, x, y })),
    };
  }

  close() {
    this.isClosed = true;
    this.input.close();
    this.page.close();
    this.match.leave();
    delete window.gameserver;
  }
}

function playAgain(links) {
  const again = async (event) => {
    event.target.disabled = true;
    try {
      location.hash = `#/play/${(await sessionToPlay()).id}`;
    } catch (error) {
      event.target.disabled = false;
      notifyError(error);
    }
  };
  return h(
    'div',
    { class: 'row' },
    h(
      'button',
      { type: 'button', class: 'primary', onclick: again, 'data-testid': 'play-again' },
      'Play again',
    ),
    ...links,
    h('a', { class: 'button', href: '#/' }, 'All sessions'),
  );
}
