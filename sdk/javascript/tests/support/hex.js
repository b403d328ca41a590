/** Bytes as hex and back. */

/** @param {string} text Spaces do not count. */
export function bytes(text) {
  const pairs = text.replaceAll(/\s/g, '').match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** @param {Uint8Array} data */
export function hex(data) {
  return Buffer.from(data).toString('hex');
}
