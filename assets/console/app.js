/** The console's start: picks the view that the address names, one at a time. */
import { notifyError, showPlayer } from './context.js';
import { h } from './dom.js';
import { isFull, passes, sentenceFor } from './messages.js';
import { playView } from './views/play.js';
import { replayView } from './views/replay.js';
import { sessionsView } from './views/sessions.js';
import { watchView } from './views/watch.js';

/** Name in the address to view; the rest of the address is its argument. */
const VIEWS = { '': sessionsView, watch: watchView, play: playView, replay: replayView };
const TITLES = { '': 'Sessions', watch: 'Watching', play: 'Playing', replay: 'Replay' };

let close = () => {};
let shown = 0;

async function show() {
  const [, name = '', argument = ''] = location.hash.split('/');
  const main = document.getElementById('main');
  shown += 1;
  const isCurrent = (
    (number) => () =>
      number === shown
  )(shown);
  close();
  close = () => {};
  main.replaceChildren(h('p', { class: 'quiet' }, 'Loading …'));
  const view = VIEWS[name] ?? sessionsView;
  document.title = `${TITLES[name] ?? 'Sessions'} · GameServer`;
  document.body.dataset.view = name || 'sessions';
  for (const link of document.querySelectorAll('[data-nav]')) {
    const isHere = link.dataset.nav === (name || 'sessions');
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    const place = h('div', { class: `view ${name || 'sessions'}` });
    const closeView = await view(place, decodeURIComponent(argument), isCurrent);
    if (!isCurrent()) {
      closeView?.();
      return;
    }
    close = closeView ?? (() => {});
    main.replaceChildren(place);
    window.scrollTo(0, 0);
  } catch (error) {
    if (isCurrent()) main.replaceChildren(failure(error));
  }
}

function failure(error) {
  const [, name = '', argument = ''] = location.hash.split('/');
  const link = (text, href, kind = '') => h('a', { class: `button ${kind}`, href }, text);
  const again = (kind = '') =>
    h('button', { type: 'button', class: kind, onclick: show }, 'Try again');
  // What helps stands first; nothing helps where the match is not there any more.
  let ways = [link('All sessions', '#/', 'primary')];
  if (passes(error)) ways = [again('primary'), link('All sessions', '#/')];
  else if (isFull(error) && name === 'play') {
    const watch = link('Watch it', `#/watch/${argument}`, 'primary');
    ways = [watch, link('All sessions', '#/'), again()];
  }
  return h(
    'section',
    { class: 'empty', role: 'alert', 'data-testid': 'failure' },
    h('h1', {}, 'That did not work'),
    h('p', {}, sentenceFor(error)),
    h('div', { class: 'row' }, ...ways),
  );
}

window.addEventListener('hashchange', show);
window.addEventListener('pagehide', () => close());
// A page that the browser kept when it was left has closed its connections.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) show();
});
showPlayer().catch(notifyError);
show();
