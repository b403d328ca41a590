/** Replays: placeholder until the log reader is there. */
export async function replayView(place) {
  place.append('Replay');
}
