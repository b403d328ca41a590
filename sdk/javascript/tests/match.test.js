/** Matches against a small thin server: inputs, events, reconnecting, ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ConnectError, RefusedError } from '../src/index.js';
import { KINDS, ThinServer } from './support/thin-server.js';

const SOON_MS = 5000;

/** Resolves with the payload of the next such event. */
function next(match, name, isIt = () => true, withinMs = SOON_MS) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name}`)), withinMs);
    const stop = match.on(name, (payload) => {
      if (!isIt(payload)) return;
      clearTimeout(timer);
      stop();
      resolve(payload);
    });
  });
}

async function withServer(run) {
  const server = await ThinServer.start();
  try {
    await run(server);
  } finally {
    server.stop();
  }
}

function world(x) {
  return new Map([[7, { kind: 0, q: [x, 2] }]]);
}

test('a player connects, is told what the match is, and sees it move', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    assert.equal(server.hellos[0][2], 1, 'thin mode');
    assert.deepEqual(server.hellos[0].slice(3, 5), [0, 'a ticket']);
    assert.equal(match.seat, 2);
    assert.equal(match.welcome.player, 'abababab-abab-abab-abab-abababababab');
    assert.deepEqual(match.config, { map: { width_m: 40 } });
    assert.equal(match.kinds[0].name, KINDS[0][0]);
    const [connection] = server.connections;
    for (const x of [4, 8]) {
      const seen = next(match, 'snapshot');
      connection.snapshot(100 + x, world(x));
      await seen;
    }
    assert.deepEqual(match.latest(), [{ id: 7, kind: 'fighter', tick: 108, x: 2, seat: 2 }]);
    assert.equal(match.stats.transport, 'websocket');
    match.leave();
    assert.equal(match.end.name, 'consented');
  }));

test('inputs go out once a tick, ahead of the server, and acknowledge', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    match.sendInput([1, 2, 3, 4]);
    const [connection] = server.connections;
    let tick = 100;
    const timer = setInterval(() => connection.snapshot((tick += 3), world(tick)), 50);
    await next(match, 'tick', ({ tick: sent }) => sent > 130);
    clearInterval(timer);
    match.leave();
    const inputs = connection.of(16);
    const ticks = inputs.map((frame) => frame[1]);
    assert.deepEqual(
      ticks,
      [...new Set(ticks)].sort((a, b) => a - b),
    );
    const last = inputs.at(-1);
    assert.ok(last[3] > 3, 'acknowledges');
    assert.deepEqual(last[2], new Array(4).fill([1, 2, 3, 4]));
  }));

test('events and chat arrive, and a listener that throws harms nobody', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const [connection] = server.connections;
    const kill = next(match, 'event', ({ name }) => name === 'kill');
    connection.send([99, 'a frame of a later version']);
    connection.event('kill', [1, 2]);
    assert.deepEqual((await kill).payload, [1, 2]);
    assert.equal(match.chat('hello'), true);
    assert.equal(match.chat(''), false);
    assert.equal(match.chat('x'.repeat(201)), false);
    assert.equal(match.chat('a\nb'), false);
    const pong = next(match, 'stats');
    assert.equal((await pong).transport, 'websocket');
    assert.deepEqual(connection.of(19), [[19, 'hello']]);
    assert.ok(match.stats.rttMs >= 0);
    match.leave();
  }));

test('what is said right behind the Welcome is not missed', () =>
  withServer(async (server) => {
    server.onConnection = (connection) => {
      for (const seat of [0, 1, 2]) connection.event('joined', [[seat, `player ${seat}`]]);
    };
    const match = await connect(server.joinAnswer());
    const seats = [];
    match.on('event', ({ payload }) => seats.push(payload[0][0]));
    await next(match, 'event', ({ payload }) => payload[0][0] === 2);
    assert.deepEqual(seats, [0, 1, 2]);
    match.leave();
  }));

test('a broken connection is taken up again with the resume token', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const again = next(match, 'start');
    server.connections[0].socket.drop();
    await again;
    assert.deepEqual(server.hellos[1].slice(3, 5), [1, 'resume 1']);
    const seen = next(match, 'snapshot');
    server.connections[1].snapshot(200, world(12));
    await seen;
    assert.equal(match.latest()[0].x, 3);
    match.leave();
  }));

test('when the seat is gone a new ticket is asked for', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer(), {
      rejoin: async () => ({ ...server.joinAnswer(), ticket: 'a new ticket' }),
    });
    server.judge = (hello) => (hello[3] === 1 ? [6, 'gone'] : null);
    const again = next(match, 'start');
    server.connections[0].socket.drop();
    await again;
    assert.deepEqual(
      server.hellos.map((hello) => hello[4]),
      ['a ticket', 'resume 1', 'a new ticket'],
    );
    match.leave();
  }));

test('the end of the match is final, and its reason is told', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const closed = next(match, 'close');
    server.connections[0].send([7, 9, 'well played']);
    server.connections[0].socket.close(4009);
    assert.deepEqual(await closed, { name: 'match_over', text: 'well played' });
    assert.equal(server.hellos.length, 1);
  }));

test('an announced end counts, even when the close never comes', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const closed = next(match, 'close');
    server.connections[0].send([7, 1, 'out']);
    assert.deepEqual(await closed, { name: 'kicked', text: 'out' });
  }));

test('a refusal is told by its name', () =>
  withServer(async (server) => {
    server.judge = () => [3, 'too late'];
    const refused = connect(server.joinAnswer());
    await assert.rejects(
      refused,
      (error) =>
        error instanceof RefusedError &&
        error.code === 'ticket_expired' &&
        error.text === 'too late' &&
        error.retryAfterMs === null,
    );
  }));

test('a refusal by an overloaded server says when to come back', () =>
  withServer(async (server) => {
    server.judge = () => [14, 'full', 2000];
    await assert.rejects(
      connect(server.joinAnswer()),
      (error) =>
        error instanceof RefusedError && error.code === 'overloaded' && error.retryAfterMs === 2000,
    );
  }));

test('a refusal that says when to come back is come back from, not before', () =>
  withServer(async (server) => {
    const times = [];
    server.judge = () => {
      times.push(performance.now());
      return times.length < 3 ? [14, 'full', 300] : null;
    };
    const tickets = ['second', 'third'];
    const match = await connect(server.joinAnswer(), {
      rejoin: async () => ({ ...server.joinAnswer(), ticket: tickets.shift() }),
    });
    assert.deepEqual(
      server.hellos.map((hello) => hello[4]),
      ['a ticket', 'second', 'third'],
    );
    assert.ok(times[1] - times[0] >= 290 && times[2] - times[1] >= 290, String(times));
    match.leave();
  }));

test('who comes back to a full server keeps the token, and waits as long as it says', () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const again = next(match, 'start');
    const times = [];
    server.judge = () => {
      times.push(performance.now());
      return times.length < 2 ? [14, 'full', 1200] : null;
    };
    server.connections[0].socket.drop();
    await again;
    assert.deepEqual(
      server.hellos.slice(1).map((hello) => hello.slice(3, 5)),
      [
        [1, 'resume 1'],
        [1, 'resume 1'],
      ],
    );
    assert.ok(times[1] - times[0] >= 1190, `${times[1] - times[0]} ms`);
    match.leave();
  }));

test('a server that says nothing any more is left, and the seat is kept', { timeout: 30_000 }, () =>
  withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const [silent] = server.connections;
    // It stays connected, and answers no ping.
    silent.socket.onMessage = () => {};
    const broken = await next(match, 'reconnecting', () => true, 15_000);
    assert.equal(broken.name, 'timeout');
    await next(match, 'start');
    assert.deepEqual(server.hellos[1].slice(3, 5), [1, 'resume 1']);
    assert.equal(silent.closeCode, 4010, 'not as somebody who leaves');
    match.leave();
  }));

test('whatever a server sends, the connection ends with protocol_error', async () => {
  const wrong = [
    [4, 1, 3, null, null, [0, [1, 9, 1, 1]]],
    [4, 'x'],
    'no array',
    [5, 1, 2, 3, 4],
    [7],
    [6, -1],
  ];
  for (const frame of wrong) {
    await withServer(async (server) => {
      const match = await connect(server.joinAnswer());
      const closed = next(match, 'close');
      server.connections[0].send(frame);
      assert.equal((await closed).name, 'protocol_error', JSON.stringify(frame));
    });
  }
  await withServer(async (server) => {
    const match = await connect(server.joinAnswer());
    const closed = next(match, 'close');
    server.connections[0].socket.sendText('text');
    assert.equal((await closed).name, 'protocol_error');
  });
});

test('a program without any transport is told so, and does not blame the server', async () => {
  const answer = { ticket: 't', role: 'player', transports: [{ kind: 'websocket', url: 'ws://x' }] };
  const nothing = { WebSocket: null, WebTransport: null };
  await assert.rejects(
    connect(answer, nothing),
    (error) => error.code === 'no_transport' && /Node has WebSocket from version 22/.test(error.message),
  );
});

test('no transport and no server are told apart', async () => {
  const offer = (kind, url) => ({
    ...{ ticket: 't', role: 'player' },
    transports: [{ kind, url }],
  });
  const code = (wanted) => (error) => error instanceof ConnectError && error.code === wanted;
  await assert.rejects(connect(offer('quic', 'quic://127.0.0.1:1')), code('no_transport'));
  await assert.rejects(connect(offer('websocket', 'ws://127.0.0.1:1')), code('unreachable'));
});
