"""A second writer of snapshots for the tests, made from docs/protocol.md like the reader.

It shows that the page is enough to write a server, too. It knows no bytes and no game.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from snapshots import State
from thin import Frame

AGE_INTERVALS_MAX = 32


@dataclass
class SnapshotWriter:
    """What a server remembers about one player's client."""

    counts: list[int]
    """How many states each field has; there is one kind."""
    interval: int
    number: int = 0
    sent: dict[int, tuple[int, dict[int, State]]] = field(default_factory=dict)
    """Tick and records of each snapshot that may still be acknowledged."""
    known: dict[int, tuple[int, State]] = field(default_factory=dict)
    """The newest state of each entity that the client certainly has, and its tick."""
    leaving: dict[int, int] = field(default_factory=dict)
    """Entities to forget, until the client has acknowledged it or one comes back; each with the
    first snapshot that said so, because an older acknowledgement is for an earlier leave."""
    left: dict[int, int] = field(default_factory=dict)
    """The newest snapshot that made the client forget the entity."""

    def write(self, tick: int, entities: dict[int, State], gone: set[int]) -> Frame:
        """The snapshot with a record of each of the entities."""
        self.number += 1
        for number in gone - self.leaving.keys():
            self.leaving[number] = self.number
            self.known.pop(number, None)
        for number in self.leaving.keys() & entities.keys():
            del self.leaving[number]
        self.left |= dict.fromkeys(self.leaving, self.number)
        groups: dict[int, list[int]] = {}
        last: dict[int, int] = {}
        for number, state in sorted(entities.items()):
            age, record = self._record(tick, number, state)
            groups.setdefault(age, []).extend([number - last.get(age, 0), *record])
            last[age] = number
        self.sent[self.number] = (tick, entities)
        flat = [part for pair in groups.items() for part in pair]
        return [4, self.number, tick, None, sorted(self.leaving), flat]

    def _record(self, tick: int, number: int, state: State) -> tuple[int, list[int]]:
        before, old = self.known.get(number, (0, state))
        age = tick - before if number in self.known else 0
        if age == 0 or age > AGE_INTERVALS_MAX * self.interval:
            changes = {i: q for i, q in enumerate(state) if q}
            return 0, [0, sum(1 << i for i in changes), *changes.values()]
        written = [difference(*qs) for qs in zip(old, state, self.counts)]
        changes = {i: d for i, d in enumerate(written) if d}
        return age, [sum(1 << i for i in changes), *changes.values()]

    def acknowledge(self, newest: int, before: int) -> None:
        taken = {newest - 1 - i for i in range(32) if before >> i & 1} | {newest}
        for number in sorted(taken & self.sent.keys()):
            tick, entities = self.sent.pop(number)
            self.leaving = {e: first for e, first in self.leaving.items() if first > number}
            # What the client was told to forget after that snapshot is not there any more.
            for entity in entities.keys() - {e for e, at in self.left.items() if at > number}:
                self.known[entity] = (tick, entities[entity])
        self.sent = {number: sent for number, sent in self.sent.items() if number > newest - 33}


def difference(old: int, new: int, count: int) -> int:
    """The shortest way round a circle of `count` states, as it is written."""
    d = (new - old + count // 2) % count - count // 2
    return 2 * d if d >= 0 else -2 * d - 1
