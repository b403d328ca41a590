"""The parts of the bot that need no server: its clock, its choice of a session, its walls."""

from __future__ import annotations

import random
import unittest
from collections import deque

from arena import Player, crosses
from clock import Clock
from lobby import fullest
from thin import Snapshot

RATE = 60
INTERVAL = 3
CONFIG = {
    "map": {"walls": [[-1.0, -5.0, 1.0, 5.0]]},
    "movement": {"body_radius_m": 0.5},
    "weapon": {"range_m": 20.0},
}
STANDING = {"x": -6.0, "y": 0.0, "life": 0.0, "ammunition": 5.0}


def leads(way_ticks: int, ahead: int, ticks: int = 1200) -> list[int | None]:
    """What a server tells a client whose clock is wrong at first, with a way of that many ticks."""
    clock, client_time_s = Clock(1000 + ahead, RATE), 0.0
    inputs, snapshots = deque[tuple[int, int]](), deque[tuple[int, Snapshot]]()
    newest, told = None, list[int | None]()
    for tick in range(1000, 1000 + ticks):
        while client_time_s <= (tick - 1000) / RATE:
            clock.tick += 1
            client_time_s += clock.period_s
            inputs.append((tick + way_ticks, clock.tick))
        while inputs and inputs[0][0] <= tick:
            arrived = inputs.popleft()[1]
            if tick < arrived <= tick + 64:
                newest = max(newest or 0, arrived)
        if tick % INTERVAL == 0:
            told.append(None if newest is None else newest - tick)
            snapshots.append((tick + way_ticks, Snapshot(1, tick, told[-1], [], [])))
        while snapshots and snapshots[0][0] <= tick:
            clock.hear(snapshots.popleft()[1])
    return told


class KeepingTheLead(unittest.TestCase):
    def test_the_lead_settles_at_1_to_3_ticks_however_long_the_way_is(self) -> None:
        for way_ticks in (0, 1, 3, 6, 12):
            for ahead in (-200, -30, 0, 30, 200):
                with self.subTest(way_ticks=way_ticks, ahead=ahead):
                    settled = set(leads(way_ticks, ahead)[-60:])
                    self.assertLessEqual(settled, {1, 2, 3})


class ChoosingASession(unittest.TestCase):
    def test_it_goes_where_the_most_players_are(self) -> None:
        few, many = {"id": "a", "players": 3}, {"id": "b", "players": 10}
        self.assertEqual(fullest([few, many]), "b")
        self.assertEqual(fullest([many, few]), "b")
        self.assertIsNone(fullest([]))


class Playing(unittest.TestCase):
    def decide(self, x: float, y: float, life: float = 0.0) -> list[int]:
        player = Player(CONFIG, ((-20.0, -20.0), (20.0, 20.0)), random.Random(1))
        fighters = {1: STANDING, 2: {"x": x, "y": y, "life": life}}
        player.look(5, fighters)
        return player.decide(8, 1, fighters)

    def test_it_shoots_at_a_living_fighter_in_sight_and_walks_there(self) -> None:
        self.assertEqual(self.decide(-6.0, 8.0), [0, 100, 16384, 1])

    def test_it_keeps_away_from_one_that_is_close(self) -> None:
        self.assertEqual(self.decide(-6.0, 2.0), [0, -100, 16384, 1])

    def test_it_shoots_neither_through_walls_nor_at_the_dead(self) -> None:
        for other in [self.decide(6.0, 0.0), self.decide(-6.0, 8.0, life=1.0)]:
            self.assertNotEqual(other[3], 1)

    def test_it_walks_round_a_wall(self) -> None:
        player = Player(CONFIG, ((-20.0, -20.0), (20.0, 20.0)))
        x, y = player._stick((-2.0, 0.0), (6.0, 0.0), 0.0)
        self.assertGreater(abs(y), abs(x))

    def test_a_wall_is_between_its_two_sides_only(self) -> None:
        wall = [-1.0, -5.0, 1.0, 5.0]
        self.assertTrue(crosses((-6.0, 0.0), (6.0, 0.0), wall, 0.0))
        self.assertFalse(crosses((-6.0, 0.0), (-2.0, 0.0), wall, 0.0))
        self.assertFalse(crosses((-6.0, 5.2), (6.0, 5.2), wall, 0.0))
        for y in (-5.2, 5.2):
            self.assertTrue(crosses((-6.0, y), (6.0, y), wall, 0.5))


if __name__ == "__main__":
    unittest.main()
