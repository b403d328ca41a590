/**
 * A player in a terminal: joins a practice match of arena, walks to the nearest fighter and shoots.
 *
 *     node examples/bot.mjs [URL] [SECONDS]
 *
 * Ends with 1 when it was never sent a snapshot. Node 22 or newer.
 */
import { Api, connect } from '../src/index.js';

const url = process.argv[2] ?? process.env.GAMESERVER_URL ?? 'http://127.0.0.1:8080';
const seconds = Number(process.argv[3] ?? 20);
const FIRE = 1;
const NEUTRAL = [0, 0, 0, 0];

async function practice(api) {
  const filter = { game: 'arena', mode: 'practice', free_slots_min: 1 };
  const { items } = await api.sessions(filter);
  const open = items.find(({ state }) => ['filling', 'starting', 'running'].includes(state));
  return (
    open ?? api.createSession({ game: 'arena', mode: 'practice', name: 'A bot from JavaScript' })
  );
}

/** `[stick x, stick y, aim, buttons]` towards the nearest living opponent. */
function decide(fighters, seat) {
  const own = fighters.find((fighter) => fighter.seat === seat);
  const isAlive = (fighter) => fighter.life % 2 === 0;
  const others = fighters.filter((fighter) => fighter.seat !== seat && isAlive(fighter));
  if (!own || !isAlive(own) || others.length === 0) return NEUTRAL;
  const way = ({ x, y }) => Math.hypot(x - own.x, y - own.y);
  const target = others.reduce((best, other) => (way(other) < way(best) ? other : best));
  const [dx, dy] = [target.x - own.x, target.y - own.y];
  const length = Math.hypot(dx, dy) || 1;
  const turns = Math.atan2(dy, dx) / (2 * Math.PI);
  const aim = Math.floor((turns - Math.floor(turns)) * 65_536) & 0xffff;
  return [Math.round((100 * dx) / length), Math.round((100 * dy) / length), aim, FIRE];
}

const api = new Api({ url });
const session = await practice(api);
const match = await connect(await api.join(session.id), { neutralInput: NEUTRAL, build: 'js-bot' });
console.log(`playing “${session.name}” in seat ${match.seat} over ${match.stats.transport}`);

let snapshots = 0;
let kills = 0;
const rates = [];
match.on('snapshot', () => {
  snapshots += 1;
  match.sendInput(decide(match.latest(), match.seat));
});
match.on('event', ({ name, payload: [killer] }) => {
  if (name === 'kill' && killer === match.seat) kills += 1;
});
match.on('stats', ({ bytesPerSDown, bytesPerSUp }) => rates.push([bytesPerSDown, bytesPerSUp]));
match.on('close', ({ name, text }) => console.log(`closed: ${name} ${text}`));

await new Promise((resolve) => {
  const timer = setTimeout(resolve, seconds * 1000);
  match.on('close', () => {
    clearTimeout(timer);
    resolve();
  });
});
match.leave();
const mean = (index) =>
  (rates.reduce((sum, rate) => sum + rate[index], 0) / Math.max(1, rates.length) / 1000).toFixed(1);
console.log(`${snapshots} snapshots, ${kills} kills, ${mean(0)} kB/s down, ${mean(1)} kB/s up`);
process.exit(snapshots > 0 ? 0 : 1);
