/** What all views share: the API, the player's name, notices. */
import { Api } from './sdk/src/index.js';
import { h } from './dom.js';
import { sentenceFor } from './messages.js';

const NOTICE_MS = 8000;
const NOTICES_MAX = 3;
const NAME_MAX = 32;

/** Beside this page, wherever that is: a proxy may have put a path in front. */
export const api = new Api({ url: new URL('.', document.baseURI).href });

/** Tells something at the top of the page for a while. */
export function notify(text, kind = 'info') {
  const place = document.getElementById('notices');
  const close = () => notice.remove();
  const notice = h(
    'div',
    { class: `notice ${kind}`, 'data-testid': 'notice' },
    h('span', {}, text),
    h('button', { type: 'button', class: 'plain', 'aria-label': 'Dismiss', onclick: close }, '✕'),
  );
  while (place.children.length >= NOTICES_MAX) place.firstChild.remove();
  place.append(notice);
  setTimeout(close, NOTICE_MS);
}

export function notifyError(error) {
  notify(sentenceFor(error), 'error');
}

/** Logs in and shows the name, which a click changes. */
export async function showPlayer() {
  const button = document.getElementById('who');
  const show = (player) => {
    button.textContent = player.display_name;
    button.setAttribute('aria-label', `You are ${player.display_name}. Change the name`);
    button.hidden = false;
  };
  button.addEventListener('click', () => editName(show));
  show(await api.me());
}

function editName(show) {
  const input = h('input', {
    name: 'name',
    maxlength: NAME_MAX,
    required: true,
    autocomplete: 'nickname',
    value: api.login.player?.display_name ?? '',
    'data-testid': 'name-input',
  });
  const error = h('p', { class: 'error', role: 'alert' });
  const submit = async (event) => {
    event.preventDefault();
    try {
      show(await api.rename(input.value.trim()));
      dialog.close();
    } catch (problem) {
      error.textContent = sentenceFor(problem);
    }
  };
  const dialog = h(
    'dialog',
    { class: 'dialog', 'aria-label': 'Your name' },
    h(
      'form',
      { onsubmit: submit },
      h('label', { class: 'field' }, h('span', {}, 'Your name'), input),
      h('p', { class: 'quiet' }, 'Others see it in the next match that you join.'),
      error,
      h(
        'div',
        { class: 'row' },
        h('button', { type: 'submit', class: 'primary', 'data-testid': 'name-save' }, 'Save'),
        h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
      ),
    ),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  input.select();
}
