/** The first page: one click into a match, and the list of sessions as the server pushes it. */
import { api, notifyError } from '../context.js';
import { ageOf, h, select, setText } from '../dom.js';
import { EndedSessions, OVER } from '../ended.js';
import { hasSeat, isOpen, sessionToPlay } from '../lobby.js';
import { sentenceFor } from '../messages.js';

const GAMES_WITH_A_PAGE = ['arena'];
const AGE_MS = 5000;
const TITLES = { arena: 'Arena', ffa: 'free for all', practice: 'practice' };

export async function sessionsView(place) {
  const list = api.watchSessions();
  const filter = h('input', {
    type: 'search',
    placeholder: 'Filter by name, game or mode',
    'aria-label': 'Filter the sessions',
    'data-testid': 'session-filter',
    oninput: () => show(),
  });
  const scope = select(
    'Show',
    [
      ['open', 'open matches'],
      ['ended', 'ended matches'],
    ],
    {
      'aria-label': 'Which sessions',
      'data-testid': 'session-scope',
      onchange: () => {
        if (scope.list.value === 'ended') ended.refresh();
        show();
      },
    },
  );
  const state = h('span', { class: 'live', role: 'status', 'data-testid': 'list-state' });
  const rows = h('div', { class: 'sessions', role: 'list', 'aria-label': 'Sessions' });
  const more = h(
    'button',
    { type: 'button', class: 'more', 'data-testid': 'more', onclick: () => ended.more() },
    'Older ones',
  );
  const ended = new EndedSessions(() => show());
  const show = () => {
    const showsEnded = scope.list.value === 'ended';
    showRows(rows, showsEnded ? ended : list, filter.value.trim().toLowerCase(), showsEnded);
    more.hidden = !showsEnded || !ended.hasMore;
    showState(state, list);
  };
  let open = new Set();
  list.on('change', (items) => {
    // One that has gone from the open ones has probably ended.
    const now = new Set(items.map(({ id }) => id));
    const hasGone = [...open].some((id) => !now.has(id));
    open = now;
    if (hasGone && scope.list.value === 'ended') ended.refresh();
    show();
  });
  list.on('state', show);
  const timer = setInterval(show, AGE_MS);
  show();
  place.append(
    hero(),
    h(
      'section',
      { class: 'panel' },
      h('div', { class: 'bar' }, h('h2', {}, 'Sessions'), state, filter, scope.element),
      rows,
      more,
    ),
    newMatch(),
  );
  return () => {
    clearInterval(timer);
    ended.stop();
    list.stop();
  };
}

function hero() {
  const error = h('p', { class: 'error', role: 'alert' });
  const play = async () => {
    button.disabled = true;
    error.textContent = '';
    try {
      location.hash = `#/play/${(await sessionToPlay()).id}`;
    } catch (problem) {
      error.textContent = sentenceFor(problem);
      button.disabled = false;
    }
  };
  const button = h(
    'button',
    {
      type: 'button',
      class: 'primary large',
      'data-testid': 'play-now',
      onclick: play,
    },
    'Play now',
  );
  return h(
    'section',
    { class: 'hero' },
    h(
      'div',
      {},
      h('h1', {}, 'Into a match with one click'),
      h(
        'p',
        {},
        'Arena is a small top-down shooter. Move with WASD or the arrows, aim and fire ' +
          'with the mouse; on a phone use both thumbs.',
      ),
    ),
    h('div', { class: 'hero-act' }, button, error),
  );
}

function newMatch() {
  const game = select('Game', [], { name: 'game', 'data-testid': 'new-game' });
  const mode = select('Mode', [], { name: 'mode', 'data-testid': 'new-mode' });
  const name = h('input', { name: 'name', maxlength: 64, placeholder: 'optional' });
  const error = h('p', { class: 'error', role: 'alert' });
  const button = h('button', { type: 'submit', 'data-testid': 'new-match' }, 'Open and play');
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = '';
    try {
      const body = { game: game.list.value, mode: mode.list.value || undefined };
      if (name.value.trim()) body.name = name.value.trim();
      const session = await api.createSession(body);
      location.hash = `#/play/${session.id}`;
    } catch (problem) {
      error.textContent = sentenceFor(problem);
    }
    button.disabled = false;
  };
  fillGames(game.list, mode.list).catch((problem) => {
    error.textContent = sentenceFor(problem);
    button.disabled = true;
  });
  return h(
    'section',
    { class: 'panel' },
    h('h2', {}, 'New match'),
    h(
      'form',
      { class: 'form', onsubmit: submit },
      game.element,
      mode.element,
      h('label', { class: 'field' }, h('span', {}, 'Name'), name),
      button,
    ),
    error,
  );
}

async function fillGames(gameList, modeList) {
  // Other games have no page here that could be opened with them.
  const games = (await api.games()).filter(({ id }) => GAMES_WITH_A_PAGE.includes(id));
  if (games.length === 0) throw new Error('No game that has a page here is hosted at the moment.');
  const option = (id, text) => h('option', { value: id }, text);
  const showModes = () => {
    const game = games.find(({ id }) => id === gameList.value);
    modeList.replaceChildren(
      ...(game?.modes ?? []).map((mode) => {
        const id = mode.id ?? mode;
        const seats = mode.players_default ? `, ${mode.players_default} seats` : '';
        return option(id, `${TITLES[id] ?? id}${seats}`);
      }),
    );
  };
  gameList.replaceChildren(...games.map(({ id, name }) => option(id, name ?? id)));
  gameList.addEventListener('change', showModes);
  showModes();
}

function showState(element, list) {
  const isOffline = list.state === 'offline' || (list.state === 'connecting' && list.error);
  element.className = `live ${isOffline ? 'offline' : list.state}`;
  const text = isOffline ? 'Offline, trying again' : ({ live: 'Live' }[list.state] ?? 'Connecting');
  setText(element, text);
}

/** @param {SessionList | EndedSessions} list */
function showRows(rows, list, wanted, showsEnded) {
  const matches = (session) =>
    [session.name, session.game, session.mode, session.state].some((text) =>
      String(text).toLowerCase().includes(wanted),
    );
  const inScope = (session) => OVER.includes(session.state) === showsEnded;
  const visible = list.items.filter((session) => inScope(session) && matches(session));
  if (visible.length === 0) {
    rows.replaceChildren(emptyNote(list, wanted, showsEnded));
    return;
  }
  // A row keeps its element while it lives, so that the focus does not jump.
  const old = new Map([...rows.children].map((row) => [row.dataset.id, row]));
  const wantedRows = visible.map((session) => {
    const signature = JSON.stringify(session);
    const row = old.get(session.id);
    if (row?.dataset.signature !== signature) return sessionRow(session, signature, row);
    setText(row.querySelector('.age'), ageOf(session.created_at));
    return row;
  });
  wantedRows.forEach((row, index) => {
    if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
  });
  while (rows.children.length > wantedRows.length) rows.lastChild.remove();
}

function emptyNote(list, wanted, showsEnded) {
  const again = showsEnded ? '' : ' This page tries again.';
  if (list.error) return h('p', { class: 'empty' }, sentenceFor(list.error) + again);
  if (!['live', 'there'].includes(list.state)) {
    return h('p', { class: 'empty' }, 'Loading the sessions …');
  }
  if (wanted) return h('p', { class: 'empty' }, `No session matches “${wanted}”.`);
  if (showsEnded) return h('p', { class: 'empty' }, 'No match has ended here yet.');
  return h('p', { class: 'empty' }, 'No match is open. Press “Play now” to open one.');
}

function sessionRow(session, signature, old) {
  const focused = old?.contains(document.activeElement)
    ? document.activeElement.dataset.testid
    : '';
  const fact = (name, value, attributes = {}) =>
    h('div', { class: `fact ${name}`, ...attributes }, h('dt', {}, name), h('dd', {}, value));
  const row = h(
    'div',
    {
      class: 'session',
      role: 'listitem',
      'data-testid': 'session-row',
      'data-id': session.id,
      'data-signature': signature,
    },
    h(
      'div',
      { class: 'name' },
      h('strong', {}, session.name),
      h('span', { class: `state ${session.state}`, 'data-testid': 'session-state' }, session.state),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact('game', TITLES[session.game] ?? session.game),
      fact('mode', TITLES[session.mode] ?? session.mode),
      fact('players', `${session.players}/${session.players_max}`),
      fact('watching', String(session.spectators)),
      h(
        'div',
        { class: 'fact' },
        h('dt', {}, 'age'),
        h('dd', { class: 'age' }, ageOf(session.created_at)),
      ),
    ),
    h('div', { class: 'acts' }, ...actions(session)),
  );
  if (old) old.replaceWith(row);
  if (focused) row.querySelector(`[data-testid="${focused}"]`)?.focus();
  return row;
}

function actions(session) {
  const link = (view, text, testid, kind = '') =>
    h(
      'a',
      {
        class: `button ${kind}`,
        href: `#/${view}/${session.id}`,
        'data-testid': testid,
        'aria-label': `${text} ${session.name}`,
      },
      text,
    );
  if (!hasPage(session)) return [];
  if (OVER.includes(session.state)) return [link('replay', 'Replay', 'replay')];
  if (!isOpen(session)) return [];
  const play = hasSeat(session) ? [link('play', 'Play', 'play')] : [];
  const mayWatch = session.spectators_policy?.allowed !== false;
  const watch = mayWatch ? [link('watch', 'Watch', 'watch')] : [];
  const isOwn = session.host_player_id === api.login.player?.id;
  return [...play, ...watch, ...(isOwn ? [endButton(session)] : [])];
}

function endButton(session) {
  return h(
    'button',
    {
      type: 'button',
      'data-testid': 'end',
      'aria-label': `End ${session.name}`,
      onclick: () => api.end(session.id).catch(notifyError),
    },
    'End',
  );
}

function hasPage(session) {
  return GAMES_WITH_A_PAGE.includes(session.game);
}
