/** The console's copy of arena's maths, and the prediction that rests on it. Needs no browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  aimRadians,
  aimTowards,
  discHit,
  pushOut,
  rayLength,
  step,
} from '../../assets/console/arena/map.js';
import { Predictor } from '../../assets/console/arena/predict.js';
import { Roster } from '../../assets/console/arena/roster.js';
import { sentenceForMatchEnd } from '../../assets/console/ends.js';
import { InputClock } from '../../sdk/javascript/src/inputs.js';
import { Route } from './route.mjs';

const RATE = 60;
const CONFIG = {
  map: { width_m: 40, height_m: 30, walls: [[10, 10, 12, 14]] },
  movement: { speed_max_m_per_s: 6, acceleration_m_per_s2: 60, body_radius_m: 0.4 },
};
const RIGHT = [100, 0, 0, 0];
const near = (a, b, within = 1e-6) => assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);

test('a body reaches its top speed and no more, also across', () => {
  for (const stick of [RIGHT, [100, 100, 0, 0], [-100, 40, 0, 0]]) {
    let body = { x: 20, y: 5, vx: 0, vy: 0 };
    for (let tick = 0; tick < 20; tick += 1) body = step(CONFIG, RATE, body, stick);
    near(Math.hypot(body.vx, body.vy), 6);
  }
});

test('a body is pushed out of a wall and into the arena', () => {
  near(pushOut(CONFIG, 9.9, 12)[0], 9.6);
  near(pushOut(CONFIG, 11.9, 12)[0], 12.4);
  assert.deepEqual(pushOut(CONFIG, -5, 500), [0.4, 29.6]);
});

test('a route leads around walls from everywhere', () => {
  const goal = { x: 14, y: 12 };
  const route = new Route(CONFIG, goal);
  const way = { right: [1, 0], left: [-1, 0], up: [0, 1], down: [0, -1] };
  for (const [x, y] of [[1, 1], [8, 12], [9.5, 12], [39, 29], [9.45, 14.5]]) {
    let body = { x, y, vx: 0, vy: 0 };
    for (let tick = 0; tick < 600; tick += 1) {
      const stick = [0, 0];
      for (const key of route.keysAt(body)) {
        stick[0] += 100 * way[key][0];
        stick[1] += 100 * way[key][1];
      }
      body = step(CONFIG, RATE, body, stick);
    }
    assert.ok(Math.hypot(body.x - goal.x, body.y - goal.y) < 1.5, JSON.stringify(body));
  }
});

test('a ray ends at a wall, at the border or at its range', () => {
  near(rayLength(CONFIG, 5, 12, 1, 0, 25), 5);
  near(rayLength(CONFIG, 5, 12, -1, 0, 25), 5);
  near(rayLength(CONFIG, 5, 5, 1, 0, 25), 25);
});

test('a disc is hit in front and missed behind or beside', () => {
  near(discHit(0, 0, 1, 0, 10, 0, 0.5), 9.5);
  assert.equal(discHit(0, 0, 1, 0, -10, 0, 0.5), null);
  assert.equal(discHit(0, 0, 1, 0, 10, 0.6, 0.5), null);
});

test('an aim survives the way through a direction', () => {
  for (const aim of [0, 1000, 16_384, 40_000, 65_000]) {
    const angle = aimRadians(aim);
    const back = aimTowards(Math.cos(angle), Math.sin(angle));
    assert.ok(Math.abs(back - aim) <= 1, `${aim} became ${back}`);
  }
});

/** A server that gets the inputs a few ticks later, and reports every third tick. */
function play({ late, shove = () => null }) {
  const predictor = new Predictor(CONFIG, RATE);
  let body = { x: 5, y: 12, vx: 0, vy: 0 };
  let worst = 0;
  predictor.onSnapshot(0, { x: 5, y: 12, life: 0 }, 0);
  const inputs = new Map();
  for (let now = 1; now < 400; now += 1) {
    const nowMs = (now * 1000) / RATE;
    const ahead = now + late;
    const input = now % 90 < 45 ? [100, now % 7 === 0 ? 50 : 0, 0, 0] : [-60, -100, 0, 0];
    inputs.set(ahead, input);
    predictor.onInput(ahead, input, nowMs);
    body = step(CONFIG, RATE, body, inputs.get(now) ?? [0, 0, 0, 0]);
    body = shove(now, body) ?? body;
    if (now % 3 === 0) {
      const round = (value) => Math.round(value * 256) / 256;
      predictor.onSnapshot(now, { x: round(body.x), y: round(body.y), life: 0 }, nowMs);
    }
    const then = predictor.history[now % 128];
    if (now > late + 4 && then?.tick === now) {
      worst = Math.max(worst, Math.hypot(then.body.x - body.x, then.body.y - body.y));
    }
  }
  return { predictor, worst };
}

test('the prediction is what the server does, walls included', () => {
  for (const late of [2, 6, 15]) {
    const { predictor, worst } = play({ late });
    assert.ok(worst < 0.1, `${worst} m off`);
    assert.equal(predictor.corrections <= 1, true, `${predictor.corrections} corrections`);
  }
});

test('a push that was not foreseen is corrected, and stays so', () => {
  const shove = (now, body) => (now === 200 ? { ...body, y: body.y + 1 } : null);
  const { predictor } = play({ late: 6, shove });
  assert.ok(predictor.corrections >= 1 && predictor.corrections < 8, `${predictor.corrections}`);
});

test('the own fighter is drawn at an even speed, however late timers are', () => {
  const clock = new InputClock(RATE);
  const predictor = new Predictor(CONFIG, RATE, (nowMs) => clock.at(nowMs));
  clock.steer(null, { serverTick: 0, rttMs: 20 }, 0);
  predictor.onSnapshot(0, { x: 1, y: 5, life: 0 }, 0);
  // Timers fire 1 to 11 ms after each other, pictures come every 16.7 ms.
  let [nextMs, pictureMs, chance] = [0, 0, 1];
  const speeds = [];
  let before = null;
  for (let now = 0; now < 3000; now += 0.1) {
    if (now >= nextMs) {
      chance = (chance * 48_271) % 2_147_483_647;
      nextMs = now + 1 + (chance % 100) / 10;
      const { first, count } = clock.due(now);
      for (let tick = first; tick < first + count; tick += 1) predictor.onInput(tick, RIGHT, now);
    }
    if (now >= pictureMs) {
      pictureMs += 1000 / 60;
      const { x } = predictor.shown(now);
      if (before !== null && now > 500) speeds.push(((x - before.x) * 1000) / (now - before.now));
      before = { x, now };
    }
  }
  const [least, most] = [Math.min(...speeds), Math.max(...speeds)];
  assert.ok(least > 5.7 && most < 6.3, `${least.toFixed(2)} to ${most.toFixed(2)} m/s drawn at 6`);
});

test('who comes back elsewhere is there at once', () => {
  const predictor = new Predictor(CONFIG, RATE);
  predictor.onSnapshot(3, { x: 5, y: 5, life: 0 }, 0);
  predictor.onSnapshot(6, { x: 5, y: 5, life: 1 }, 50);
  predictor.onInput(9, RIGHT, 60);
  assert.equal(predictor.shown(80).x, 5, 'the dead do not move');
  predictor.onSnapshot(12, { x: 30, y: 20, life: 2 }, 100);
  assert.deepEqual(predictor.shown(100), { x: 30, y: 20 });
});

test('scores are counted from events and put right by what is seen', () => {
  const roster = new Roster();
  const event = (name, payload, tick = 10) => roster.onEvent({ name, payload, tick });
  event('phase', ['running', 0]);
  event('joined', [
    [0, 'ann'],
    [1, 'bob'],
  ]);
  event('kill', [1, 0], 500);
  assert.deepEqual(
    roster.standings().map(({ name, kills }) => [name, kills]),
    [
      ['bob', 1],
      ['ann', 0],
    ],
  );
  roster.onFighters([{ seat: 0, kills: 4, deaths: 1 }]);
  assert.equal(roster.standings()[0].name, 'ann');
  event('left', [0], 600);
  assert.deepEqual(
    roster.standings().map(({ name }) => name),
    ['bob'],
  );
  assert.deepEqual(
    roster.feed.map(({ kind }) => kind),
    ['kill', 'note'],
  );
});

function rosterOf(...names) {
  const roster = new Roster();
  const event = (name, payload, tick = 500) => roster.onEvent({ name, payload, tick });
  event('phase', ['running', 0], 1);
  event('joined', names.map((name, seat) => [seat, name]), 1);
  return { roster, event };
}

test('the end of a match names who has won, from the rows as the server sends them', () => {
  const over = { name: 'match_over', text: '' };
  const { roster, event } = rosterOf('ann', 'bob', 'cyd');
  event('over', [
    [1, 2, 7],
    [0, 1, 10],
    [2, 3, 0],
  ]);
  assert.deepEqual(roster.result[0], [0, 1, 10]);
  assert.equal(sentenceForMatchEnd(roster, 1, over), 'The match is over: ann has won.');
  assert.equal(sentenceForMatchEnd(roster, 0, over), 'The match is over: you have won.');
  const tie = rosterOf('ann', 'bob');
  tie.event('over', [
    [0, 1, 3],
    [1, 1, 3],
  ]);
  assert.match(sentenceForMatchEnd(tie.roster, null, over), /ann and bob share the first place/);
});

test('a match that was stopped is not told as one that is over', () => {
  const over = { name: 'match_over', text: '' };
  const { roster, event } = rosterOf('ann');
  assert.match(sentenceForMatchEnd(roster, 0, over), /ended before it was decided/);
  event('draining', [10]);
  assert.match(sentenceForMatchEnd(roster, 0, over), /server was stopped/);
  assert.match(sentenceForMatchEnd(roster, 0, { name: 'kicked', text: '' }), /removed/);
});

test('who comes late knows the scores of those whom they have not seen', () => {
  const { roster, event } = rosterOf('ann', 'bob');
  event('scores', [
    [0, 4, 1],
    [1, 1, 4],
  ]);
  assert.deepEqual(
    roster.standings().map(({ name, kills, deaths }) => [name, kills, deaths]),
    [
      ['ann', 4, 1],
      ['bob', 1, 4],
    ],
  );
  event('kill', [0, 1]);
  assert.equal(roster.standings()[0].kills, 5);
});

test('a kill before the start is said not to count, and counts nowhere', () => {
  const { roster, event } = rosterOf('ann', 'bob');
  event('phase', ['starting', 100], 100);
  event('kill', [0, 1]);
  roster.onFighters([{ seat: 0, kills: 1, deaths: 0 }]);
  assert.equal(roster.standings()[0].kills, 0);
  assert.match(roster.feed.at(-1).text, /does not count yet/);
  event('phase', ['running', 600], 600);
  event('kill', [0, 1], 700);
  assert.equal(roster.standings()[0].kills, 1);
});
