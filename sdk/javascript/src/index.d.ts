/** Who plays, which sessions there are, the right to connect: objects of the REST API. */
export interface Player {
  id: string;
  display_name: string;
  created_at: string;
  updated_at: string;
}
export type SessionState =
  'created' | 'filling' | 'starting' | 'running' | 'draining' | 'ending' | 'ended' | 'failed';
export interface Session {
  id: string;
  game: string;
  mode: string;
  name: string;
  region: string;
  state: SessionState;
  players: number;
  players_max: number;
  spectators: number;
  host_player_id: string;
  visibility: 'public' | 'private';
  tags: string[];
  match_id: string;
  join_code?: string | null;
  created_at: string;
  updated_at: string;
}
export interface Game {
  id: string;
  name?: string;
  modes: GameMode[];
}
export interface GameMode {
  id: string;
  players_min?: number;
  players_default?: number;
  players_max?: number;
}
export interface TransportOffer {
  kind: 'quic' | 'webtransport' | 'websocket';
  url: string;
  certificate_sha256?: string | null;
}
export interface JoinResponse {
  ticket: string;
  seat?: number | null;
  role: 'player' | 'spectator';
  transports: TransportOffer[];
  expires_at?: string;
}
export interface JoinBody {
  role?: 'player' | 'spectator';
  join_code?: string;
  view?: 'all' | 'team';
  team?: number;
  delay_s?: number;
}
export interface DeviceStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface ApiOptions {
  /** Where web-api is; the page's own origin in browsers. */
  url?: string;
  /** Keeps the guest's device. By default localStorage in browsers, memory elsewhere. */
  storage?: DeviceStorage;
  fetch?: typeof fetch;
}

/** Logs in as a guest by itself. Every call throws ApiError. */
export class Api {
  constructor(options?: ApiOptions);
  readonly login: {
    player: Player | null;
    token(): Promise<string>;
    renew(refused?: string): Promise<string>;
    logOut(): Promise<void>;
  };
  me(): Promise<Player>;
  rename(displayName: string): Promise<Player>;
  games(): Promise<Game[]>;
  sessions(
    filter?: Record<string, string | number>,
  ): Promise<{ items: Session[]; next_cursor: string | null }>;
  session(id: string): Promise<Session>;
  createSession(body: {
    game: string;
    mode?: string;
    name?: string;
    region?: string;
    players_max?: number;
    visibility?: 'public' | 'private';
    tags?: string[];
  }): Promise<Session>;
  join(id: string, body?: JoinBody): Promise<JoinResponse>;
  leave(id: string): Promise<void>;
  end(id: string): Promise<Session>;
  watchSessions(): SessionList;
  replay(
    id: string,
    options?: {
      onProgress?: (bytes: number, total: number) => void;
      signal?: AbortSignal;
    },
  ): Promise<Uint8Array>;
}

/** The public sessions, kept true by the server. */
export class SessionList {
  constructor(
    open: (signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>,
    options?: {
      /** Pages that name the same group share one stream. */
      group?: string;
    },
  );
  readonly items: Session[];
  readonly state: 'connecting' | 'live' | 'offline';
  readonly error: Error | null;
  on(name: 'change', listener: (items: Session[]) => void): () => void;
  on(name: 'state', listener: (state: { state: string; error: Error | null }) => void): () => void;
  stop(): void;
}

export class MemoryStorage implements DeviceStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Welcome {
  connection: number | bigint;
  player: string;
  seat: number | null;
  role: 'player' | 'spectator';
  tickRate: number;
  snapshotRate: number;
  resumeToken: string;
  datagramSize: number;
  game: string;
}
export interface Field {
  name: string;
  minimum: number;
  step: number;
  count: number;
  wraps: boolean;
  span: number;
}
export interface Kind {
  name: string;
  fields: Field[];
  indexOf: Map<string, number>;
}
/** `id`, `kind` and the kind's fields. */
export type EntityValues = { id: number; kind: string } & Record<string, any>;
export interface MatchStats {
  transport: 'webtransport' | 'websocket';
  /** Round trip: the shortest of the last ten seconds; null before the first answer. */
  rttMs: number | null;
  snapshotsPerS: number;
  bytesPerSDown: number;
  bytesPerSUp: number;
  lossPercent: number;
  lead: number | null;
  jitterMs: number;
  playbackDelayMs: number;
}
export interface GameEvent {
  number: number;
  tick: number;
  name: string;
  payload: any[];
}
export interface MatchEvents {
  start: { config: any; kinds: Kind[]; welcome: Welcome };
  snapshot: { tick: number; number: number };
  event: GameEvent;
  /** An input was sent. */
  tick: { tick: number; input: any };
  stats: MatchStats;
  reconnecting: { attempt: number; name: string };
  close: { name: string; text: string };
}
export interface MatchOptions {
  /** Name and version of the program, for the server's log. */
  build?: string;
  /** Sent until `sendInput` is called; without it nothing is sent. */
  neutralInput?: any;
  /** When one of these fields changes, nothing moves in between. Default `['life']`. */
  snapOn?: string[];
  /** Fields that move evenly; by default those whose step is no integer. */
  smooth?: string[];
  /** Asked for a new ticket: there is no other way back, or a refusal says when to try again. */
  rejoin?: () => Promise<JoinResponse>;
  /** Instead of the platform's; null leaves it out. */
  WebTransport?: any;
  WebSocket?: any;
  signal?: AbortSignal;
  /** A steady clock in milliseconds. */
  now?: () => number;
}

/** Throws ConnectError, RefusedError, ProtocolError. */
export function connect(answer: JoinResponse, options?: MatchOptions): Promise<Match>;

export class Match {
  constructor(answer: JoinResponse, options: MatchOptions);
  readonly welcome: Welcome;
  readonly seat: number | null;
  readonly config: any;
  readonly kinds: Kind[];
  readonly transport: 'webtransport' | 'websocket';
  readonly tick: number;
  readonly serverTick: number;
  readonly stats: MatchStats;
  readonly end: { name: string; text: string } | null;
  on<Name extends keyof MatchEvents>(
    name: Name,
    listener: (payload: MatchEvents[Name]) => void,
  ): () => void;
  /** As they are to be shown now; the objects are reused by the next call. */
  entities(): EntityValues[];
  /** The newest known states. */
  latest(): (EntityValues & { tick: number })[];
  sendInput(input: any): void;
  chat(message: string): boolean;
  leave(): void;
  /** The tick that inputs are sent for, with a fraction; NaN before the first snapshot. */
  inputTick(nowMs?: number): number;
}

export interface ReplayOptions {
  snapOn?: string[];
  smooth?: string[];
  onProgress?: (share: number) => void;
}
export class Replay {
  /** Throws ReplayError. */
  static open(bytes: Uint8Array, options?: ReplayOptions): Promise<Replay>;
  readonly header: {
    matchId: string;
    sessionId: string;
    game: string;
    mode: string;
    build: string;
    tickRate: number;
    interval: number;
    startFrame: Uint8Array;
    startedAtMs: number;
  };
  readonly config: any;
  readonly kinds: Kind[];
  readonly firstTick: number;
  readonly lastTick: number;
  readonly durationS: number;
  readonly isComplete: boolean;
  readonly gaps: [number, number][];
  entitiesAt(tick: number): EntityValues[];
  eventsUntil(tick: number): GameEvent[];
  eventsBetween(after: number, until: number): GameEvent[];
}

export class ApiError extends Error {
  constructor(problem: {
    status: number;
    code: string;
    title?: string;
    details?: Record<string, string>;
    requestId?: string | null;
    retryAfterS?: number | null;
    cause?: unknown;
  });
  readonly status: number;
  readonly code: string;
  readonly details: Record<string, string>;
  readonly requestId: string | null;
  readonly retryAfterS: number | null;
}
export class ConnectError extends Error {
  constructor(code: string, message: string, attempts?: unknown[]);
  readonly code: string;
  readonly attempts: unknown[];
}
export class RefusedError extends Error {
  constructor(code: string, text: string, retryAfterMs?: number | null);
  readonly code: string;
  readonly text: string;
  readonly retryAfterMs: number | null;
}
export class ProtocolError extends Error {
  constructor(message: string);
  readonly code: 'protocol_error';
}
export class ReplayError extends Error {
  constructor(message: string);
  readonly code: 'replay_malformed';
}

export const CLOSE_NAMES: readonly string[];
export const REFUSAL_NAMES: readonly string[];

/* Parts, for programs that have a loop or a transport of their own. */

export class Entity {
  readonly id: number;
  readonly kindIndex: number;
  readonly kind: Kind;
  readonly tick: number;
  get(name: string): number | undefined;
}
export class Snapshots {
  constructor(kinds: Kind[]);
  readonly entities: Map<number, Entity>;
  readonly newest: number;
  readonly before: number;
  readonly tick: number;
  readonly lead: number | null;
  apply(frame: any[]): 'taken' | 'stale' | 'unknown_baseline';
}
export function readKinds(kinds: unknown): Kind[];
export class Interpolator {
  constructor(options: {
    tickRate: number;
    interval: number;
    snapOn?: string[];
    smooth?: string[];
  });
  sample(
    entity: Entity,
    tick: number,
    newestTick: number,
    into?: Record<string, any>,
  ): EntityValues | null;
}
export class ServerClock {
  constructor(tickRate: number);
  /** The shortest of the last ten seconds. */
  readonly rttMs: number;
  /** What a ping usually takes, the wait for a tick included. */
  readonly usualRttMs: number;
  readonly jitterMs: number;
  readonly isSet: boolean;
  onSnapshot(tick: number, nowMs: number): void;
  onPong(sentMs: number, nowMs: number): void;
  arrivalTick(nowMs: number): number;
  serverTick(nowMs: number): number;
}
export class PlaybackClock {
  constructor(server: ServerClock, interval: number);
  readonly delayMs: number;
  tick(nowMs: number): number;
}
export class InputClock {
  constructor(tickRate: number);
  readonly isRunning: boolean;
  steer(lead: number | null, clock: { serverTick: number; rttMs: number }, nowMs: number): void;
  at(nowMs: number): number;
  due(nowMs: number): { first: number; count: number };
}
export class InputWindow {
  frame(tick: number, input: any, snapshots: { newest: number; before: number }): any[];
}
