/** What the connection is like: numbers and their last minute. */
import { h, setText } from './dom.js';

const SAMPLES = 60;
const ROWS = [
  { id: 'transport', name: 'Transport', show: ({ transport }) => transport },
  {
    id: 'rtt',
    name: 'Round trip',
    title: 'To the server and back, the shortest of the last ten seconds',
    value: ({ rttMs }) => rttMs,
    show: ({ rttMs }) => (rttMs === null ? '–' : `${rttMs.toFixed(rttMs < 9.95 ? 1 : 0)} ms`),
  },
  {
    id: 'snapshots',
    name: 'Snapshots',
    value: ({ snapshotsPerS }) => snapshotsPerS,
    show: ({ snapshotsPerS }) => `${Math.round(snapshotsPerS)} /s`,
  },
  {
    id: 'down',
    name: 'Down',
    value: ({ bytesPerSDown }) => bytesPerSDown,
    show: ({ bytesPerSDown }) => kilobytes(bytesPerSDown),
  },
  {
    id: 'up',
    name: 'Up',
    value: ({ bytesPerSUp }) => bytesPerSUp,
    show: ({ bytesPerSUp }) => kilobytes(bytesPerSUp),
  },
  {
    id: 'loss',
    name: 'Loss',
    title: 'Snapshots that did not arrive, of the last second',
    value: ({ lossPercent }) => lossPercent,
    show: ({ lossPercent }) =>
      `${lossPercent.toFixed(lossPercent > 0 && lossPercent < 10 ? 1 : 0)} %`,
  },
  {
    id: 'lead',
    name: 'Input lead',
    title: 'How early the own inputs are at the server',
    value: ({ lead }) => lead,
    show: ({ lead }) => (lead === null ? '–' : `${lead} ticks`),
  },
  {
    id: 'delay',
    name: 'Shown after',
    title: 'How long after its arrival a snapshot is shown, so that the next one is there by then',
    show: ({ playbackDelayMs }) => `${Math.round(playbackDelayMs)} ms`,
  },
];

/** @returns {{element: HTMLElement, update(stats: any): void}} */
export function networkPanel() {
  const cells = ROWS.map(({ id, name, title, value }) => {
    const text = h('dd', { 'data-testid': `net-${id}` }, '–');
    const spark = value ? h('canvas', { class: 'spark', 'aria-hidden': 'true' }) : null;
    const row = h('div', { title }, h('dt', {}, name), spark, text);
    return { row, text, spark, samples: [] };
  });
  const element = h(
    'details',
    { class: 'panel network', open: innerWidth > 700, 'data-testid': 'network-panel' },
    h('summary', {}, h('h2', {}, 'Network')),
    h('dl', {}, ...cells.map(({ row }) => row)),
  );
  const update = (stats) => {
    ROWS.forEach(({ show, value }, index) => {
      const cell = cells[index];
      setText(cell.text, show(stats));
      if (!value) return;
      cell.samples.push(value(stats) ?? 0);
      if (cell.samples.length > SAMPLES) cell.samples.shift();
      if (element.open) drawSpark(cell.spark, cell.samples);
    });
  };
  return { element, update };
}

function drawSpark(canvas, samples) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  if (width === 0) return;
  canvas.width = width;
  canvas.height = height;
  const c = canvas.getContext('2d');
  const most = Math.max(1, ...samples);
  // What there is fills the width: it is a line after two seconds already.
  const step = width / Math.max(1, samples.length - 1);
  c.strokeStyle = getComputedStyle(canvas).color;
  c.lineWidth = 1.5 * ratio;
  c.beginPath();
  samples.forEach((sample, index) => {
    const x = index * step;
    const y = height - ratio - (Math.max(0, sample) / most) * (height - 2 * ratio);
    if (index === 0) c.moveTo(x, y);
    else c.lineTo(x, y);
  });
  c.stroke();
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB/s`;
}
