/**
 * Everything that this package throws on purpose.
 *
 * Branch on `code`: codes are stable, messages are for people.
 */

/** A REST call that the server answered with an error, or that never got an answer. */
export class ApiError extends Error {
  /**
   * @param {{status: number, code: string, title?: string, details?: Record<string, string>,
   *   requestId?: string | null, retryAfterS?: number | null, cause?: unknown}} problem
   *   `status` is 0 and `code` is `network.unreachable` when there was no answer at all.
   */
  constructor({ status, code, title, details, requestId, retryAfterS, cause }) {
    super(title ?? code, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.details = details ?? {};
    this.requestId = requestId ?? null;
    this.retryAfterS = retryAfterS ?? null;
  }
}

/** Bytes from the peer that the protocol does not have. The connection is closed because of it. */
export class ProtocolError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'ProtocolError';
    this.code = 'protocol_error';
  }
}

/** The server answered the Hello with a refusal. */
export class RefusedError extends Error {
  /**
   * @param {string} code Name of the refusal, for example `ticket_expired`.
   * @param {string} text What the server says about it.
   * @param {number | null} [retryAfterMs] Time after which it is worth to come back, when the
   *   server says one: with `overloaded`.
   */
  constructor(code, text, retryAfterMs = null) {
    super(text ? `${code}: ${text}` : code);
    this.name = 'RefusedError';
    this.code = code;
    this.text = text;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No connection came to be. */
export class ConnectError extends Error {
  /**
   * @param {string} code `no_transport`, `unreachable`, `timeout`, `aborted`, or a close's name.
   * @param {string} message
   * @param {unknown[]} [attempts] Why each transport failed.
   */
  constructor(code, message, attempts = []) {
    super(message);
    this.name = 'ConnectError';
    this.code = code;
    this.attempts = attempts;
  }
}

/** A match log that cannot be read. */
export class ReplayError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'ReplayError';
    this.code = 'replay_malformed';
  }
}
