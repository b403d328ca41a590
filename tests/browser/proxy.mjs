/**
 * A proxy in front of a server, as operators have one: HTTP/1.1, with a path in front if wanted. It
 * counts the event streams that are open through it, and can cut the way of UDP.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';

const CLIENTS_MAX = 64;

export class Proxy {
  /**
   * @param {string} server Address of the server.
   * @param {{prefix?: string, relaysUdp?: boolean}} [options] A path before everything; and whether
   *   the answers to joins lead datagrams through here.
   */
  static async start(server, { prefix = '', relaysUdp = false } = {}) {
    const proxy = new Proxy();
    proxy.server = new URL(server);
    proxy.prefix = prefix;
    proxy.agent = new http.Agent({ keepAlive: true });
    proxy.streams = new Set();
    proxy.calls = [];
    proxy.relays = new Map();
    proxy.relaysUdp = relaysUdp;
    proxy.isCut = false;
    proxy.http = http.createServer((request, response) => proxy.#forward(request, response));
    proxy.http.listen(0, '127.0.0.1');
    await once(proxy.http, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.http.address().port}${prefix}`;
    return proxy;
  }

  #forward(request, response) {
    const { method, url, headers } = request;
    if (!url.startsWith(`${this.prefix}/`)) {
      response.writeHead(404).end();
      return;
    }
    const path = url.slice(this.prefix.length);
    this.calls.push(`${method} ${path}`);
    if (path.endsWith('/events')) {
      this.streams.add(response);
      response.on('close', () => this.streams.delete(response));
    }
    const { hostname, port } = this.server;
    const onward = http.request(
      { hostname, port, method, path, headers, agent: this.agent },
      (answer) => {
        if (this.relaysUdp && path.endsWith('/join')) this.#rewrite(answer, response);
        else {
          response.writeHead(answer.statusCode, answer.headers);
          response.flushHeaders();
          answer.pipe(response);
        }
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  /** Leads the datagrams that an answer offers through here. */
  async #rewrite(answer, response) {
    const pieces = [];
    for await (const piece of answer) pieces.push(piece);
    const body = JSON.parse(Buffer.concat(pieces).toString());
    for (const offer of body.transports ?? []) {
      if (offer.kind === 'websocket') continue;
      const url = new URL(offer.url.replace(/^quic:/, 'https:'));
      const port = await this.#relay(Number(url.port), url.hostname);
      offer.url = offer.url.replace(`:${url.port}`, `:${port}`);
    }
    const text = JSON.stringify(body);
    const { 'content-length': _, 'content-encoding': __, ...headers } = answer.headers;
    response.writeHead(answer.statusCode, headers).end(text);
  }

  /** The port here that leads to a port of UDP. */
  async #relay(port, host) {
    const known = this.relays.get(port);
    if (known !== undefined) return known.address().port;
    const front = createSocket('udp4');
    const clients = new Map();
    front.on('message', (datagram, from) => {
      if (this.isCut) return;
      const key = `${from.address}:${from.port}`;
      let back = clients.get(key);
      if (back === undefined) {
        if (clients.size >= CLIENTS_MAX) return;
        back = createSocket('udp4');
        back.on('message', (answer) => {
          if (!this.isCut) front.send(answer, from.port, from.address);
        });
        clients.set(key, back);
      }
      back.send(datagram, port, host);
    });
    front.on('close', () => clients.forEach((back) => back.close()));
    front.bind(0, '127.0.0.1');
    await once(front, 'listening');
    this.relays.set(port, front);
    return front.address().port;
  }

  stop() {
    this.relays.forEach((relay) => relay.close());
    this.http.close();
    this.http.closeAllConnections();
    this.agent.destroy();
  }
}
