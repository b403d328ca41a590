/** What the end of a match was, as a sentence: who won, or that nothing was decided. */
import { sentenceForEnd } from './messages.js';

/** Names in a sentence. */
const NAMES_MAX = 3;

/**
 * @param {import('./arena/roster.js').Roster} roster
 * @param {number | null} ownSeat
 * @param {{name: string, text: string}} end Of the connection.
 * @returns {string}
 */
export function sentenceForMatchEnd(roster, ownSeat, end) {
  if (end.name !== 'match_over') return sentenceForEnd(end);
  if (roster.result === null) {
    return sentenceForEnd({ name: roster.isDraining ? 'server_stopped' : 'match_stopped' });
  }
  const first = roster.result.filter(([, placement]) => placement === 1).map(([seat]) => seat);
  if (first.length === 0) return sentenceForEnd(end);
  const names = first.map((seat) => (seat === ownSeat ? 'you' : roster.nameOf(seat)));
  if (names.length > 1) return `The match is over: ${listed(names)} share the first place.`;
  return first[0] === ownSeat
    ? 'The match is over: you have won.'
    : `The match is over: ${names[0]} has won.`;
}

function listed(names) {
  const shown = names.length > NAMES_MAX ? [...names.slice(0, NAMES_MAX), 'others'] : names;
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}
