/**
 * Play, watch and replay GameServer matches.
 *
 * Reading order: api.js (accounts, sessions), match.js (a match as a game sees it), connection.js
 * and carriers/ (bytes), snapshots.js (the state), clock.js, interpolation.js, inputs.js (time).
 */
export { Api } from './api.js';
export { connect, Match } from './match.js';
export { Replay } from './replay.js';
export { SessionList } from './session-list.js';
export { MemoryStorage } from './storage.js';
export { ApiError, ConnectError, ProtocolError, RefusedError, ReplayError } from './errors.js';
export { CLOSE_NAMES, REFUSAL_NAMES } from './frames.js';
export { Snapshots } from './snapshots.js';
export { readKinds } from './schema.js';
export { Interpolator } from './interpolation.js';
export { ServerClock, PlaybackClock } from './clock.js';
export { InputClock, InputWindow } from './inputs.js';
