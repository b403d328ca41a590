/** Server-sent events, however the stream is cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_CHARACTERS_MAX, SseParser } from '../src/sse.js';

const STREAM =
  ': hello\n\nevent: snapshot\ndata: {"items":\ndata: []}\n\nid: 7\r\nevent:session\r\n' +
  'data:{"id":"a"}\r\n\r\ndata\n\nevent: lost\n\ndata: last\r\r';
const EVENTS = [
  { event: 'snapshot', data: '{"items":\n[]}', id: '' },
  { event: 'session', data: '{"id":"a"}', id: '7' },
  { event: 'message', data: '', id: '7' },
  { event: 'message', data: 'last', id: '7' },
];

test('events are the same however the stream is cut', () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new SseParser();
    const events = [];
    for (let start = 0; start < STREAM.length; start += size) {
      events.push(...parser.push(STREAM.slice(start, start + size)));
    }
    assert.deepEqual(events, EVENTS, `in pieces of ${size}`);
  }
});

test('an event without an end is not kept for ever', () => {
  const parser = new SseParser();
  const piece = `data: ${'x'.repeat(EVENT_CHARACTERS_MAX / 4)}\n`;
  assert.throws(() => {
    for (let count = 0; count < 6; count += 1) parser.push(piece);
  }, RangeError);
});
