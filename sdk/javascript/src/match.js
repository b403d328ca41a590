/**
 * A match as a game sees it: connect, send inputs, read entities and events.
 *
 * It comes back by itself when the connection breaks. It knows no game: inputs are arrays that the
 * game defines, entities are objects with the fields that the server names.
 */
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { ProtocolError, RefusedError } from './errors.js';
import {
  ACK,
  BYE,
  CHAT,
  CHAT_BYTES_MAX,
  EVENT,
  LEAVE,
  PING,
  PONG,
  SNAPSHOT,
  START,
  closeName,
  isResumable,
  text,
  uint,
} from './frames.js';
import { InputClock, InputWindow } from './inputs.js';
import { MatchState, readEvent } from './match-state.js';
import { backoffMs, sleep } from './reconnect.js';
import { eitherOf } from './signals.js';
import { Silence, SILENT_MS } from './silence.js';
import { RateMeter } from './stats.js';

/** How often the inputs' clock is looked at: faster than any tick rate of note. */
const PUMP_MS = 5;
/**
 * Between two pings. A server answers in its next tick; no multiple of a tick, so that each ping
 * waits for it for another time and the shortest of them hardly waits at all.
 */
const PING_MS = 487;
/** Events that wait for their first listeners; a server tells some dozens at the start. */
const HELD_MAX = 4096;
/** As long as the server holds a seat. */
const RECONNECT_MS = 30_000;
const PINGS_MAX = 16;
/** Snapshots that a new connection takes in before the first is shown, roughly. */
const BEFORE_SHOWN = 4;
/** How long a close may take after it was announced. */
const BYE_MS = 1000;
/** Wait before a way back to datagrams is looked for: the first, and the longest after doubling. */
const RETURN_MS = 5_000;
const RETURN_MS_MAX = 60_000;
/** Hellos that `connect` sends after refusals that say when to come back, and its longest wait. */
const COME_BACKS_MAX = 3;
const COME_BACK_MS_MAX = 10_000;
/** Refusals that end by themselves: the seat is still held. */
const PASSING = new Set(['busy', 'overloaded', 'seat_taken']);

/**
 * @typedef {object} JoinResponse
 * @property {string} ticket
 * @property {number | null} [seat]
 * @property {'player' | 'spectator'} role
 * @property {import('./race.js').TransportOffer[]} transports
 */

/**
 * @typedef {import('./connection.js').ConnectionOptions & object} MatchOptions
 * @property {any} [neutralInput] Sent until `sendInput` was called. Without it nothing is sent.
 * @property {string[]} [snapOn] See Interpolator.
 * @property {string[]} [smooth] See Interpolator.
 * @property {() => Promise<JoinResponse>} [rejoin] Asked for a new ticket when there is no other way
 *   back.
 * @property {() => number} [now] A steady clock in milliseconds.
 */

/**
 * Connects with the answer to a join. Listeners that are added at once, before anything else is
 * awaited, miss nothing.
 *
 * @param {JoinResponse} answer
 * @param {MatchOptions} [options]
 * @returns {Promise<Match>} When the server has said what the match is.
 * @throws {ConnectError | RefusedError | ProtocolError}
 */
export async function connect(answer, options = {}) {
  let current = answer;
  for (let comeBacks = 0; ; comeBacks += 1) {
    const match = new Match(current, options);
    try {
      await match.open({ kind: 'ticket', text: current.ticket });
      setTimeout(() => match.release());
      return match;
    } catch (error) {
      const waitMs = error instanceof RefusedError ? error.retryAfterMs : null;
      const isWorthIt = waitMs !== null && waitMs <= COME_BACK_MS_MAX && comeBacks < COME_BACKS_MAX;
      if (!isWorthIt || !options.rejoin) throw error;
      await sleep(waitMs, options.signal);
      if (options.signal?.aborted) throw error;
      current = await options.rejoin();
    }
  }
}

/**
 * Events: `start` {config, kinds, welcome}, `snapshot` {tick, number}, `event` {name, payload,
 * tick}, `tick` {tick, input} for each input sent, `stats` MatchStats once a second,
 * `reconnecting` {attempt, name}, `close` {name, text} once, at last.
 */
export class Match extends Emitter {
  #answer;
  #options;
  #now;
  #connection = null;
  #state = null;
  #input;
  #inputClock = null;
  #inputWindow = null;
  #meter = new RateMeter();
  #timers = [];
  #pings = new Map();
  #stamp = 0;
  #bye = null;
  #end = null;
  #giveUp = new AbortController();
  #held = [];
  /** The state of the connection before, until the new one has something to show. */
  #former = null;
  #silence = null;
  /** When to look for a way back to datagrams; Infinity while nothing was left. */
  #returnAtMs = Infinity;
  #returnMs = RETURN_MS;
  #hadDatagrams = false;
  #returningFrom = null;
  #endWhileReturning = null;

  /** @param {JoinResponse} answer @param {MatchOptions} options */
  constructor(answer, options) {
    super();
    this.#answer = answer;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#input = options.neutralInput;
  }

  /** Tells what was said before there could be listeners. Called by `connect`. */
  release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const [name, payload] of held) super.emit(name, payload);
  }

  /** @param {string} name @param {any} payload */
  emit(name, payload) {
    if (this.#held === null || name === 'start') super.emit(name, payload);
    else if (this.#held.length < HELD_MAX) this.#held.push([name, payload]);
  }

  /** The server's Welcome. */
  get welcome() {
    return this.#connection.welcome;
  }
  /** The own seat; null for spectators. */
  get seat() {
    return this.welcome.seat;
  }
  /** What the game lets everybody know: map, speeds … */
  get config() {
    return this.#state.config;
  }
  /** Kinds of entities. */
  get kinds() {
    return this.#state.kinds;
  }
  /** What the connection is over now: 'webtransport' or 'websocket'. */
  get transport() {
    return this.#connection.transport;
  }
  /** Tick of the newest snapshot. */
  get tick() {
    return this.#state.snapshots.tick;
  }
  /**
   * The tick that inputs are sent for, to draw the own player between two of them.
   *
   * @param {number} [nowMs] Of the steady clock, for example the time of a picture.
   * @returns {number} With a fraction; NaN before the first snapshot.
   */
  inputTick(nowMs = this.#now()) {
    return this.#inputClock.at(nowMs);
  }
  /** Where the server is now, in ticks. */
  get serverTick() {
    return this.#state.clock.serverTick(this.#now());
  }
  /** Name and text of the end; null while it goes on. */
  get end() {
    return this.#end;
  }

  /**
   * The entities as they are to be shown now: between two snapshots. The objects belong to the
   * match and are reused by the next call.
   */
  entities() {
    const now = this.#now();
    const shown = this.#state.shownAt(now);
    if (shown.length > 0 || this.#state.taken > 2 * BEFORE_SHOWN) this.#former = null;
    return this.#former?.shownAt(now) ?? shown;
  }

  /** The entities as the newest snapshots had them, with the tick of each: new objects. */
  latest() {
    return this.#state.latest();
  }

  /** @returns {import('./stats.js').MatchStats} */
  get stats() {
    const { clock, playback, snapshots } = this.#state;
    return {
      transport: this.transport,
      rttMs: Number.isNaN(clock.rttMs) ? null : clock.rttMs,
      ...this.#meter.rates,
      lead: snapshots.lead,
      jitterMs: clock.jitterMs,
      playbackDelayMs: playback.delayMs,
    };
  }

  /** @param {any} input Counts for every tick until the next call. */
  sendInput(input) {
    this.#input = input;
  }

  /**
   * @param {string} message 1 to 200 bytes without control characters.
   * @returns {boolean} False when it is none that the server takes.
   */
  chat(message) {
    const bytes = new TextEncoder().encode(message).length;
    const isTakable = bytes >= 1 && bytes <= CHAT_BYTES_MAX && !/\p{Cc}/u.test(message);
    if (isTakable && this.#end === null) this.#connection.sendReliable([CHAT, message]);
    return isTakable && this.#end === null;
  }

  /** Gives the seat up and ends the connection. */
  leave() {
    if (this.#end !== null) return;
    try {
      this.#connection?.sendReliable([LEAVE]);
    } finally {
      this.#finish({ name: 'consented', text: '' });
      this.#connection?.close('consented', '');
    }
  }

  /**
   * Connects and waits for the start frame. Called by `connect`, and again to come back.
   *
   * @param {{kind: 'ticket' | 'resume', text: string}} credential
   * @param {import('./race.js').TransportOffer[]} [transports] Those to try, in this order.
   */
  async open(credential, transports = this.#answer.transports) {
    const { signal, release } = eitherOf(this.#giveUp.signal, this.#options.signal);
    const options = { ...this.#options, signal };
    const opening = Connection.open(transports, credential, options);
    const connection = await opening.finally(release);
    if (this.#end !== null) {
      connection.close('consented', '');
      return;
    }
    this.#connection = connection;
    this.#bye = null;
    await new Promise((resolve, reject) => {
      let hasStarted = false;
      const onFrame = (frame) => {
        // One that was replaced may still have something in its queue.
        if (connection !== this.#connection) return;
        this.#silence?.heard();
        if (!hasStarted) {
          this.#start(connection, frame);
          hasStarted = true;
          resolve();
        } else this.#receive(frame);
      };
      connection.listen(onFrame, (end) => {
        if (hasStarted) this.#ended(connection, end);
        else reject(new ProtocolError(`closed before the start: ${end.name} ${end.text}`));
      });
    });
  }

  #start(connection, frame) {
    if (frame[0] !== START) throw new ProtocolError('no start frame');
    const { welcome } = connection;
    const now = this.#now();
    const { snapOn, smooth } = this.#options;
    this.#former = this.#state;
    this.#state = new MatchState(frame, { tickRate: welcome.tickRate, snapOn, smooth });
    this.#silence = new Silence(now);
    if (this.transport === 'webtransport') this.#hadDatagrams = true;
    this.#returnAtMs =
      this.#hadDatagrams && this.transport === 'websocket' ? now + this.#returnMs : Infinity;
    this.#inputClock = new InputClock(welcome.tickRate);
    this.#inputWindow = new InputWindow();
    this.#meter.reset(now);
    this.#pings.clear();
    connection.started();
    this.#startTimers();
    this.#ping();
    this.emit('start', { config: this.config, kinds: this.kinds, welcome });
  }

  #receive(frame) {
    switch (frame[0]) {
      case SNAPSHOT:
        return this.#snapshot(frame);
      case EVENT:
        return this.emit('event', readEvent(frame));
      case PONG:
        return this.#pong(uint(frame, 1));
      case BYE:
        return this.#goodbye({ name: closeName(uint(frame, 1)), text: text(frame, 2) });
      // Numbers of later versions are ignored.
      default:
        return undefined;
    }
  }

  /** The server closes next; whoever waits for that in vain closes without it. */
  #goodbye(bye) {
    this.#bye = bye;
    const connection = this.#connection;
    setTimeout(() => connection.close('consented', ''), BYE_MS);
  }

  #snapshot(frame) {
    const now = this.#now();
    if (!this.#state.takeSnapshot(frame, now)) return;
    const { clock, snapshots } = this.#state;
    if (this.welcome.role === 'player') {
      const server = { serverTick: clock.serverTick(now), rttMs: clock.usualRttMs };
      this.#inputClock.steer(snapshots.lead, server, now);
      // Inputs acknowledge as well; without them this is the only word.
      if (this.#input === undefined) {
        this.#connection.sendUnreliable([ACK, snapshots.newest, snapshots.before]);
      }
    }
    this.emit('snapshot', { tick: snapshots.tick, number: snapshots.newest });
  }

  #ping() {
    if (this.#pings.size >= PINGS_MAX) this.#pings.delete(this.#pings.keys().next().value);
    this.#stamp += 1;
    this.#pings.set(this.#stamp, this.#now());
    this.#connection.sendUnreliable([PING, this.#stamp]);
  }

  #pong(stamp) {
    const sentMs = this.#pings.get(stamp);
    if (sentMs === undefined) return;
    this.#pings.delete(stamp);
    this.#state.clock.onPong(sentMs, this.#now());
  }

  #startTimers() {
    this.#stopTimers();
    this.#timers.push(setInterval(() => this.#pump(), PUMP_MS));
    this.#timers.push(setInterval(() => this.#ping(), PING_MS));
  }

  #stopTimers() {
    this.#timers.forEach(clearInterval);
    this.#timers.length = 0;
  }

  /** Sends the inputs that are due, and tells the rates. */
  #pump() {
    const now = this.#now();
    const { snapshots } = this.#state;
    if (this.#input !== undefined) {
      const { first, count } = this.#inputClock.due(now);
      for (let tick = first; tick < first + count; tick += 1) {
        const input = this.#input;
        this.#connection.sendUnreliable(this.#inputWindow.frame(tick, input, snapshots));
        this.emit('tick', { tick, input });
      }
    }
    const { bytesDown: down, bytesUp: up } = this.#connection;
    const totals = { down, up, taken: this.#state.taken, newest: snapshots.newest };
    if (this.#meter.update(now, totals)) this.emit('stats', this.stats);
    this.#look(now);
  }

  /** Leaves a connection that has gone silent, and looks for datagrams again where TCP stood in. */
  #look(now) {
    // Watchers have no seat to keep, and a match that nobody plays need not say anything.
    if (this.welcome.resumeToken === '' || this.#returningFrom !== null) return;
    const isSilent = this.#silence.at(now) > SILENT_MS[this.transport];
    if (isSilent) this.#connection.close('timeout', 'nothing was heard');
    else if (now >= this.#returnAtMs) this.#return(now);
  }

  /** Takes the seat along to a connection with datagrams; the present one serves until then. */
  async #return(now) {
    const before = this.#connection;
    this.#returnMs = Math.min(RETURN_MS_MAX, 2 * this.#returnMs);
    this.#returnAtMs = now + this.#returnMs;
    this.#returningFrom = before;
    const offers = this.#answer.transports.filter(({ kind }) => kind === 'webtransport');
    const credential = { kind: 'resume', text: before.welcome.resumeToken };
    const isThere = await this.open(credential, offers).then(
      () => true,
      () => false,
    );
    const end = this.#endWhileReturning;
    this.#returningFrom = null;
    this.#endWhileReturning = null;
    if (isThere || (end === null && this.#connection === before)) return;
    // The server gave the seat to a connection that then did not come to be.
    const isReplaced = end === null || end.name === 'replaced';
    this.#broken(isReplaced ? { name: 'lost', text: '' } : end);
  }

  #ended(connection, end) {
    if (connection !== this.#connection) return;
    if (connection === this.#returningFrom) this.#endWhileReturning = this.#bye ?? end;
    else this.#broken(this.#bye ?? end);
  }

  #broken(end) {
    this.#stopTimers();
    if (this.#end !== null) return;
    if (isResumable(end.name)) this.#comeBack(end);
    else this.#finish(end);
  }

  /** Tries until the seat is not held any more, first with the token, then with a new ticket. */
  async #comeBack(end) {
    const untilMs = this.#now() + RECONNECT_MS;
    let token = this.#connection.welcome.resumeToken;
    let waitMs = 0;
    // Who was silent for too long is gone for good: nothing is won by waiting.
    const isUnheard = end.name === 'timeout';
    for (let attempt = 0; this.#end === null && this.#now() < untilMs; attempt += 1) {
      this.emit('reconnecting', { attempt, name: end.name });
      const pauseMs = attempt === 0 && isUnheard ? 0 : backoffMs(attempt);
      const leftMs = Math.max(0, untilMs - this.#now());
      await sleep(Math.min(leftMs, Math.max(pauseMs, waitMs)), this.#giveUp.signal);
      if (this.#end !== null) return;
      try {
        const credential = token ? { kind: 'resume', text: token } : await this.#newTicket();
        await this.open(credential, this.#inOrder(isUnheard));
        return;
      } catch (error) {
        waitMs = error?.retryAfterMs ?? (error?.retryAfterS ?? 0) * 1000;
        const isPassing = PASSING.has(error?.code) || waitMs > 0;
        if (error instanceof RefusedError && !isPassing) token = '';
        if (!token && !this.#options.rejoin) break;
        // A full or ended match will not take anybody back.
        if (error?.status >= 400 && error.status < 500 && error.status !== 429) break;
      }
    }
    this.#finish(end);
  }

  /** The offers, TCP first where datagrams have just failed. */
  #inOrder(isUnheard) {
    const { transports } = this.#answer;
    if (!isUnheard || !this.#hadDatagrams) return transports;
    const isTcp = ({ kind }) => kind === 'websocket';
    return [...transports.filter(isTcp), ...transports.filter((offer) => !isTcp(offer))];
  }

  async #newTicket() {
    if (!this.#options.rejoin) throw new RefusedError('resume_unknown', 'no way back');
    this.#answer = await this.#options.rejoin();
    return { kind: 'ticket', text: this.#answer.ticket };
  }

  #finish(end) {
    if (this.#end !== null) return;
    this.#end = { name: end.name, text: end.text };
    this.#stopTimers();
    this.#giveUp.abort();
    this.emit('close', this.#end);
  }
}
