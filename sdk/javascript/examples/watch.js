/** Watches a match: `watch.html?url=http://127.0.0.1:8080&session=ID`; both may be left out. */
import { Api, connect } from '../src/index.js';

const wish = new URLSearchParams(location.search);
const says = document.getElementById('says');
const canvas = document.getElementById('map');
const pen = canvas.getContext('2d');

try {
  // The SDK stands beside the API, behind the same path if there is one.
  const api = new Api({ url: wish.get('url') ?? new URL('../../', location).href });
  const session = wish.get('session') ?? (await api.sessions({ state: 'running' })).items[0]?.id;
  if (!session) throw new Error('No match is running.');
  const match = await connect(await api.join(session, { role: 'spectator', view: 'all' }));
  match.on('close', ({ name }) => {
    says.textContent = `Over: ${name}`;
  });
  match.on('stats', (stats) => {
    says.textContent = `${stats.transport}, ${Math.round(stats.snapshotsPerS)} snapshots/s`;
  });
  const { map } = match.config;
  const scale = Math.min(canvas.width / map.width_m, canvas.height / map.height_m);
  const draw = () => {
    requestAnimationFrame(draw);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(scale, 0, 0, -scale, 0, map.height_m * scale);
    pen.lineWidth = 0.1;
    pen.strokeRect(0, 0, map.width_m, map.height_m);
    pen.fillStyle = '#99a';
    for (const [left, bottom, right, top] of map.walls) {
      pen.fillRect(left, bottom, right - left, top - bottom);
    }
    for (const { x, y, life } of match.entities()) {
      pen.fillStyle = life % 2 === 0 ? '#d42' : '#ccc';
      pen.beginPath();
      pen.arc(x, y, 0.4, 0, 7);
      pen.fill();
    }
  };
  draw();
} catch (error) {
  says.textContent = error.message;
}
