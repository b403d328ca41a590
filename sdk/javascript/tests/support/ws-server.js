/** As much of a WebSocket server (RFC 6455) as the tests need: binary messages and closes. */
import { createHash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Accepts an upgrade.
 *
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:stream').Duplex} socket
 * @returns {ServerSocket}
 */
export function accept(request, socket) {
  const key = request.headers['sec-websocket-key'];
  const answer = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  const protocol = request.headers['sec-websocket-protocol'];
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${answer}`,
      ...(protocol ? [`Sec-WebSocket-Protocol: ${protocol.split(',')[0].trim()}`] : []),
      '',
      '',
    ].join('\r\n'),
  );
  return new ServerSocket(socket);
}

export class ServerSocket {
  constructor(socket) {
    this.socket = socket;
    this.rest = Buffer.alloc(0);
    /** @type {(bytes: Uint8Array) => void} */
    this.onMessage = () => {};
    /** @type {(code: number) => void} */
    this.onClose = () => {};
    this.isClosed = false;
    socket.on('data', (chunk) => this.push(chunk));
    socket.on('close', () => this.closed(1006));
    socket.on('error', () => {});
  }

  /** @param {Uint8Array} bytes */
  send(bytes) {
    this.write(2, Buffer.from(bytes));
  }

  /** @param {string} text */
  sendText(text) {
    this.write(1, Buffer.from(text));
  }

  /** @param {number} code @param {string} [reason] */
  close(code, reason = '') {
    const body = Buffer.alloc(2 + Buffer.byteLength(reason));
    body.writeUInt16BE(code);
    body.write(reason, 2);
    this.write(8, body);
  }

  /** Breaks the connection without a word. */
  drop() {
    this.socket.destroy();
  }

  write(opcode, body) {
    if (this.socket.destroyed) return;
    // Browsers insist on the shortest form of the length.
    const size = body.length <= 125 ? 0 : body.length <= 0xffff ? 2 : 8;
    const head = Buffer.alloc(2 + size);
    head[0] = 0x80 | opcode;
    head[1] = { 0: body.length, 2: 126, 8: 127 }[size];
    if (size === 2) head.writeUInt16BE(body.length, 2);
    if (size === 8) head.writeBigUInt64BE(BigInt(body.length), 2);
    this.socket.write(Buffer.concat([head, body]));
  }

  push(chunk) {
    this.rest = Buffer.concat([this.rest, chunk]);
    for (;;) {
      const short = this.rest.length >= 2 ? this.rest[1] & 0x7f : -1;
      const head = { 126: 4, 127: 10 }[short] ?? 2;
      if (short < 0 || this.rest.length < head + 4) return;
      let length = short;
      if (short === 126) length = this.rest.readUInt16BE(2);
      if (short === 127) length = Number(this.rest.readBigUInt64BE(2));
      const end = head + 4 + length;
      if (this.rest.length < end) return;
      const mask = this.rest.subarray(head, head + 4);
      const body = Buffer.from(this.rest.subarray(head + 4, end));
      body.forEach((byte, index) => {
        body[index] = byte ^ mask[index % 4];
      });
      const opcode = this.rest[0] & 0x0f;
      this.rest = this.rest.subarray(end);
      if (opcode === 2) this.onMessage(new Uint8Array(body));
      if (opcode === 8) {
        this.write(8, body);
        this.closed(body.length >= 2 ? body.readUInt16BE() : 1005);
        this.socket.end();
      }
      if (opcode === 9) this.write(10, body);
    }
  }

  closed(code) {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onClose(code);
  }
}
