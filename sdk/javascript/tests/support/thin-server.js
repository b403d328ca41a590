/**
 * A server of one thin match over a real WebSocket: answers Hellos, sends snapshots when told to,
 * keeps what it was sent.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { decode, encode } from '../../src/messagepack.js';
import { ReferenceEncoder } from './encoder.js';
import { accept } from './ws-server.js';

export const KINDS = [
  [
    'fighter',
    [
      ['x', 0, 0.25, 1000, 0],
      ['seat', 0, 1, 64, 0],
    ],
  ],
];
export const INTERVAL = 3;
const PLAYER = new Uint8Array(16).fill(0xab);

export class ThinServer {
  /** @returns {Promise<ThinServer>} Listening on a free port. */
  static async start() {
    const http = createServer();
    const server = new ThinServer(http);
    http.on('upgrade', (request, socket) => server.arrived(accept(request, socket)));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    server.url = `ws://127.0.0.1:${http.address().port}`;
    return server;
  }

  constructor(http) {
    this.http = http;
    this.connections = [];
    this.hellos = [];
    /** @type {(hello: any[]) => any[] | null} Refusal to answer with; null welcomes. */
    this.judge = () => null;
    this.onConnection = () => {};
  }

  /** Answer of the join that leads here. */
  joinAnswer(role = 'player') {
    return {
      ticket: 'a ticket',
      seat: role === 'player' ? 2 : null,
      role,
      transports: [
        { kind: 'quic', url: 'quic://127.0.0.1:1' },
        { kind: 'websocket', url: this.url },
      ],
    };
  }

  arrived(socket) {
    socket.onMessage = (bytes) => {
      const hello = decode(bytes);
      this.hellos.push(hello);
      const refusal = this.judge(hello);
      if (refusal !== null) {
        socket.send(encode([2, ...refusal]));
        socket.close(4013);
        return;
      }
      const connection = new ThinConnection(socket);
      this.connections.push(connection);
      // In one piece, so that everything arrives at once.
      socket.socket.cork();
      connection.welcome(this.connections.length);
      this.onConnection(connection);
      socket.socket.uncork();
    };
  }

  stop() {
    this.connections.forEach((connection) => connection.socket.drop());
    this.http.close();
    this.http.closeAllConnections();
  }
}

class ThinConnection {
  constructor(socket) {
    this.socket = socket;
    this.encoder = new ReferenceEncoder(KINDS, INTERVAL);
    this.frames = [];
    this.events = 0;
    socket.onMessage = (bytes) => this.received(decode(bytes));
    socket.onClose = (code) => {
      this.closeCode = code;
    };
  }

  welcome(number) {
    const welcome = [1, number, PLAYER, 2, 0, 60, 20, `resume ${number}`, 1100, 'arena'];
    this.send(welcome);
    this.send([3, 100, INTERVAL, KINDS, '{"map":{"width_m":40}}']);
  }

  received(frame) {
    this.frames.push(frame);
    if (frame[0] === 18) this.send([6, frame[1], 100, 0]);
    if (frame[0] === 16) this.encoder.acknowledge(frame[3], frame[4]);
    if (frame[0] === 17) this.encoder.acknowledge(frame[1], frame[2]);
  }

  snapshot(tick, world) {
    const frame = this.encoder.snapshot(tick, world);
    this.send(frame);
    return frame;
  }

  event(name, payload) {
    this.events += 1;
    this.send([5, this.events, 100, name, payload]);
  }

  send(frame) {
    this.socket.send(encode(frame));
  }

  /** Frames of a number that have arrived. */
  of(number) {
    return this.frames.filter((frame) => frame[0] === number);
  }
}
