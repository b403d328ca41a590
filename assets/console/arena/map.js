/**
 * Where bodies may be and how far a shot gets: the same maths as the server's
 * (shared/games/arena/src/map.rs, movement.rs), so that the own fighter can be predicted.
 */

const BUTTONS_FULL_STICK = 100;
const TURN_STEPS = 65_536;

/**
 * One tick of one body.
 *
 * @param {any} config As the start frame has it.
 * @param {number} tickRate Per second.
 * @param {{x: number, y: number, vx: number, vy: number}} body
 * @param {number[]} input `[stick x, stick y, aim, buttons]`
 */
export function step(config, tickRate, body, [stickX, stickY]) {
  const { movement } = config;
  const tickS = 1 / tickRate;
  const [sx, sy] = shortened(stickX / BUTTONS_FULL_STICK, stickY / BUTTONS_FULL_STICK, 1);
  const changeMax = movement.acceleration_m_per_s2 * tickS;
  const [ax, ay] = shortened(
    sx * movement.speed_max_m_per_s - body.vx,
    sy * movement.speed_max_m_per_s - body.vy,
    changeMax,
  );
  const wantedX = body.x + (body.vx + ax) * tickS;
  const wantedY = body.y + (body.vy + ay) * tickS;
  const [x, y] = pushOut(config, wantedX, wantedY);
  // What a wall stopped is no longer velocity.
  return { x, y, vx: (x - body.x) / tickS, vy: (y - body.y) / tickS };
}

/** Moves a disc's centre out of walls and back into the arena, along the shortest way. */
export function pushOut({ map, movement }, x, y) {
  const radius = movement.body_radius_m;
  let at = [x, y];
  for (const wall of map.walls) at = leave(wall, at[0], at[1], radius);
  return [clamp(at[0], radius, map.width_m - radius), clamp(at[1], radius, map.height_m - radius)];
}

function leave([left, bottom, right, top], x, y, radius) {
  const nearX = clamp(x, left, right);
  const nearY = clamp(y, bottom, top);
  const distance = Math.hypot(x - nearX, y - nearY);
  if (distance >= radius) return [x, y];
  if (distance > 0) {
    const share = radius / distance;
    return [nearX + (x - nearX) * share, nearY + (y - nearY) * share];
  }
  const exits = [
    [left - radius, y],
    [right + radius, y],
    [x, bottom - radius],
    [x, top + radius],
  ];
  const way = ([toX, toY]) => (toX - x) ** 2 + (toY - y) ** 2;
  return exits.reduce((best, exit) => (way(exit) < way(best) ? exit : best));
}

/** How far a ray gets before a wall or the border stops it. The direction has length 1. */
export function rayLength({ map }, x, y, dx, dy, range) {
  const border = crossing([0, 0, map.width_m, map.height_m], x, y, dx, dy);
  let reach = Math.min(range, border === null ? range : border[1]);
  for (const wall of map.walls) {
    const crossed = crossing(wall, x, y, dx, dy);
    if (crossed !== null) reach = Math.min(reach, Math.max(0, crossed[0]));
  }
  return reach;
}

function crossing([left, bottom, right, top], x, y, dx, dy) {
  const [x1, x2] = [(left - x) / dx, (right - x) / dx];
  const [y1, y2] = [(bottom - y) / dy, (top - y) / dy];
  const enters = Math.max(Math.min(x1, x2), Math.min(y1, y2));
  const leaves = Math.min(Math.max(x1, x2), Math.max(y1, y2));
  return leaves >= Math.max(enters, 0) ? [enters, leaves] : null;
}

/** How far along a ray a disc is hit; null when it is missed or lies behind. */
export function discHit(x, y, dx, dy, centreX, centreY, radius) {
  const along = (centreX - x) * dx + (centreY - y) * dy;
  const aside = (centreX - x) ** 2 + (centreY - y) ** 2 - along * along;
  const inside = radius * radius - aside;
  return along > 0 && inside >= 0 ? Math.max(0, along - Math.sqrt(inside)) : null;
}

/** The input's aim that points along a direction. */
export function aimTowards(dx, dy) {
  const turns = Math.atan2(dy, dx) / (2 * Math.PI);
  return Math.floor((turns - Math.floor(turns)) * TURN_STEPS) & 0xffff;
}

/** Radians of an input's aim. */
export function aimRadians(aim) {
  return (aim / TURN_STEPS) * 2 * Math.PI;
}

function shortened(x, y, longest) {
  const length = Math.hypot(x, y);
  return length > longest ? [(x / length) * longest, (y / length) * longest] : [x, y];
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
