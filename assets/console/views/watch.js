/** Watching a match: all of it or one fighter, now or some seconds later. */
import { connect } from '/sdk/src/index.js';
import { api } from '../context.js';
import { h, select } from '../dom.js';
import { sentenceFor, sentenceForEnd } from '../messages.js';
import { expose, FollowList, MatchPage, resultTable } from './match-page.js';

const DELAYS = [['0', 'live'], ['5', '5 s late'], ['15', '15 s late'], ['30', '30 s late']];
const TEAM_MAX = 255;

export async function watchView(place, sessionId, isCurrent) {
  const watching = new Watching(place, sessionId);
  await watching.connect();
  if (isCurrent()) expose(() => watching.state());
  return () => watching.close();
}

class Watching {
  constructor(place, sessionId) {
    this.sessionId = sessionId;
    this.match = null;
    this.shown = [];
    this.isClosed = false;
    this.attempt = 0;
    this.makeTools();
    this.page = new MatchPage(place, {
      label: 'The match from above',
      tools: [this.follow.element, this.view.element, this.team, this.delay.element, this.play],
    });
    this.page.animate((nowMs) => this.draw(nowMs));
  }

  makeTools() {
    const again = () => this.reconnect();
    this.follow = new FollowList();
    this.view = select('See', [['all', 'everything'], ['team', 'as one team']], {
      onchange: () => {
        this.team.hidden = this.view.list.value === 'all';
        again();
      },
    });
    this.teamInput = h('input', {
      type: 'number', min: 0, max: TEAM_MAX, value: 0, onchange: again,
    });
    this.team = h('label', { class: 'field', hidden: true }, h('span', {}, 'Team'), this.teamInput);
    this.delay = select('Delay', DELAYS, { onchange: again, 'data-testid': 'delay' });
    this.play = h('a', { class: 'button', href: `#/play/${this.sessionId}` }, 'Play');
  }

  joinBody() {
    const view = this.view.list.value;
    const body = { role: 'spectator', view, delay_s: Number(this.delay.list.value) };
    return view === 'team' ? { ...body, team: Number(this.teamInput.value) } : body;
  }

  async connect() {
    this.attempt += 1;
    const { attempt } = this;
    const isOld = () => this.isClosed || attempt !== this.attempt;
    const join = () => api.join(this.sessionId, this.joinBody());
    const match = await connect(await join(), { rejoin: join, build: 'console' });
    if (isOld()) {
      match.leave();
      return;
    }
    this.match = match;
    this.page.say('');
    const start = () => {
      this.page.setConfig(match.config, match.welcome.tickRate);
      this.page.say('');
    };
    start();
    match.on('start', start);
    match.on('event', (event) => this.page.roster.onEvent(event));
    match.on('stats', (stats) => this.page.network.update(stats));
    match.on('reconnecting', () => {
      if (!isOld()) this.page.say('The connection broke. Coming back …');
    });
    match.on('close', (end) => {
      if (!isOld()) this.over(end);
    });
  }

  async reconnect() {
    this.match?.leave();
    this.match = null;
    this.page.say('Connecting …');
    try {
      await this.connect();
    } catch (error) {
      const again = h('button', { type: 'button', onclick: () => this.reconnect() }, 'Try again');
      this.page.say(sentenceFor(error), again);
    }
  }

  over(end) {
    this.page.say(sentenceForEnd(end), resultTable(this.page.roster),
      h('a', { class: 'button primary', href: '#/' }, 'All sessions'));
  }

  draw(nowMs) {
    if (this.match === null) return;
    this.shown = this.match.entities().filter(({ kind }) => kind === 'fighter');
    const { roster } = this.page;
    roster.onFighters(this.shown);
    this.follow.update(roster);
    const follow = this.follow.pick(this.shown);
    const nameOf = (seat) => roster.nameOf(seat);
    this.page.renderer.draw({ fighters: this.shown, follow, nameOf }, nowMs);
    this.page.showPhase(this.match.tick);
  }

  state() {
    return {
      view: 'watch', session: this.sessionId, transport: this.match?.stats.transport ?? null,
      tick: this.match?.tick ?? 0, phase: this.page.roster.phase, own: null,
      others: this.shown.map(({ seat, x, y }) => ({ seat, x, y })),
    };
  }

  close() {
    this.isClosed = true;
    this.page.close();
    this.match?.leave();
    delete window.gameserver;
  }
}
