/**
 * Keyboard, mouse and touch as arena's input: `[stick x, stick y, aim, buttons]`.
 *
 * Listens on the canvas only, so that the rest of the page keeps its keys.
 */
import { aimTowards } from './map.js';

const FIRE = 1;
const RELOAD = 2;
const STICK_PX = 56;
/** Beyond this share of the right stick the weapon fires. */
const FIRE_BEYOND = 0.5;
const KEYS = {
  KeyW: [0, 1],
  ArrowUp: [0, 1],
  KeyS: [0, -1],
  ArrowDown: [0, -1],
  KeyA: [-1, 0],
  ArrowLeft: [-1, 0],
  KeyD: [1, 0],
  ArrowRight: [1, 0],
};

export class ArenaInput {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{toWorld(x: number, y: number): [number, number]}} renderer
   * @param {{onChat(): void, onScores(isShown: boolean): void, onEscape(): void}} wishes
   */
  constructor(canvas, renderer, wishes) {
    this.canvas = canvas;
    this.renderer = renderer;
    this.wishes = wishes;
    this.held = new Set();
    this.pointer = null;
    this.isFiring = false;
    this.aim = 0;
    /** Touches by pointer id: which stick, where it began and is. */
    this.sticks = new Map();
    this.end = new AbortController();
    this.listen();
  }

  listen() {
    const on = (target, name, listener) =>
      target.addEventListener(name, listener, { signal: this.end.signal });
    on(this.canvas, 'keydown', (event) => this.key(event, true));
    on(this.canvas, 'keyup', (event) => this.key(event, false));
    on(this.canvas, 'blur', () => this.release());
    on(window, 'blur', () => this.release());
    on(this.canvas, 'contextmenu', (event) => event.preventDefault());
    on(this.canvas, 'pointerdown', (event) => this.down(event));
    on(this.canvas, 'pointermove', (event) => this.move(event));
    on(this.canvas, 'pointerup', (event) => this.up(event));
    on(this.canvas, 'pointercancel', (event) => this.up(event));
  }

  /** Ends the listening. */
  close() {
    this.end.abort();
  }

  /** @param {{x: number, y: number} | null} own Where the own fighter is shown. */
  read(own) {
    const [x, y] = this.stick();
    if (own !== null) this.aimFrom(own, x, y);
    let buttons = this.held.has('KeyR') ? RELOAD : 0;
    if (this.isFiring || this.held.has('Space')) buttons |= FIRE;
    return [Math.round(x * 100), Math.round(y * 100), this.aim, buttons];
  }

  stick() {
    for (const stick of this.sticks.values()) {
      if (stick.side === 'left') return offset(stick);
    }
    let [x, y] = [0, 0];
    for (const code of this.held) {
      const [dx, dy] = KEYS[code] ?? [0, 0];
      x += dx;
      y += dy;
    }
    return [Math.sign(x), Math.sign(y)];
  }

  aimFrom(own, stickX, stickY) {
    for (const stick of this.sticks.values()) {
      if (stick.side !== 'right') continue;
      const [x, y] = offset(stick);
      if (Math.hypot(x, y) > 0.15) this.aim = aimTowards(x, y);
      this.isFiring = Math.hypot(x, y) > FIRE_BEYOND;
      return;
    }
    if (this.pointer !== null) {
      const [x, y] = this.renderer.toWorld(this.pointer[0], this.pointer[1]);
      this.aim = aimTowards(x - own.x, y - own.y);
    } else if (stickX !== 0 || stickY !== 0) this.aim = aimTowards(stickX, stickY);
  }

  key(event, isDown) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { code } = event;
    if (code === 'Tab') {
      // Forward only: Shift+Tab and Escape lead out of the canvas.
      if (event.shiftKey) return;
      this.wishes.onScores(isDown);
    } else if (code === 'Enter') {
      if (isDown) this.wishes.onChat();
    } else if (code === 'Escape') {
      if (isDown) this.wishes.onEscape();
    } else if (code in KEYS || code === 'KeyR' || code === 'Space') {
      if (isDown) this.held.add(code);
      else this.held.delete(code);
    } else return;
    event.preventDefault();
  }

  down(event) {
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    if (event.pointerType === 'touch') {
      const side = at[0] < this.canvas.clientWidth / 2 ? 'left' : 'right';
      this.sticks.set(event.pointerId, { side, from: at, at });
      return;
    }
    this.pointer = at;
    if (event.button === 0) this.isFiring = true;
  }

  move(event) {
    const at = this.place(event);
    const stick = this.sticks.get(event.pointerId);
    if (stick) stick.at = at;
    else if (event.pointerType !== 'touch') this.pointer = at;
  }

  up(event) {
    const stick = this.sticks.get(event.pointerId);
    this.sticks.delete(event.pointerId);
    if (!stick || stick.side === 'right') this.isFiring = false;
  }

  release() {
    this.held.clear();
    this.sticks.clear();
    this.isFiring = false;
    this.wishes.onScores(false);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

/** A stick's deflection, upwards positive, no longer than 1. */
function offset({ from, at }) {
  const [x, y] = [(at[0] - from[0]) / STICK_PX, (from[1] - at[1]) / STICK_PX];
  const length = Math.max(1, Math.hypot(x, y));
  return [x / length, y / length];
}
