/**
 * What playing, watching and replaying have in common: the canvas, who is there, the feed, the
 * network panel. Knows neither inputs nor seeking.
 */
import { clock, h, select, setText } from '../dom.js';
import { sentenceForMatchEnd } from '../ends.js';
import { ArenaRenderer } from '../arena/render.js';
import { Roster } from '../arena/roster.js';
import { networkPanel } from '../network-panel.js';

const FEED_SHOWN = 8;
const SCORES_MS = 250;
/** Rows of a result over the map. */
const RESULT_ROWS_MAX = 8;
const PHASES = {
  waiting: 'Waiting for players',
  starting: 'Starting …',
  running: 'Running',
  over: 'Over',
};

export class MatchPage {
  /**
   * @param {HTMLElement} place
   * @param {{label: string, hasNetwork?: boolean, hasBack?: boolean, status?: Node[],
   *   tools?: Node[], below?: Node[]}} options `label`
   *   tells a screen reader what the canvas is.
   */
  constructor(
    place,
    { label, hasNetwork = true, hasBack = true, status = [], tools = [], below = [] },
  ) {
    this.roster = new Roster();
    this.tickRate = 60;
    this.ownSeat = null;
    this.network = hasNetwork ? networkPanel() : null;
    this.canvas = h('canvas', {
      class: 'arena',
      tabindex: 0,
      role: 'img',
      'aria-label': label,
      'data-testid': 'canvas',
    });
    this.banner = h('div', {
      class: 'banner',
      role: 'status',
      'data-testid': 'banner',
      hidden: true,
    });
    this.phase = h('span', { class: 'phase', 'data-testid': 'phase' });
    this.scores = h('tbody', { 'data-testid': 'scoreboard' });
    this.feed = h('ol', { class: 'feed', 'aria-live': 'polite', 'data-testid': 'feed' });
    this.fedRoster = this.roster;
    // Nothing but sentences that end the play lies over the map: whoever is beneath is not seen.
    this.stage = h('div', { class: 'stage' }, this.canvas, this.banner);
    this.scoresPlace = h('div', {}, this.scorePanel());
    this.sidePanels = h(
      'aside',
      { class: 'side' },
      this.scoresPlace,
      h('section', { class: 'panel events' }, h('h2', {}, 'Events'), this.feed),
      this.network?.element ?? '',
    );
    place.append(
      h(
        'div',
        { class: 'match-bar' },
        hasBack && h('a', { class: 'button', href: '#/' }, '‹ Sessions'),
        ...status,
        this.phase,
        ...tools,
      ),
      h(
        'div',
        { class: 'match' },
        h('div', { class: 'main-column' }, this.stage, ...below),
        this.sidePanels,
      ),
    );
    this.renderer = new ArenaRenderer(this.canvas);
    this.drawnScoresMs = 0;
    this.drawnChanges = -1;
    this.frame = 0;
  }

  /** Begins a match anew: other connection, other replay. */
  setConfig(config, tickRate) {
    this.tickRate = tickRate;
    this.renderer.setConfig(config);
  }

  /** Calls back before each picture until the page is closed. */
  animate(draw) {
    const next = (nowMs) => {
      this.frame = requestAnimationFrame(next);
      draw(nowMs);
      this.update(nowMs);
    };
    this.frame = requestAnimationFrame(next);
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.renderer.close();
  }

  /** A sentence over the canvas; empty takes it away. */
  say(text, ...more) {
    this.banner.hidden = text === '';
    if (text === '' || this.banner.dataset.text === text) {
      if (text === '') delete this.banner.dataset.text;
      return;
    }
    this.banner.dataset.text = text;
    this.banner.replaceChildren(h('p', {}, text), ...more);
  }

  /** Shows what changed in roster and feed, not more often than it can be read. */
  update(nowMs) {
    this.showFeed();
    if (nowMs - this.drawnScoresMs < SCORES_MS || this.drawnChanges === this.roster.changes) return;
    this.drawnScoresMs = nowMs;
    this.drawnChanges = this.roster.changes;
    this.showScores();
  }

  /** Shows the scores over everything, or where they usually are. */
  enlargeScores(isLarge) {
    // What stands below must not move up meanwhile.
    const { height } = this.scoresPlace.getBoundingClientRect();
    this.scoresPlace.style.minHeight = isLarge ? `${height}px` : '';
    this.scoresPlace.classList.toggle('enlarged', isLarge);
  }

  /** The phase, without a time: where another clock tells it. */
  showPhaseOnly() {
    const { phase, result } = this.roster;
    const end = { name: 'match_over', text: '' };
    const isDecided = phase === 'over' && result !== null;
    const text = isDecided ? sentenceForMatchEnd(this.roster, null, end) : PHASES[phase];
    setText(this.phase, text ?? '');
  }

  /** Text beside the phase, for example the time left. */
  showPhase(tick) {
    const { phase, phaseSince } = this.roster;
    const since = clock((tick - phaseSince) / this.tickRate);
    setText(this.phase, phase === 'running' ? `Running ${since}` : (PHASES[phase] ?? ''));
  }

  scorePanel() {
    return h(
      'section',
      { class: 'panel scores' },
      h('h2', {}, 'Scores'),
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            h('th', { scope: 'col' }, 'Player'),
            h('th', { scope: 'col' }, 'Kills'),
            h('th', { scope: 'col' }, 'Deaths'),
          ),
        ),
        this.scores,
      ),
    );
  }

  showScores() {
    const rows = this.roster
      .standings()
      .map(({ seat, name, kills, deaths }) =>
        h(
          'tr',
          { class: seat === this.ownSeat ? 'own' : null },
          h('th', { scope: 'row' }, name),
          h('td', {}, String(kills)),
          h('td', {}, String(deaths)),
        ),
      );
    if (rows.length === 0)
      rows.push(h('tr', {}, h('td', { colspan: 3, class: 'quiet' }, 'Nobody yet')));
    this.scores.replaceChildren(...rows);
  }

  showFeed() {
    if (this.fedRoster !== this.roster) {
      this.fedRoster = this.roster;
      this.feed.replaceChildren();
    }
    const { feed } = this.roster;
    const from = feed.indexOf(this.lastFed) + 1;
    for (const { kind, text, seat } of feed.slice(from)) {
      const own = seat === this.ownSeat && seat !== null ? ' own' : '';
      this.feed.append(h('li', { class: kind + own }, text));
    }
    this.lastFed = feed.at(-1);
    const { children } = this.feed;
    while (children.length > FEED_SHOWN) children[0].remove();
  }
}

/** A list with one entry for all, and one for each player. */
export class PlayerList {
  /**
   * @param {string} label
   * @param {string} all Text of the first entry.
   * @param {Record<string, any>} [attributes]
   */
  constructor(label, all, attributes = {}) {
    const { element, list } = select(label, [['', all]], attributes);
    this.element = element;
    this.list = list;
    this.all = all;
    this.changes = -1;
  }

  /** The seat that is chosen; null for all. */
  get seat() {
    return this.list.value === '' ? null : Number(this.list.value);
  }

  /** The fighter that is chosen; null for all, and for one who is not seen. */
  pick(fighters) {
    return fighters.find(({ seat }) => seat === this.seat) ?? null;
  }

  /** Keeps the list true. @param {Roster} roster */
  update(roster) {
    if (this.changes === roster.changes && this.roster === roster) return;
    this.changes = roster.changes;
    this.roster = roster;
    const wanted = roster
      .standings()
      .map(({ seat, name }) => [String(seat), name])
      .sort(([, a], [, b]) => a.localeCompare(b));
    const key = JSON.stringify(wanted);
    if (key === this.key) return;
    this.key = key;
    const { value } = this.list;
    this.list.replaceChildren(
      h('option', { value: '' }, this.all),
      ...wanted.map(([seat, name]) => h('option', { value: seat }, name)),
    );
    this.list.value = wanted.some(([seat]) => seat === value) ? value : '';
  }
}

/** A link to the recording of a match that is over. */
export function replayLink(sessionId) {
  return h(
    'a',
    { class: 'button', href: `#/replay/${sessionId}`, 'data-testid': 'watch-replay' },
    'Watch the recording',
  );
}

/** The result as a table. */
export function resultTable(roster, ownSeat = null) {
  const rows = (roster.result ?? []).slice(0, RESULT_ROWS_MAX).map(([seat, placement, score]) =>
    h(
      'tr',
      { class: seat === ownSeat ? 'own' : null },
      h('td', {}, `${placement}.`),
      h('th', { scope: 'row' }, roster.nameOf(seat)),
      h('td', {}, String(score)),
    ),
  );
  if (rows.length === 0) return '';
  return h('table', { class: 'result', 'data-testid': 'result' }, h('tbody', {}, ...rows));
}

/** Lets tests and the curious read what is shown; nothing can be changed through it. */
export function expose(read) {
  Object.defineProperty(window, 'gameserver', {
    configurable: true,
    get: () => Object.freeze(read()),
  });
}
