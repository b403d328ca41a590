"""The reader of snapshots: from differences to what the client knows of the match.

Written from docs/protocol.md alone. It knows no bytes, no sockets and no game.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from thin import Snapshot, Start, ThinError, is_uint

HISTORY_INTERVALS = 32
"""How far back differences may reach, in intervals between snapshots."""
BEFORE_BITS = 0xFFFF_FFFF

State: TypeAlias = tuple[int, ...]
"""The integer of each field, in the order of the kind's fields."""


class _StateMissing(Exception):
    """A record is a difference to a state that is not here."""


@dataclass(frozen=True)
class Field:
    name: str
    minimum: float
    step: float
    count: int
    wraps: bool

    def value(self, q: int) -> float:
        return self.minimum + q * self.step

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return self.value(0), self.value(self.count - 1)

    def whole(self, _before: int, written: int) -> int:
        if written >= self.count:
            raise ThinError(f"{self.name} has {self.count} states, {written} is none of them")
        return written

    def moved(self, before: int, written: int) -> int:
        """0, 1, 2, 3, 4 … are written for differences of 0, −1, 1, −2, 2 …"""
        difference = -(written + 1) // 2 if written & 1 else written // 2
        return (before + difference) % self.count


@dataclass(frozen=True)
class Kind:
    name: str
    fields: tuple[Field, ...]


@dataclass
class Entity:
    kind: Kind
    states: dict[int, State] = field(default_factory=dict)
    """By the tick of each snapshot that had a record of it, oldest first."""

    def state_at(self, tick: int) -> State:
        """As the client knew it after the snapshot of that tick."""
        known = [state for at, state in self.states.items() if at <= tick]
        if not known:
            raise _StateMissing
        return known[-1]

    def values(self) -> dict[str, float]:
        newest = next(reversed(self.states.values()))
        return {f.name: f.value(q) for f, q in zip(self.kind.fields, newest)}

    def forget_before(self, tick: int) -> None:
        """Keeps what answers `state_at` for that tick and all later ones."""
        for at in [at for at in self.states if at <= tick][:-1]:
            del self.states[at]


def kinds_of(start: Start) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(str(kind[0]), tuple(map(_field, kind[1]))) for kind in start.kinds)
    except (TypeError, ValueError, IndexError) as error:
        raise ThinError(f"the kinds cannot be read: {error}") from error


def _field(parts: Sequence[Any]) -> Field:
    name, minimum, step, count, wraps = parts[:5]
    if not is_uint(count) or count == 0:
        raise ThinError(f"a field cannot have {count!r} states")
    return Field(str(name), float(minimum), float(step), count, wraps == 1)


class Reader:
    """What this client knows of the match, and which snapshots it took in."""

    def __init__(self, start: Start) -> None:
        self.kinds = kinds_of(start)
        self.entities: dict[int, Entity] = {}
        self.tick = start.tick
        self.newest = 0
        self.before = 0
        self._history_ticks = HISTORY_INTERVALS * start.interval
        self._ticks: set[int] = set()

    def take_in(self, snapshot: Snapshot) -> bool:
        """False when it came late or needs a state that is not here; then nothing changes."""
        if snapshot.number <= self.newest:
            return False
        gone = _uints(self.entities if snapshot.gone is None else snapshot.gone)
        kept = {number: entity for number, entity in self.entities.items() if number not in gone}
        try:
            records = list(self._records(snapshot, kept))
        except _StateMissing:
            return False
        for number, kind, state in records:
            kept.setdefault(number, Entity(kind)).states[snapshot.tick] = state
        self.entities = kept
        self._note(snapshot)
        return True

    def values_of(self, kind: str) -> dict[int, dict[str, float]]:
        """All entities of that kind."""
        return {n: e.values() for n, e in self.entities.items() if e.kind.name == kind}

    def _note(self, snapshot: Snapshot) -> None:
        ahead = snapshot.number - self.newest
        bit = 1 << (ahead - 1) if self.newest else 0
        self.before = ((self.before << ahead) | bit) & BEFORE_BITS
        self.newest, self.tick = snapshot.number, snapshot.tick
        oldest = snapshot.tick - self._history_ticks
        self._ticks = {tick for tick in self._ticks if tick >= oldest} | {snapshot.tick}
        for entity in self.entities.values():
            entity.forget_before(oldest)

    def _records(
        self, snapshot: Snapshot, kept: dict[int, Entity]
    ) -> Iterator[tuple[int, Kind, State]]:
        groups = snapshot.groups
        if len(groups) % 2 or not all(isinstance(records, list) for records in groups[1::2]):
            raise ThinError("groups are pairs of an age and an array")
        for age, records in zip(_uints(groups[::2]), groups[1::2]):
            parts = iter(_uints(records))
            number = 0
            for step in parts:
                if step == 0:
                    raise ThinError("the records of a group ascend by entity")
                number += step
                kind, before = self._before(parts, snapshot.tick, age, kept.get(number))
                change = Field.moved if age else Field.whole
                yield number, kind, _changed(kind, before, parts, change)

    def _before(
        self, parts: Iterator[int], tick: int, age: int, entity: Entity | None
    ) -> tuple[Kind, State]:
        """The kind of the entity and the state that its record starts from."""
        if age:
            if entity is None or tick - age not in self._ticks:
                raise _StateMissing
            return entity.kind, entity.state_at(tick - age)
        index = _next(parts)
        if index >= len(self.kinds) or entity and entity.kind != self.kinds[index]:
            raise ThinError(f"{index} is not the kind of the entity")
        return self.kinds[index], (0,) * len(self.kinds[index].fields)


def _changed(
    kind: Kind, before: State, parts: Iterator[int], change: Callable[[Field, int, int], int]
) -> State:
    mask = _next(parts)
    if mask >> len(kind.fields):
        raise ThinError(f"{kind.name} has {len(kind.fields)} fields, the mask is {mask:#b}")
    return tuple(
        change(f, q, _next(parts)) if mask >> i & 1 else q
        for i, (f, q) in enumerate(zip(kind.fields, before))
    )


def _next(parts: Iterator[int]) -> int:
    part = next(parts, None)
    if part is None:
        raise ThinError("the last record is cut off")
    return part


def _uints(parts: Collection[Any]) -> Collection[int]:
    if not all(map(is_uint, parts)):
        raise ThinError("there is something else among unsigned integers")
    return parts
