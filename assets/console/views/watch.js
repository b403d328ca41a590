/** Watching a match: all of it or one fighter, now or some seconds later. */
import { connect } from '../sdk/src/index.js';
import { api } from '../context.js';
import { sentenceForMatchEnd } from '../ends.js';
import { h, select } from '../dom.js';
import { sentenceFor } from '../messages.js';
import { expose, MatchPage, PlayerList, replayLink, resultTable } from './match-page.js';

const DELAYS = [
  ['0', 'live'],
  ['5', '5 s late'],
  ['15', '15 s late'],
  ['30', '30 s late'],
];

export async function watchView(place, sessionId, isCurrent) {
  const watching = new Watching(place, sessionId);
  try {
    await watching.connect();
  } catch (error) {
    watching.close();
    throw error;
  }
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
    /** Team to look through the eyes of when the match shows no more than that. */
    this.fallbackTeam = null;
    this.makeTools();
    this.page = new MatchPage(place, {
      label: 'The match from above',
      tools: [this.follow.element, this.eyes.element, this.delay.element, this.play],
    });
    this.page.animate((nowMs) => this.draw(nowMs));
  }

  makeTools() {
    const again = () => this.reconnect();
    this.follow = new PlayerList('Camera', 'whole map', { 'data-testid': 'follow' });
    // In modes without teams a seat is a team.
    this.eyes = new PlayerList('Eyes', 'everybody’s', { onchange: again, 'data-testid': 'eyes' });
    this.delay = select('Delay', DELAYS, { onchange: again, 'data-testid': 'delay' });
    this.play = h('a', { class: 'button', href: `#/play/${this.sessionId}` }, 'Play');
  }

  joinBody() {
    const body = { role: 'spectator', delay_s: Number(this.delay.list.value) };
    const team = this.eyes.seat ?? this.fallbackTeam;
    return team === null ? { ...body, view: 'all' } : { ...body, view: 'team', team };
  }

  async join() {
    let answer;
    try {
      answer = await api.join(this.sessionId, this.joinBody());
    } catch (error) {
      if (error.code !== 'session.view_not_allowed' || this.fallbackTeam !== null) throw error;
      this.fallbackTeam = 0;
      answer = await api.join(this.sessionId, this.joinBody());
    }
    this.showDelay(answer.delay_s);
    return answer;
  }

  async connect() {
    this.attempt += 1;
    const { attempt } = this;
    const isOld = () => this.isClosed || attempt !== this.attempt;
    const join = () => this.join();
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
    match.on('event', (event) => {
      this.page.roster.onEvent(event);
      if (event.name === 'over' && !isOld()) this.over({ name: 'match_over', text: '' });
    });
    match.on('stats', (stats) => this.page.network.update(stats));
    match.on('reconnecting', () => {
      if (!isOld()) this.page.say('The connection broke. Coming back …');
    });
    match.on('close', (end) => {
      if (!isOld()) this.over(end);
    });
  }

  /** A match may be shown later than was asked for. */
  showDelay(seconds) {
    const { list } = this.delay;
    if (!Number.isInteger(seconds)) return;
    if (![...list.options].some(({ value }) => value === String(seconds))) {
      list.append(h('option', { value: seconds }, `${seconds} s late`));
    }
    list.value = String(seconds);
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
    const { roster } = this.page;
    this.page.say(
      sentenceForMatchEnd(roster, null, end),
      resultTable(roster),
      h(
        'div',
        { class: 'row' },
        h('a', { class: 'button primary', href: '#/' }, 'All sessions'),
        end.name === 'match_over' && replayLink(this.sessionId),
      ),
    );
  }

  draw(nowMs) {
    if (this.match === null) return;
    this.shown = this.match.entities().filter(({ kind }) => kind === 'fighter');
    const { roster } = this.page;
    roster.onFighters(this.shown);
    this.follow.update(roster);
    this.eyes.update(roster);
    const follow = this.follow.pick(this.shown);
    const nameOf = (seat) => roster.nameOf(seat);
    this.page.renderer.draw({ fighters: this.shown, follow, nameOf }, nowMs);
    this.page.showPhase(this.match.tick);
  }

  state() {
    return {
      view: 'watch',
      session: this.sessionId,
      transport: this.match?.stats.transport ?? null,
      tick: this.match?.tick ?? 0,
      phase: this.page.roster.phase,
      own: null,
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
