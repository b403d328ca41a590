/** Which session to join when somebody just wants to play. */
import { api } from './context.js';

const JOINABLE = ['filling', 'starting', 'running'];
/** A running match comes before any that waits for players. */
const RUNNING_BONUS = 1000;

export function isOpen(session) {
  return JOINABLE.includes(session.state);
}

export function hasSeat(session) {
  return session.players < session.players_max;
}

/** The fullest arena match with a free seat; a new one when there is none. */
export async function sessionToPlay() {
  const { items } = await api.sessions({ game: 'arena', free_slots_min: 1, limit: 100 });
  const rank = ({ state, players }) => (state === 'running' ? RUNNING_BONUS : 0) + players;
  const open = items.filter((session) => isOpen(session) && hasSeat(session));
  open.sort((a, b) => rank(b) - rank(a));
  return open[0] ?? api.createSession({ game: 'arena', mode: 'practice', name: 'Practice' });
}
