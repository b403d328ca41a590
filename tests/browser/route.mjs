/**
 * The way through arena's walls to one place, as directions of the keyboard.
 *
 * Knows the map's walls only, by the console's own maths. Nobody else is in the way.
 */
import { pushOut } from '../../assets/console/arena/map.js';

const CELL_M = 0.5;
/** Room to a wall, beyond the body's own, for keys that are let go a little late. */
const ROOM_M = 0.2;
const DIRECTIONS = [
  [['right'], 1, 0],
  [['left'], -1, 0],
  [['up'], 0, 1],
  [['down'], 0, -1],
  [['right', 'up'], 1, 1],
  [['right', 'down'], 1, -1],
  [['left', 'up'], -1, 1],
  [['left', 'down'], -1, -1],
];

export class Route {
  /**
   * @param {any} config As the start frame has it.
   * @param {{x: number, y: number}} goal Metres; in the open.
   */
  constructor({ map, movement }, goal) {
    this.columns = Math.floor(map.width_m / CELL_M);
    this.rows = Math.floor(map.height_m / CELL_M);
    this.roomy = { map, movement: { body_radius_m: movement.body_radius_m + ROOM_M } };
    /** Steps from each cell to the goal; a cell without is a wall's. */
    this.steps = new Map();
    this.spread(this.cell(goal));
  }

  /** The keys that lead on from a place: none at the goal. */
  keysAt(place) {
    const [column, row] = this.cell(place);
    let [best, fewest] = [[], this.stepsAt(column, row)];
    for (const [keys, dx, dy] of DIRECTIONS) {
      const steps = this.stepsAt(column + dx, row + dy);
      const isCorner = dx !== 0 && dy !== 0 && !this.isOpenAcross(column, row, dx, dy);
      if (steps < fewest && !isCorner) [best, fewest] = [keys, steps];
    }
    return best;
  }

  spread(goal) {
    let edge = [goal];
    this.steps.set(String(goal), 0);
    for (let steps = 1; edge.length > 0; steps += 1) {
      const next = [];
      for (const [column, row] of edge) {
        for (const [, dx, dy] of DIRECTIONS.slice(0, 4)) {
          const cell = [column + dx, row + dy];
          if (this.steps.has(String(cell)) || !this.isFree(...cell)) continue;
          this.steps.set(String(cell), steps);
          next.push(cell);
        }
      }
      edge = next;
    }
  }

  isFree(column, row) {
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return false;
    const [x, y] = [(column + 0.5) * CELL_M, (row + 0.5) * CELL_M];
    const [freeX, freeY] = pushOut(this.roomy, x, y);
    return freeX === x && freeY === y;
  }

  isOpenAcross(column, row, dx, dy) {
    return this.steps.has(`${column + dx},${row}`) && this.steps.has(`${column},${row + dy}`);
  }

  stepsAt(column, row) {
    return this.steps.get(`${column},${row}`) ?? Infinity;
  }

  cell({ x, y }) {
    return [Math.floor(x / CELL_M), Math.floor(y / CELL_M)];
  }
}
