/** The page of `gameserver replay serve`: plays the one log that its server has. */
import { h } from './dom.js';
import { sentenceFor } from './messages.js';
import { recordingView } from './views/replay.js';

const LOG = 'replay';

async function show() {
  const main = document.getElementById('main');
  const place = h('div', { class: 'view replay' });
  main.replaceChildren(place);
  try {
    await recordingView(place, LOG);
  } catch (error) {
    main.replaceChildren(failure(error));
  }
}

function failure(error) {
  return h(
    'section',
    { class: 'empty', role: 'alert', 'data-testid': 'failure' },
    h('h1', {}, 'This recording cannot be shown'),
    h('p', {}, sentenceFor(error)),
    h('button', { type: 'button', class: 'primary', onclick: show }, 'Try again'),
  );
}

show();
