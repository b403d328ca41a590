"""Plays arena: where to walk, where to aim, when to fire.

It knows what docs/protocol.md tells of arena, and no frames.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Point: TypeAlias = tuple[float, float]
Values: TypeAlias = dict[str, float]

FIRE, RELOAD = 1, 2
AIM_STEPS = 65_536
KEEP_AWAY_M = 4.0
"""No closer than this to the fighter that is shot at."""
LOOK_AHEAD_M = 2.5
"""Free way that a heading needs."""
PATIENCE_TICKS = 60
"""After this long without getting anywhere it walks somewhere else."""


@dataclass
class Sighting:
    tick: int
    at: Point
    velocity: Point = (0.0, 0.0)
    """Metres per tick."""

    def seen(self, tick: int, at: Point) -> Sighting:
        if tick == self.tick:
            return self
        moved = ((now - then) / (tick - self.tick) for now, then in zip(at, self.at))
        velocity = (next(moved), next(moved))
        has_jumped = math.hypot(*velocity) > 1
        return Sighting(tick, at, (0.0, 0.0) if has_jumped else velocity)

    def at_tick(self, tick: int) -> Point:
        ahead = tick - self.tick
        return (self.at[0] + ahead * self.velocity[0], self.at[1] + ahead * self.velocity[1])


@dataclass
class Player:
    """Decides one input a tick."""

    config: dict[str, Any]
    bounds: tuple[Point, Point]
    """The lowest and the highest position."""
    rng: random.Random = field(default_factory=random.Random)
    _sightings: dict[int, Sighting] = field(default_factory=dict)
    _goal: Point | None = None
    _side: int = 1
    _stood_at: tuple[int, Point] = (0, (0.0, 0.0))

    def look(self, tick: int, fighters: dict[int, Values]) -> None:
        """What a snapshot shows."""
        seen = {}
        for number, values in fighters.items():
            at = (values["x"], values["y"])
            seen[number] = self._sightings.get(number, Sighting(tick, at)).seen(tick, at)
        self._sightings = seen

    def decide(self, tick: int, own: int, fighters: dict[int, Values]) -> list[int]:
        """The input for that tick: stick x, stick y, aim, buttons."""
        if own not in fighters or not is_alive(fighters[own]):
            return [0, 0, 0, 0]
        here = self._sightings[own].at_tick(tick)
        others = [self._sightings[n].at_tick(tick) for n, f in fighters.items()
                  if n != own and is_alive(f)]  # fmt: skip
        others.sort(key=lambda there: math.dist(here, there))
        target = next((there for there in others if self.is_free(here, there)), None)
        goal = target or self._wander(tick, here, others)
        wants_away = target is not None and math.dist(here, goal) < KEEP_AWAY_M
        x, y = self._stick(here, goal, math.pi if wants_away else 0.0)
        aim = math.atan2(goal[1] - here[1], goal[0] - here[0]) / math.tau
        in_range = math.dist(here, goal) <= self.config["weapon"]["range_m"]
        buttons = FIRE if target and in_range else 0
        if fighters[own]["ammunition"] == 0 or not (target or others):
            buttons = RELOAD
        return [x, y, round(aim * AIM_STEPS) % AIM_STEPS, buttons]

    def is_free(self, start: Point, end: Point, radius: float = 0.0) -> bool:
        """Whether no wall is in between, for something of that radius."""
        return not any(crosses(start, end, wall, radius) for wall in self.config["map"]["walls"])

    def _wander(self, tick: int, here: Point, others: list[Point]) -> Point:
        """The nearest fighter behind a wall, or a place that is changed when it is not reached."""
        since, stood_at = self._stood_at
        if math.dist(here, stood_at) > LOOK_AHEAD_M:
            self._stood_at = (tick, here)
        elif self._goal is None or tick - since > PATIENCE_TICKS:
            self._stood_at = (tick, here)
            (left, bottom), (right, top) = self.bounds
            self._goal = (self.rng.uniform(left, right), self.rng.uniform(bottom, top))
            self._side = self.rng.choice((-1, 1))
        is_there = self._goal is None or math.dist(here, self._goal) < LOOK_AHEAD_M
        if is_there:
            self._goal = others[0] if others else None
        return self._goal or here

    def _stick(self, here: Point, goal: Point, turned: float) -> tuple[int, int]:
        """Straight, or past what is in the way on the side that was chosen last."""
        straight = math.atan2(goal[1] - here[1], goal[0] - here[0]) + turned
        radius = self.config["movement"]["body_radius_m"] * 1.1
        for turn in self._turns():
            towards = (math.cos(straight + turn), math.sin(straight + turn))
            there = (here[0] + LOOK_AHEAD_M * towards[0], here[1] + LOOK_AHEAD_M * towards[1])
            if self._is_inside(there) and self.is_free(here, there, radius):
                return round(100 * towards[0]), round(100 * towards[1])
        return round(100 * math.cos(straight)), round(100 * math.sin(straight))

    def _turns(self) -> Iterator[float]:
        yield 0.0
        for eighths in range(1, 8):
            for side in (self._side, -self._side):
                yield side * eighths * math.pi / 8

    def _is_inside(self, there: Point) -> bool:
        (left, bottom), (right, top) = self.bounds
        return left <= there[0] <= right and bottom <= there[1] <= top


def is_alive(fighter: Values) -> bool:
    return fighter["life"] % 2 == 0


def crosses(start: Point, end: Point, wall: list[float], radius: float) -> bool:
    """Whether the line from start to end meets the rectangle, made larger by the radius."""
    enters, leaves = 0.0, 1.0
    for axis in (0, 1):
        low, high = wall[axis] - radius, wall[axis + 2] + radius
        length = end[axis] - start[axis]
        if length == 0:
            if not low < start[axis] < high:
                return False
            continue
        first, second = sorted(((low - start[axis]) / length, (high - start[axis]) / length))
        enters, leaves = max(enters, first), min(leaves, second)
    return enters < leaves
