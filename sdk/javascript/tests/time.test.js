/** Clocks, the lead of inputs, interpolation, rates. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlaybackClock, ServerClock } from '../src/clock.js';
import { InputClock, InputWindow } from '../src/inputs.js';
import { Interpolator } from '../src/interpolation.js';
import { readKinds } from '../src/schema.js';
import { Snapshots } from '../src/snapshots.js';
import { RateMeter } from '../src/stats.js';

const RATE = 60;
const INTERVAL = 3;
const TICK_MS = 1000 / RATE;
const KINDS = [
  [
    'fighter',
    [
      ['x', 0, 0.5, 1000, 0],
      ['aim', 0, 1 / 1024, 1024, 1],
      ['life', 0, 1, 256, 1],
      ['health', 0, 1, 101, 0],
    ],
  ],
];

function fighterAt(states) {
  const snapshots = new Snapshots(readKinds(KINDS));
  states.forEach(([tick, x, aim, life, health], index) => {
    const gone = index === 0 ? null : [];
    snapshots.apply([4, index + 1, tick, null, gone, [0, [1, 0, 15, x, aim, life, health]]]);
  });
  return snapshots;
}

function sample(snapshots, tick) {
  const interpolator = new Interpolator({ tickRate: RATE, interval: INTERVAL });
  return interpolator.sample(snapshots.entities.get(1), tick, snapshots.tick);
}

test('positions move evenly between two snapshots, counts do not', () => {
  const fighter = fighterAt([
    [3, 10, 0, 0, 100],
    [6, 16, 0, 0, 80],
  ]);
  const halfway = sample(fighter, 4.5);
  assert.equal(halfway.x, 6.5);
  assert.equal(halfway.health, 100);
  assert.equal(sample(fighter, 6).health, 80);
  assert.equal(sample(fighter, 2), null);
});

test('an angle goes the shorter way round', () => {
  const fighter = fighterAt([
    [3, 0, 1000, 0, 1],
    [6, 0, 24, 0, 1],
  ]);
  assert.ok(Math.abs(sample(fighter, 4.5).aim) < 1e-9);
  const back = fighterAt([
    [3, 0, 24, 0, 1],
    [6, 0, 1000, 0, 1],
  ]);
  assert.ok(Math.abs(sample(back, 5.25).aim - (1024 - 12) / 1024) < 1e-9);
});

test('a fighter who comes back elsewhere does not slide there', () => {
  const fighter = fighterAt([
    [3, 10, 0, 1, 0],
    [6, 900, 0, 2, 100],
  ]);
  assert.equal(sample(fighter, 5.9).x, 5);
  assert.equal(sample(fighter, 6).x, 450);
});

test('motion goes on for 100 ms without news, and no longer', () => {
  const fighter = fighterAt([
    [3, 10, 0, 0, 1],
    [6, 16, 0, 0, 1],
  ]);
  assert.equal(sample(fighter, 9).x, 11);
  assert.equal(sample(fighter, 12).x, 14);
  assert.equal(sample(fighter, 60).x, 14);
});

test('what rested does not creep when it begins to move', () => {
  const fighter = fighterAt([
    [3, 10, 0, 0, 1],
    [93, 16, 0, 0, 1],
  ]);
  assert.equal(sample(fighter, 60).x, 5);
  assert.equal(sample(fighter, 90).x, 6.5);
});

test('the shown tick is two intervals late, never goes back, and keeps pace under jitter', () => {
  const server = new ServerClock(RATE);
  const playback = new PlaybackClock(server, INTERVAL);
  const arrivals = [];
  for (let tick = 3; tick < 1800; tick += INTERVAL) {
    const jitter = (tick * 7919) % 11;
    arrivals.push([tick * TICK_MS + 40 + jitter, tick]);
  }
  let shown = -Infinity;
  for (let now = 100; now < 29_000; now += 8) {
    while (arrivals.length > 0 && arrivals[0][0] <= now) {
      const [at, tick] = arrivals.shift();
      server.onSnapshot(tick, at);
    }
    const tick = playback.tick(now);
    if (now > 1000) {
      assert.ok(tick > shown, `back at ${now}`);
      const lateMs = now - tick * TICK_MS;
      assert.ok(lateMs > 120 && lateMs < 185, `${lateMs} ms late at ${now}`);
    }
    shown = tick;
  }
});

test('the server is half a round trip ahead of what arrives', () => {
  const server = new ServerClock(RATE);
  for (let tick = 3; tick < 300; tick += 3) server.onSnapshot(tick, tick * TICK_MS + 50);
  for (let count = 0; count < 50; count += 1) server.onPong(0, 100);
  const now = 300 * TICK_MS + 50;
  assert.ok(Math.abs(server.serverTick(now) - 303) < 0.01);
  server.onPong(50, 40);
  assert.ok(Math.abs(server.rttMs - 100) < 0.01);
});

test('the round trip is the shortest of the last, not the wait for a tick', () => {
  const server = new ServerClock(RATE);
  let now = 0;
  // The answer waits for the next tick: up to 16.7 ms more, a little other each time.
  for (let count = 0; count < 40; count += 1) {
    now += 487;
    const there = now + 0.3;
    const answered = Math.ceil(there / TICK_MS) * TICK_MS;
    server.onPong(now, answered + 0.3);
  }
  assert.ok(server.rttMs >= 0.6 && server.rttMs < 2.5, `${server.rttMs} ms`);
  assert.ok(server.usualRttMs > 5, 'inputs wait as well, and are sent so much earlier');
  for (let count = 0; count < 20; count += 1) server.onPong(0, 80);
  assert.equal(server.rttMs, 80, 'a way that became longer is not hidden for ever');
});

/** A server that inputs reach after a fixed way, reporting the lead with each snapshot. */
function steerThrough({ wayMs, skew, startOffTicks, knowsRtt = true, rate = RATE }) {
  const clock = new InputClock(rate);
  const onTheWay = [];
  // As the server has it: an input for a tick that is over is dropped.
  let newestThere = null;
  const reports = [];
  const leads = [];
  const server = { serverTick: startOffTicks, rttMs: knowsRtt ? wayMs * 2 : Number.NaN };
  clock.steer(null, server, 0);
  for (let now = 0; now < 20_000; now += 4) {
    const serverTick = Math.floor((now * rate) / 1000);
    const { first, count } = clock.due(now * skew);
    for (let tick = first; tick < first + count; tick += 1) onTheWay.push([now + wayMs, tick]);
    while (onTheWay.length > 0 && onTheWay[0][0] <= now) {
      const tick = onTheWay.shift()[1];
      if (tick > serverTick && tick <= serverTick + 64) newestThere = tick;
    }
    const lead = newestThere === null ? null : newestThere - serverTick;
    if (now % 48 === 0) reports.push([now + wayMs, lead]);
    while (reports.length > 0 && reports[0][0] <= now) {
      const told = { serverTick, rttMs: wayMs * 2 };
      const reported = reports.shift()[1];
      clock.steer(reported, told, now * skew);
      if (now > 8000) leads.push(reported);
    }
  }
  return leads;
}

test('the lead settles at 1 to 3 ticks, whatever the way, the start and the local clock', () => {
  const cases = [
    { wayMs: 5, skew: 1, startOffTicks: 0 },
    { wayMs: 100, skew: 1, startOffTicks: 0 },
    { wayMs: 60, skew: 1, startOffTicks: -8 },
    { wayMs: 60, skew: 1, startOffTicks: 9 },
    { wayMs: 60, skew: 1, startOffTicks: 200 },
    { wayMs: 60, skew: 1, startOffTicks: -200 },
    { wayMs: 60, skew: 1, startOffTicks: -4, knowsRtt: false },
    { wayMs: 30, skew: 1.01, startOffTicks: 0 },
    { wayMs: 30, skew: 0.99, startOffTicks: 0 },
  ];
  for (const one of cases) {
    const leads = steerThrough(one);
    const good = leads.filter((lead) => lead >= 0 && lead <= 4).length / leads.length;
    const best = leads.filter((lead) => lead >= 1 && lead <= 3).length / leads.length;
    assert.ok(good > 0.99 && best > 0.9, `${JSON.stringify(one)}: ${good}, ${best}`);
  }
});

test('at 20 ticks a second an input waits for one tick, not for a tenth of a second', () => {
  for (const wayMs of [5, 60]) {
    const leads = steerThrough({ wayMs, skew: 1, startOffTicks: 3, rate: 20 });
    const mean = leads.reduce((sum, lead) => sum + lead, 0) / leads.length;
    const late = leads.filter((lead) => lead < 0).length / leads.length;
    assert.ok(mean > 0.5 && mean < 1.5 && late < 0.01, `${mean} ticks, ${late} late`);
  }
});

test('after a pause at most eight ticks are made up for, and none twice', () => {
  const clock = new InputClock(RATE);
  assert.equal(clock.due(0).count, 0);
  clock.steer(null, { serverTick: 100, rttMs: Number.NaN }, 0);
  const early = clock.due(0);
  const late = clock.due(5000);
  assert.ok(late.count === 8 && late.first > early.first + early.count);
  assert.equal(clock.due(5000).count, 0);
});

test('a frame repeats the three inputs before, and none across a gap', () => {
  const window = new InputWindow();
  const seen = { newest: 9, before: 3 };
  for (const tick of [1, 2, 3, 4]) window.frame(tick, [tick], seen);
  assert.deepEqual(window.frame(5, [5], seen), [16, 5, [[5], [4], [3], [2]], 9, 3]);
  assert.deepEqual(window.frame(8, [8], seen), [16, 8, [[8]], 9, 3]);
});

test('rates are counted over the last second', () => {
  const meter = new RateMeter();
  meter.reset(0);
  assert.equal(meter.update(500, { down: 1, up: 1, taken: 1, newest: 1 }), false);
  assert.equal(meter.update(2000, { down: 4000, up: 600, taken: 30, newest: 40 }), true);
  assert.deepEqual(meter.rates, {
    snapshotsPerS: 15,
    bytesPerSDown: 2000,
    bytesPerSUp: 300,
    lossPercent: 25,
  });
});
