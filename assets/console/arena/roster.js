/**
 * Who plays and how it stands: from events, and from the fighters that are seen.
 *
 * A player does not see everybody all the time, so kills are counted from events too.
 */

const FEED_MAX = 50;
/** At the start everybody who is there is told as having joined: no news. */
const ARRIVALS_TICKS = 60;
/** Phases in which kills do not count. */
const WARM_UP = ['waiting', 'starting'];

export class Roster {
  constructor() {
    /** By seat. @type {Map<number, {seat, name, kills, deaths, isHere}>} */
    this.players = new Map();
    /** Newest last: `{kind, text, seat}`. */
    this.feed = [];
    this.phase = '';
    this.phaseSince = 0;
    /** @type {[number, number, number][] | null} Result when it is told: seat, placement, score. */
    this.result = null;
    this.changes = 0;
    /** The server has said that it is being stopped. */
    this.isDraining = false;
    this.firstTick = -1;
  }

  nameOf(seat) {
    return this.players.get(seat)?.name ?? `Seat ${seat}`;
  }

  /** @param {{name: string, tick: number, payload: any[]}} event */
  onEvent({ name, tick, payload }) {
    this.changes += 1;
    if (this.firstTick < 0) this.firstTick = tick;
    const isNews = tick > this.firstTick + ARRIVALS_TICKS;
    const [first, second] = payload;
    if (name === 'phase') this.onPhase(String(first), Number(second));
    else if (name === 'joined') payload.forEach((player) => this.onJoined(player, isNews));
    else if (name === 'left') payload.forEach((seat) => this.onLeft(seat));
    else if (name === 'chat') this.say('chat', `${this.nameOf(first)}: ${second}`, first);
    else if (name === 'kill') this.onKill(first, second);
    else if (name === 'scores') payload.forEach((row) => this.onScore(row));
    else if (name === 'over') this.onOver(payload);
    else if (name === 'draining') this.onDraining(Number(first));
  }

  onPhase(phase, since) {
    if (phase === 'running' && this.phase !== '' && this.phase !== 'running') {
      for (const player of this.players.values()) Object.assign(player, { kills: 0, deaths: 0 });
    }
    this.phase = phase;
    this.phaseSince = since;
  }

  /** How somebody stands who was not seen yet: told to those who come later. */
  onScore([seat, kills, deaths]) {
    const name = this.nameOf(seat);
    const player = this.players.get(seat) ?? { seat, name, isHere: true };
    this.players.set(seat, { ...player, kills, deaths });
  }

  /** @param {any[]} rows `[seat, placement, score]` of each player. */
  onOver(rows) {
    const isRow = (row) => Array.isArray(row) && row.length >= 3;
    this.result = rows.filter(isRow).sort(([, a], [, b]) => a - b);
  }

  /** @param {number} seconds Until the server ends the match. */
  onDraining(seconds) {
    if (!this.isDraining) {
      this.say('note', `The server is being stopped: this match ends in ${seconds} s`, null);
    }
    this.isDraining = true;
  }

  /** Before the start a match is played for practice: nothing counts yet. */
  get isWarmUp() {
    return WARM_UP.includes(this.phase);
  }

  onJoined([seat, name], isNews) {
    const old = this.players.get(seat);
    const isNew = old === undefined || !old.isHere;
    this.players.set(seat, {
      seat,
      name,
      kills: old?.kills ?? 0,
      deaths: old?.deaths ?? 0,
      isHere: true,
    });
    if (isNew && isNews) this.say('note', `${name} joined`, seat);
  }

  onLeft(seat) {
    const player = this.players.get(seat);
    if (!player) return;
    player.isHere = false;
    this.say('note', `${player.name} left`, seat);
  }

  onKill(killer, killed) {
    const by = this.players.get(killer);
    const whom = this.players.get(killed);
    const text = `${this.nameOf(killer)} ⟶ ${this.nameOf(killed)}`;
    if (this.isWarmUp) {
      this.say('note', `${text} (does not count yet)`, killer);
      return;
    }
    if (by) by.kills += 1;
    if (whom) whom.deaths += 1;
    this.say('kill', text, killer);
  }

  /** What is seen is right, whatever was counted. */
  onFighters(fighters) {
    for (const fighter of fighters) {
      const { seat } = fighter;
      const kills = this.isWarmUp ? 0 : fighter.kills;
      const deaths = this.isWarmUp ? 0 : fighter.deaths;
      const player = this.players.get(seat);
      if (!player) {
        this.players.set(seat, { seat, name: `Seat ${seat}`, kills, deaths, isHere: true });
        this.changes += 1;
      } else if (player.kills !== kills || player.deaths !== deaths) {
        Object.assign(player, { kills, deaths });
        this.changes += 1;
      }
    }
  }

  /** Best first. */
  standings() {
    const here = [...this.players.values()].filter(({ isHere }) => isHere);
    return here.sort((a, b) => b.kills - a.kills || a.deaths - b.deaths || a.seat - b.seat);
  }

  say(kind, text, seat) {
    this.feed.push({ kind, text, seat });
    if (this.feed.length > FEED_MAX) this.feed.shift();
  }
}
