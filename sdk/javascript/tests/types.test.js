/** The type declarations against what is exported. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as client from '../src/index.js';
import * as messagepack from '../src/messagepack.js';

function declared(file) {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  const names = text.matchAll(/^export (?:class|function|const) (\w+)/gm);
  return { text, names: [...names].map(([, name]) => name).sort() };
}

test('everything that is exported has a type, and nothing else has', () => {
  const types = declared('../src/index.d.ts');
  const inner = ['Entity'];
  const names = types.names.filter((name) => !inner.includes(name));
  assert.deepEqual(names, Object.keys(client).sort());
  assert.deepEqual(declared('../src/messagepack.d.ts').names, Object.keys(messagepack).sort());
});

test('every typed member of a class is there', () => {
  const { text } = declared('../src/index.d.ts');
  for (const [, name, body] of text.matchAll(/^export class (\w+)[^{]*\{([\s\S]*?)^\}/gm)) {
    if (!(name in client)) continue;
    for (const [, method] of body.matchAll(/^ {2}(?!readonly|constructor|static)(\w+)[<(]/gm)) {
      assert.equal(typeof client[name].prototype[method], 'function', `${name}.${method}`);
    }
  }
});
