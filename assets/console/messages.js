/** Errors and ends as sentences that say what happened and what to do next. */

const SENTENCES = {
  'network.unreachable': 'The server cannot be reached. Check that it runs.',
  'session.full': 'All seats of this match are taken. Watch it, or pick another one.',
  'session.not_found': 'This match is not here any more. Pick another one from the list.',
  'session.not_joinable': 'This match takes nobody in its present state. Pick another one.',
  'session.instance_lost': 'The game server of this match is gone. Open a new match.',
  'session.overloaded': 'The game server is at its limit. Try again in a few seconds.',
  'session.player_limit': 'You have as many open matches as one may. End one of them first.',
  'session.address_limit': 'Many matches are open from your network. Join one, or try again later.',
  'session.not_host': 'Only the one who opened this match may do that.',
  'session.join_code_invalid': 'This match is private and needs its join code.',
  'session.spectators_not_allowed': 'Nobody may watch this match. Pick another one.',
  'session.view_not_allowed': 'This match shows spectators one team only: choose whose eyes.',
  'fleet.no_capacity': 'No game server has room now. Try again in a minute, or join a match.',
  'fleet.unavailable': 'The game server did not answer. Try again.',
  'server.busy': 'The server has as many listeners as it takes. Try again in a minute.',
  'game.unknown': 'No game server hosts this game at the moment. Try again in a few seconds.',
  'rate.limited': 'That was too often. Wait a moment and try again.',
  'replay.not_found': 'There is no recording of this match. It may have been deleted by age.',
  'replay.not_ready': 'The recording of this match is not shown yet. Try again when it is over.',
  'replay.too_large': 'This recording is too large for a browser. Use `gameserver replay`.',
  replay_malformed: 'This file is no recording that this page can read.',
  no_transport: 'This browser offers no way to connect that the game server has. Try another one.',
  unreachable: 'The game server cannot be reached: its port may be blocked by a firewall.',
  timeout: 'The connection went silent. Check the network and join again.',
  ticket_expired: 'Joining took too long. Try again.',
  match_full: 'All seats of this match are taken. Watch it, or pick another one.',
  match_unknown: 'This match is over. Pick another one from the list.',
  seat_taken: 'Somebody has this seat. Try again.',
  busy: 'Too many players arrive at once. Try again in a few seconds.',
  overloaded: 'The game server is at its limit. Try again in a few seconds.',
  draining: 'This game server is being stopped. Pick another match.',
  kicked: 'You were removed from the match. You may join again.',
  banned: 'You may not play in this match any more.',
  replaced: 'You joined this match from another window, which plays on there.',
  match_over: 'The match is over.',
  server_stopped: 'The server was stopped before this match was decided.',
  match_stopped: 'This match was ended before it was decided, by its host or by the server.',
  internal: 'This match has failed on the server. Pick another one.',
  rate_limited: 'This page sent more than the server takes. Join again.',
  consented: 'You have left the match.',
  slow_consumer: 'Your connection was too slow for this match. Join again, or watch it.',
  protocol_error: 'Page and server do not understand each other. Reload the page.',
  protocol_mismatch: 'This page is of another version than the server. Reload the page.',
  lost: 'The connection broke and could not be taken up again. Join again.',
};

const PASSING = new Set([
  'network.unreachable',
  'session.overloaded',
  'fleet.no_capacity',
  'fleet.unavailable',
  'game.unknown',
  'rate.limited',
  'unreachable',
  'timeout',
  'ticket_expired',
  'seat_taken',
  'busy',
  'overloaded',
]);

/** @param {any} error @returns {boolean} True when the same again may well work. */
export function passes(error) {
  return PASSING.has(error?.code) || error?.status >= 500 || !error?.code;
}

/** @param {any} error @returns {boolean} True when there is a match, but no seat in it. */
export function isFull(error) {
  return ['session.full', 'match_full'].includes(error?.code);
}

/** @param {any} error @returns {string} */
export function sentenceFor(error) {
  const known = SENTENCES[error?.code];
  if (known) return known;
  const reference = error?.requestId ? ` (request ${error.requestId})` : '';
  return `${error?.message || 'Something went wrong.'}${reference}`;
}

/** @param {{name: string, text: string}} end @returns {string} */
export function sentenceForEnd(end) {
  return SENTENCES[end.name] ?? `The connection has ended: ${end.text || end.name}.`;
}
