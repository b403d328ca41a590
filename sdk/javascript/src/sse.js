/**
 * Server-sent events from the body of a fetch: EventSource cannot send an Authorization header.
 */

/** Characters of one event; more than any list of sessions needs. */
export const EVENT_CHARACTERS_MAX = 4 * 1024 * 1024;

/** Splits text that comes in pieces into events. */
export class SseParser {
  #rest = '';
  #data = [];
  #size = 0;
  #event = '';
  #id = '';
  #afterCarriageReturn = false;

  /**
   * @param {string} piece
   * @returns {{event: string, data: string, id: string}[]} The events that are whole now.
   * @throws {RangeError} when one event has more than EVENT_CHARACTERS_MAX characters.
   */
  push(piece) {
    let text = piece;
    // CR LF may be cut in two; the LF is then no line of its own.
    if (this.#afterCarriageReturn && text.startsWith('\n')) text = text.slice(1);
    if (piece !== '') this.#afterCarriageReturn = piece.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    const events = [];
    for (const line of lines) {
      if (line !== '') this.#field(line);
      else if (this.#data.length > 0) events.push(this.#dispatch());
      else this.#event = '';
    }
    if (this.#size + this.#rest.length > EVENT_CHARACTERS_MAX) throw new RangeError('event size');
    return events;
  }

  #field(line) {
    // A line that begins with a colon is a comment: it keeps the connection alive.
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    } else if (name === 'event') this.#event = value;
    else if (name === 'id') this.#id = value;
  }

  #dispatch() {
    const event = { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id };
    this.#data = [];
    this.#size = 0;
    this.#event = '';
    return event;
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{event: string, data: string, id: string}>}
 */
export async function* readEvents(body) {
  const parser = new SseParser();
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
