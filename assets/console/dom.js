/** Makes elements without HTML text, so that nobody's name can become markup. */

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners, `false` and null are left out.
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** Changes the text only when it is another one, so that a screen reader is not told twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A labelled drop-down list. @param {[string, string][]} options Value and text. */
export function select(label, options, attributes = {}) {
  const list = h(
    'select',
    attributes,
    ...options.map(([value, text]) => h('option', { value }, text)),
  );
  return { element: h('label', { class: 'field' }, h('span', {}, label), list), list };
}

/** Time since a moment, as people say it. */
export function ageOf(iso, nowMs = Date.now()) {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (Number.isNaN(seconds)) return '';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
