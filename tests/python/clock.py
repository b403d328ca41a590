"""Which tick the next input is for.

It knows the server by the lead in its snapshots only.
"""

from __future__ import annotations

from thin import Snapshot

LEAD_TICKS = 2
"""How early an input should come: the middle of what docs/protocol.md advises."""
LEAD_FAR_TICKS = 20
"""From here on the clock is set and no longer bent."""
BEND_MAX = 0.1
"""How much faster or slower it runs at most."""
CALM_TICKS = 50
"""A lead that is wrong by one tick is made good in that many ticks."""


class Clock:
    def __init__(self, tick: int, rate: int) -> None:
        self.tick = tick + LEAD_TICKS
        self.rate = rate
        self.period_s = 1 / rate
        self._deaf_until = 0

    def hear(self, snapshot: Snapshot) -> None:
        if snapshot.lead is None:
            self.tick = max(self.tick, snapshot.tick + LEAD_TICKS)
        elif snapshot.tick >= self._deaf_until:
            late = LEAD_TICKS - snapshot.lead
            bend = max(-BEND_MAX, min(BEND_MAX, late / CALM_TICKS))
            self.period_s = 1 / (self.rate * (1 + bend))
            if abs(late) > LEAD_FAR_TICKS:
                self.tick += late
                # Until then the leads tell of inputs that were sent before.
                self._deaf_until = snapshot.tick + self.rate
