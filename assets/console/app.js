/** The console's start: picks the view that the address names, one at a time. */
import { notifyError, showPlayer } from './context.js';
import { h } from './dom.js';
import { sentenceFor } from './messages.js';
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
  return h(
    'section',
    { class: 'empty', role: 'alert', 'data-testid': 'failure' },
    h('h1', {}, 'That did not work'),
    h('p', {}, sentenceFor(error)),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', class: 'primary', onclick: show }, 'Try again'),
      h('a', { class: 'button', href: '#/' }, 'All sessions'),
    ),
  );
}

window.addEventListener('hashchange', show);
window.addEventListener('pagehide', () => close());
showPlayer().catch(notifyError);
show();
