"""Which tick the next input is for.

It knows the server by the lead in its snapshots only.
"""

from __future__ import annotations

from thin import Snapshot

EARLY_S = 0.033
"""How early an input should come, as docs/protocol.md advises; one tick at least."""
LEAD_FAR_TICKS = 20
"""From here on the clock is set and no longer bent."""
BEND_MAX = 0.1
"""How much faster or slower it runs at most."""
CALM_TICKS = 50
"""A lead that is wrong by one tick is made good in that many ticks."""
GUESS_MAX = 60
"""The server drops inputs that are more than 64 ticks ahead."""


class Clock:
    def __init__(self, tick: int, rate: int) -> None:
        self.lead = max(1, round(EARLY_S * rate))
        self.tick = tick + self.lead
        self.rate = rate
        self.period_s = 1 / rate
        self._guess = self.lead
        self._deaf_until = 0

    def hear(self, snapshot: Snapshot) -> None:
        if snapshot.lead is None or snapshot.lead < -LEAD_FAR_TICKS:
            self._search(snapshot.tick)
        elif snapshot.tick >= self._deaf_until:
            late = self.lead - snapshot.lead
            bend = max(-BEND_MAX, min(BEND_MAX, late / CALM_TICKS))
            self.period_s = 1 / (self.rate * (1 + bend))
            if abs(late) > LEAD_FAR_TICKS:
                # Until then the leads tell of inputs that were sent before.
                self._deaf_until = max(self.tick, snapshot.tick) + self.rate
                self.tick += late

    def _search(self, server_tick: int) -> None:
        """No input comes in time, and nobody tells how late they are: try ever earlier."""
        self._guess = self._guess % GUESS_MAX + 1
        if not server_tick + self._guess <= self.tick <= server_tick + GUESS_MAX:
            self.tick = server_tick + self._guess
