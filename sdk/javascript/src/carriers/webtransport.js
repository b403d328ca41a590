/**
 * Frames over WebTransport: reliable ones on the session's first bidirectional stream, each after
 * its length as u16, big-endian; unreliable ones as datagrams.
 *
 * Knows nothing of what the frames mean.
 */
import { ConnectError, ProtocolError } from '../errors.js';
import { closeName, closeNumber } from '../frames.js';
import { Carrier } from './carrier.js';

const CODE_BASE = 4000;
const LENGTH_BYTES = 2;
const FRAME_BYTES_MAX = 0xffff;
/** Datagrams that wait while the page is busy; the browser's own figure may be one. */
const DATAGRAMS_WAITING = 64;

/** An open session. Made by `openWebTransport`. */
class WebTransportCarrier extends Carrier {
  constructor(session, stream) {
    super('webtransport');
    this.session = session;
    this.streamWriter = stream.writable.getWriter();
    session.datagrams.incomingHighWaterMark = DATAGRAMS_WAITING;
    this.datagramWriter = datagramWriter(session.datagrams);
    this.run(() => this.readStream(stream.readable.getReader()));
    this.run(() => this.readDatagrams(session.datagrams.readable.getReader()));
    session.closed.then(
      ({ closeCode, reason }) => this.ended(nameOf(closeCode), reason),
      (error) => this.ended('lost', error.message),
    );
  }

  sendReliable(bytes) {
    if (bytes.length > FRAME_BYTES_MAX) throw new ProtocolError('a frame that is too long');
    const framed = new Uint8Array(LENGTH_BYTES + bytes.length);
    new DataView(framed.buffer).setUint16(0, bytes.length);
    framed.set(bytes, LENGTH_BYTES);
    this.sent(framed.length);
    this.streamWriter.write(framed).catch(() => {});
  }

  sendUnreliable(bytes) {
    this.sent(bytes.length);
    this.datagramWriter.write(bytes).catch(() => {});
  }

  close(name, text) {
    const closeCode = CODE_BASE + closeNumber(name);
    try {
      this.session.close({ closeCode, reason: text });
    } catch {
      // Over already.
    }
    this.ended(name, text);
  }

  /** A reader that ends with the session says nothing: `closed` tells why. */
  run(read) {
    read().catch((error) => {
      if (error instanceof ProtocolError) this.failed(error);
    });
  }

  async readStream(reader) {
    const frames = new FrameSplitter();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const frame of frames.push(value)) this.received(frame);
    }
  }

  async readDatagrams(reader) {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.receivedUnreliable(value);
    }
  }
}

/** Cuts a stream of bytes into frames. */
export class FrameSplitter {
  constructor() {
    this.rest = new Uint8Array(0);
  }

  /**
   * @param {Uint8Array} chunk
   * @returns {Uint8Array[]} The frames that are whole now.
   */
  push(chunk) {
    const bytes = new Uint8Array(this.rest.length + chunk.length);
    bytes.set(this.rest);
    bytes.set(chunk, this.rest.length);
    const view = new DataView(bytes.buffer);
    const frames = [];
    let position = 0;
    while (bytes.length - position >= LENGTH_BYTES) {
      const end = position + LENGTH_BYTES + view.getUint16(position);
      if (end > bytes.length) break;
      frames.push(bytes.subarray(position + LENGTH_BYTES, end));
      position = end;
    }
    this.rest = bytes.slice(position);
    return frames;
  }
}

/**
 * @param {{url: string, certificate_sha256?: string | null}} offer
 * @param {{WebTransport: any, signal: AbortSignal}} context
 * @returns {Promise<Carrier>} When the session and its stream are there.
 * @throws {ConnectError}
 */
export async function openWebTransport(offer, { WebTransport, signal }) {
  let session;
  try {
    session = new WebTransport(offer.url, options(offer.certificate_sha256));
  } catch (error) {
    throw new ConnectError('unreachable', `${offer.url}: ${error.message}`);
  }
  const abort = () => quietly(() => session.close());
  signal.addEventListener('abort', abort, { once: true });
  // A refused session rejects both promises; the one that nobody awaits must not be reported.
  session.closed.catch(() => {});
  try {
    await session.ready;
    const stream = await session.createBidirectionalStream();
    if (signal.aborted) throw new Error('given up');
    return new WebTransportCarrier(session, stream);
  } catch (error) {
    abort();
    throw new ConnectError('unreachable', `${offer.url}: ${error.message}`);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function options(certificateSha256) {
  // Games want the newest state, not every state.
  const common = { congestionControl: 'low-latency', requireUnreliable: true };
  if (!certificateSha256) return common;
  const value = hexBytes(certificateSha256);
  return { ...common, serverCertificateHashes: [{ algorithm: 'sha-256', value }] };
}

function hexBytes(hex) {
  const pairs = hex.match(/[0-9a-f]{2}/gi) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** Newer browsers make a writable; older ones have it ready. */
function datagramWriter(datagrams) {
  const writable = datagrams.createWritable?.() ?? datagrams.writable;
  return writable.getWriter();
}

function nameOf(code) {
  return code === 0 || code === undefined ? 'consented' : closeName(code - CODE_BASE);
}

function quietly(action) {
  try {
    action();
  } catch {
    // Closing what is closed is no news.
  }
}
