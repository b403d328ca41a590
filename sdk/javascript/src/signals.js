/** Signals that browsers of 2023 cannot make themselves: they have no `AbortSignal.any`. */

/**
 * A signal that aborts as soon as one of several does.
 *
 * @param {...(AbortSignal | undefined)} signals
 * @returns {{signal: AbortSignal, release(): void}} `release` forgets the signals, which may live
 *   much longer than what they end.
 */
export function eitherOf(...signals) {
  const either = new AbortController();
  const abort = () => either.abort();
  const release = () => signals.forEach((one) => one?.removeEventListener('abort', abort));
  for (const one of signals) {
    if (one?.aborted) abort();
    else one?.addEventListener('abort', abort, { once: true });
  }
  return { signal: either.signal, release };
}
