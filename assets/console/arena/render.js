/**
 * Draws arena on a canvas: the map, fighters, shots. Knows no network; it is given what to show.
 */
import { discHit, rayLength } from './map.js';

const TRACER_MS = 130;
const HIT_MS = 180;
const TRACERS_MAX = 256;
const SHOTS_COUNT = 256;
/** Metres that are seen at least when one fighter is followed: across, and upwards. */
const FOLLOW_M = [22, 20];
const GRID_M = 5;
/** Characters of a name that are drawn; from so many pixels a metre on there is room for all. */
const NAME_MAX = 32;
const NAME_MAX_FAR = 16;
const NEAR_SCALE = 24;
const COLOURS = [
  '--ink',
  '--floor',
  '--grid',
  '--wall',
  '--wall-edge',
  '--own',
  '--foe',
  '--shot',
  '--dead',
  '--label',
  '--hurt',
];

export class ArenaRenderer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.config = null;
    this.camera = { x: 0, y: 0, scale: 10, isSet: false };
    this.tracers = [];
    /** By entity: what was seen last, to notice shots and hits. */
    this.seen = new Map();
    this.still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.readColours = this.readColours.bind(this);
    this.scheme.addEventListener('change', this.readColours);
    this.readColours();
    this.resize();
  }

  close() {
    this.observer.disconnect();
    this.scheme.removeEventListener('change', this.readColours);
  }

  /** @param {any} config Of the match. */
  setConfig(config) {
    this.config = config;
    this.camera.isSet = false;
    this.seen.clear();
    this.tracers.length = 0;
  }

  /**
   * @param {{fighters: any[], ownSeat?: number | null, follow?: {x: number, y: number} | null,
   *   nameOf(seat: number): string, sticks?: Iterable<any>}} scene Positions in metres, `aim` of
   *   fighters in turns.
   * @param {number} nowMs
   */
  draw(scene, nowMs) {
    const { context: c } = this;
    this.moveCamera(scene.follow ?? null);
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = this.colour['--wall'];
    c.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.config?.map === undefined) return;
    this.drawMap(scene);
    for (const fighter of scene.fighters) this.noticeShots(fighter, scene, nowMs);
    this.drawTracers(nowMs);
    const order = [...scene.fighters].sort((a, b) => (b.life % 2) - (a.life % 2));
    for (const fighter of order) this.drawFighter(fighter, scene, nowMs);
    this.drawSticks(scene.sticks ?? []);
    if (this.seen.size > scene.fighters.length + 64) this.forget(scene.fighters);
  }

  /** Place on the canvas, in CSS pixels, to metres. */
  toWorld(x, y) {
    const ratio = this.ratio / this.camera.scale;
    return [
      this.camera.x + (x - this.canvas.clientWidth / 2) * ratio,
      this.camera.y - (y - this.canvas.clientHeight / 2) * ratio,
    ];
  }

  resize() {
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * this.ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * this.ratio));
    this.camera.isSet = false;
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colour = Object.fromEntries(
      COLOURS.map((name) => [name, style.getPropertyValue(name).trim()]),
    );
  }

  moveCamera(follow) {
    const { width, height } = this.canvas;
    const map = this.config?.map;
    if (map === undefined) return;
    const whole = Math.min(width / (map.width_m + 1), height / (map.height_m + 1));
    const near = Math.max(whole, Math.min(width / FOLLOW_M[0], height / FOLLOW_M[1]));
    const scale = follow === null ? whole : near;
    this.isNear = follow !== null || scale > NEAR_SCALE * this.ratio;
    const target = {
      x: centred(follow?.x ?? map.width_m / 2, map.width_m, width / scale),
      y: centred(follow?.y ?? map.height_m / 2, map.height_m, height / scale),
    };
    // Following a fighter must not lag, or aiming would; only the first jump is not worth easing.
    Object.assign(this.camera, target, { scale, isSet: true });
  }

  x(metres) {
    return this.canvas.width / 2 + (metres - this.camera.x) * this.camera.scale;
  }
  y(metres) {
    return this.canvas.height / 2 - (metres - this.camera.y) * this.camera.scale;
  }

  drawMap({ ownSeat, follow }) {
    const {
      context: c,
      camera: { scale },
      config: { map, sight },
    } = this;
    c.fillStyle = this.colour['--floor'];
    c.fillRect(this.x(0), this.y(map.height_m), map.width_m * scale, map.height_m * scale);
    c.strokeStyle = this.colour['--grid'];
    c.lineWidth = this.ratio;
    c.beginPath();
    for (let x = GRID_M; x < map.width_m; x += GRID_M) {
      c.moveTo(this.x(x), this.y(0));
      c.lineTo(this.x(x), this.y(map.height_m));
    }
    for (let y = GRID_M; y < map.height_m; y += GRID_M) {
      c.moveTo(this.x(0), this.y(y));
      c.lineTo(this.x(map.width_m), this.y(y));
    }
    c.stroke();
    const isLimited = ownSeat !== null && ownSeat !== undefined && follow && sight?.radius_m;
    if (isLimited) this.ring(follow.x, follow.y, sight.radius_m, this.colour['--grid'], 2);
    c.fillStyle = this.colour['--wall'];
    c.strokeStyle = this.colour['--wall-edge'];
    for (const [left, bottom, right, top] of map.walls) {
      const box = [this.x(left), this.y(top), (right - left) * scale, (top - bottom) * scale];
      c.fillRect(...box);
      c.strokeRect(...box);
    }
    c.strokeRect(this.x(0), this.y(map.height_m), map.width_m * scale, map.height_m * scale);
  }

  drawFighter(fighter, { ownSeat, nameOf }, nowMs) {
    const {
      context: c,
      camera: { scale },
      colour,
    } = this;
    const [x, y] = [this.x(fighter.x), this.y(fighter.y)];
    const radius = this.config.movement.body_radius_m * scale;
    const isOwn = fighter.seat === ownSeat;
    if (fighter.life % 2 === 1) {
      c.strokeStyle = colour['--dead'];
      c.lineWidth = Math.max(2, radius * 0.3);
      c.beginPath();
      for (const side of [-1, 1]) {
        c.moveTo(x - radius * 0.6, y - side * radius * 0.6);
        c.lineTo(x + radius * 0.6, y + side * radius * 0.6);
      }
      c.stroke();
      return;
    }
    const angle = fighter.aim * 2 * Math.PI;
    const [dx, dy] = [Math.cos(angle), -Math.sin(angle)];
    c.strokeStyle = colour['--ink'];
    c.lineWidth = Math.max(2, radius * 0.42);
    c.lineCap = 'round';
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x + dx * radius * 1.7, y + dy * radius * 1.7);
    c.stroke();
    c.beginPath();
    c.arc(x, y, radius, 0, 2 * Math.PI);
    const isHurt = nowMs - (this.seen.get(fighter.id)?.hurtMs ?? -Infinity) < HIT_MS;
    c.fillStyle = isHurt ? colour['--hurt'] : colour[isOwn ? '--own' : '--foe'];
    c.fill();
    c.lineWidth = Math.max(1.5, radius * 0.16);
    c.strokeStyle = colour['--ink'];
    c.stroke();
    this.drawLabel(fighter, nameOf(fighter.seat), x, y, radius, isOwn);
  }

  drawLabel(fighter, name, x, y, radius, isOwn) {
    const { context: c, colour } = this;
    const size = Math.max(11 * this.ratio, radius * 0.8);
    const width = Math.max(radius * 2.4, 22 * this.ratio);
    const top = y - radius - 8 * this.ratio;
    const share = Math.max(0, Math.min(1, fighter.health / (this.config.life?.health_max ?? 100)));
    c.fillStyle = colour['--wall-edge'];
    c.fillRect(x - width / 2, top, width, 4 * this.ratio);
    c.fillStyle = colour[isOwn ? '--own' : '--foe'];
    c.fillRect(x - width / 2, top, width * share, 4 * this.ratio);
    c.font = `${isOwn ? 600 : 400} ${size}px system-ui, sans-serif`;
    c.textAlign = 'center';
    c.fillStyle = colour['--label'];
    const text = this.shortened(name);
    const half = c.measureText(text).width / 2 + 4 * this.ratio;
    // At the edge of the picture a name stands a little beside its fighter rather than cut off.
    const middle = Math.max(half, Math.min(this.canvas.width - half, x));
    c.fillText(text, middle, top - 4 * this.ratio);
  }

  /** From afar there is room for the beginning of a name only. */
  shortened(name) {
    const most = this.isNear ? NAME_MAX : NAME_MAX_FAR;
    const characters = [...name];
    return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : name;
  }

  /** A counter that moved means shots; less health means a hit. */
  noticeShots(fighter, scene, nowMs) {
    const last = this.seen.get(fighter.id) ?? { shots: fighter.shots, health: fighter.health };
    const shots = (fighter.shots - last.shots + SHOTS_COUNT) % SHOTS_COUNT;
    if (shots > 0 && shots < SHOTS_COUNT / 2 && fighter.life % 2 === 0) {
      this.addTracer(fighter, scene, nowMs);
    }
    const isHit = fighter.health < last.health;
    const hurtMs = isHit ? nowMs : last.hurtMs;
    this.seen.set(fighter.id, { shots: fighter.shots, health: fighter.health, hurtMs });
  }

  addTracer(fighter, { fighters }, nowMs) {
    const angle = fighter.aim * 2 * Math.PI;
    const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
    const range = this.config.weapon?.range_m ?? 25;
    const radius = this.config.movement.body_radius_m;
    let length = rayLength(this.config, fighter.x, fighter.y, dx, dy, range);
    for (const other of fighters) {
      if (other.id === fighter.id || other.life % 2 === 1) continue;
      const hit = discHit(fighter.x, fighter.y, dx, dy, other.x, other.y, radius);
      if (hit !== null) length = Math.min(length, hit);
    }
    if (this.tracers.length >= TRACERS_MAX) this.tracers.shift();
    this.tracers.push({ x: fighter.x, y: fighter.y, dx, dy, length, radius, atMs: nowMs });
  }

  drawTracers(nowMs) {
    const { context: c } = this;
    this.tracers = this.tracers.filter(({ atMs }) => nowMs - atMs < TRACER_MS && nowMs >= atMs);
    c.strokeStyle = this.colour['--shot'];
    c.lineWidth = 2 * this.ratio;
    for (const { x, y, dx, dy, length, radius, atMs } of this.tracers) {
      const share = this.still ? 0 : (nowMs - atMs) / TRACER_MS;
      const from = Math.min(length, radius * 1.7 + share * length * 0.6);
      c.globalAlpha = this.still ? 0.8 : 1 - share;
      c.beginPath();
      c.moveTo(this.x(x + dx * from), this.y(y + dy * from));
      c.lineTo(this.x(x + dx * length), this.y(y + dy * length));
      c.stroke();
    }
    c.globalAlpha = 1;
  }

  drawSticks(sticks) {
    const { context: c, ratio } = this;
    c.strokeStyle = this.colour['--ink'];
    c.fillStyle = this.colour['--ink'];
    c.lineWidth = 2 * ratio;
    for (const { from, at } of sticks) {
      c.globalAlpha = 0.35;
      c.beginPath();
      c.arc(from[0] * ratio, from[1] * ratio, 56 * ratio, 0, 2 * Math.PI);
      c.stroke();
      c.beginPath();
      c.arc(at[0] * ratio, at[1] * ratio, 22 * ratio, 0, 2 * Math.PI);
      c.fill();
    }
    c.globalAlpha = 1;
  }

  ring(x, y, radius, colour, width) {
    const { context: c } = this;
    c.strokeStyle = colour;
    c.lineWidth = width * this.ratio;
    c.beginPath();
    c.arc(this.x(x), this.y(y), radius * this.camera.scale, 0, 2 * Math.PI);
    c.stroke();
  }

  forget(fighters) {
    const here = new Set(fighters.map(({ id }) => id));
    for (const id of this.seen.keys()) if (!here.has(id)) this.seen.delete(id);
  }
}

/** Keeps the view within the map where the map is larger than the view. */
function centred(wanted, size, view) {
  if (view >= size + 2) return size / 2;
  return Math.min(size + 1 - view / 2, Math.max(view / 2 - 1, wanted));
}
