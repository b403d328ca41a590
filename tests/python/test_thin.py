"""Thin mode as docs/protocol.md tells it: the server's own vectors, and bytes made by hand."""

from __future__ import annotations

import json
import random
import unittest
from pathlib import Path
from typing import Any

import thin
from snapshot_writer import SnapshotWriter, difference
from snapshots import Reader
from thin import Snapshot, ThinError

VECTORS = Path(__file__).parent.parent / "vectors" / "thin.json"
KINDS = [["thing", [["x", -10.0, 0.5, 64, 0], ["turn", 0.0, 0.25, 4, 1], ["odd", 0.0, 1.0, 5, 0]]]]
INTERVAL = 3
DELAY_SNAPSHOTS = 4
"""How late an acknowledgement comes."""


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text)


def as_json(part: Any) -> Any:
    if isinstance(part, bytes):
        return part.hex()
    return [as_json(inner) for inner in part] if isinstance(part, list) else part


def snapshot(data: bytes) -> Snapshot:
    read = thin.read(data)
    assert isinstance(read, Snapshot)
    return read


def a_reader() -> Reader:
    start = thin.read(thin.encode([3, 9, INTERVAL, KINDS, "{}"]))
    assert isinstance(start, thin.Start)
    return Reader(start)


def states(reader: Reader) -> dict[int, tuple[int, ...]]:
    return {number: entity.state_at(reader.tick) for number, entity in reader.entities.items()}


class VectorsOfTheServer(unittest.TestCase):
    vectors: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        if not VECTORS.is_file():
            raise AssertionError(f"{VECTORS} is missing; the server's encoder writes it")
        cls.vectors = json.loads(VECTORS.read_text(encoding="utf-8"))

    def test_frames_mean_what_the_server_says(self) -> None:
        for frame in self.vectors["frames"]:
            with self.subTest(frame["name"]):
                data = from_hex(frame["hex"])
                self.assertEqual(as_json(thin.decode(data)), frame["json"])
                if frame["from"] == "client":
                    self.assertEqual(thin.encode(frame["json"]).hex(), frame["hex"])
                else:
                    self.assertIsNotNone(thin.read(data))

    def test_invalid_frames_are_ignored_or_refused(self) -> None:
        for frame in self.vectors["invalid"]:
            with self.subTest(frame["name"]):
                self.assertEqual(self._answer(from_hex(frame["hex"])), frame["answer"])

    def test_a_player_sees_what_the_server_shows(self) -> None:
        self._play("run")

    def test_a_spectator_sees_what_the_server_shows(self) -> None:
        self._play("spectator_run")

    def _reader(self) -> Reader:
        start = thin.read(from_hex(self.vectors["start"]))
        assert isinstance(start, thin.Start)
        return Reader(start)

    def _answer(self, data: bytes) -> str:
        try:
            frame = thin.read(data)
            if isinstance(frame, Snapshot):
                return "taken" if self._reader().take_in(frame) else "ignored"
            return "ignored" if frame is None else "taken"
        except ThinError:
            return "refused"

    def _play(self, run: str) -> None:
        reader = self._reader()
        for number, step in enumerate(self.vectors[run]):
            if not step["delivered"]:
                continue
            with self.subTest(f"{run} {number}: {step['name']}"):
                frame = snapshot(from_hex(step["hex"]))
                self.assertEqual(reader.take_in(frame), step["taken"])
                self._compare(reader, step["expect"])

    def _compare(self, reader: Reader, expect: dict[str, Any]) -> None:
        self.assertEqual((reader.newest, reader.before), (expect["newest"], expect["before"]))
        self.assertEqual(sorted(reader.entities), sorted(map(int, expect["entities"])))
        for number, entity in reader.entities.items():
            expected = expect["entities"][str(number)]
            values = entity.values()
            self.assertEqual(entity.kind.name, expected["kind"])
            self.assertEqual(sorted(values), sorted(expected["values"]))
            for f in entity.kind.fields:
                self.assertAlmostEqual(
                    values[f.name], expected["values"][f.name], delta=f.step * 1e-9
                )


class Frames(unittest.TestCase):
    def test_hello_welcome_and_refused_have_the_bytes_of_the_page(self) -> None:
        hello = [0, 1, 1, 0, "abc", "b1", 0x1234]
        self.assertEqual(
            thin.encode(hello), from_hex("97 00 01 01 00 a3 61 62 63 a2 62 31 cd 12 34")
        )
        self.assertEqual(thin.hello("abc", "b1"), hello[:6] + [0])
        player = from_hex("00" * 15 + "01")
        self.assertEqual(
            thin.read(
                from_hex("9a 01 07 c4 10")
                + player
                + from_hex("cd 01 2c 00 3c 14 a1 72 cd 04 4c a5 61 72 65 6e 61")
            ),
            thin.Welcome(7, player, 300, 0, 60, 20, "r", 1100, "arena"),
        )
        self.assertEqual(thin.read(from_hex("93 02 05 a4 75 73 65 64")), thin.Refused(5, "used"))
        self.assertEqual(
            thin.read(from_hex("94 02 0e a4 66 75 6c 6c cd 07 d0")), thin.Refused(14, "full", 2000)
        )

    def test_a_snapshot_made_by_hand_is_read(self) -> None:
        reader = a_reader()
        by_hand = from_hex("96 04 01 0a c0 c0 92 00 95 07 00 03 05 01")
        self.assertTrue(reader.take_in(snapshot(by_hand)))
        self.assertEqual(reader.entities[7].values(), {"x": -7.5, "turn": 0.25, "odd": 0.0})

    def test_integers_may_be_wider_than_needed(self) -> None:
        wide = from_hex("93 cf 0000000000000007 cd 0004 d9 00")
        self.assertEqual(thin.read(wide), thin.Bye(4, ""))

    def test_unknown_frames_and_elements_are_ignored(self) -> None:
        self.assertIsNone(thin.read(thin.encode([99, "from the future"])))
        self.assertEqual(thin.read(thin.encode([7, 9, "over", ["new"]])), thin.Bye(9, "over"))

    def test_what_is_no_frame_is_refused(self) -> None:
        for text in ["", "c0", "90", "91 ff", "92 07 09", "93 07 09 c4 00", "93 07 09 a0 00",
                     "93 07 09 a1 ff", "93 07 c3 a0", "93 07"]:  # fmt: skip
            with self.subTest(text), self.assertRaises(ThinError):
                thin.read(from_hex(text))

    def test_frames_of_the_client_have_the_order_of_the_page(self) -> None:
        inputs = [[tick, 0, 65535, 1] for tick in range(9)]
        self.assertEqual(thin.player_input(40, inputs, 3, 2), [16, 40, inputs[:8], 3, 2])
        self.assertEqual(thin.encode(thin.ack(300, 1)), from_hex("93 11 cd 01 2c 01"))
        self.assertEqual(thin.encode(thin.ping(5)), from_hex("92 12 05"))
        self.assertEqual(thin.encode(thin.chat("hi")), from_hex("92 13 a2 68 69"))
        self.assertEqual(thin.encode(thin.leave()), from_hex("91 14"))


class Snapshots(unittest.TestCase):
    def setUp(self) -> None:
        self.reader = a_reader()

    def take_in(self, number: int, tick: int, gone: Any, groups: Any) -> bool:
        return self.reader.take_in(snapshot(thin.encode([4, number, tick, None, gone, groups])))

    def test_differences_go_the_shortest_way_round(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 7, 0, 3, 0]])
        # −1, 1 and −2 round circles of 64, 4 and 5.
        self.assertTrue(self.take_in(2, 13, [], [3, [1, 7, 1, 2, 3]]))
        self.assertEqual(states(self.reader), {1: (63, 0, 3)})
        # Half of an even count is negative; 2 is the most of 5.
        self.assertTrue(self.take_in(3, 16, [], [3, [1, 7, 63, 3, 4]]))
        self.assertEqual(states(self.reader), {1: (31, 2, 0)})

    def test_every_difference_leads_from_each_state_to_each_other(self) -> None:
        for f in self.reader.kinds[0].fields:
            for old in range(f.count):
                moved = {f.moved(old, difference(old, new, f.count)) for new in range(f.count)}
                self.assertEqual(moved, set(range(f.count)))

    def test_a_difference_to_an_older_state_starts_there(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 1, 20]])
        self.take_in(2, 13, [], [3, [1, 1, 10]])
        self.assertTrue(self.take_in(3, 16, [], [6, [1, 2, 2]]))
        self.assertEqual(states(self.reader), {1: (20, 1, 0)})

    def test_an_entity_without_a_record_is_as_it_was_and_a_state_to_build_on(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 1, 20, 200, 0, 1, 5]])
        self.take_in(2, 13, [], [3, [201, 1, 2]])
        self.assertEqual(states(self.reader), {1: (20, 0, 0), 201: (6, 0, 0)})
        self.assertTrue(self.take_in(3, 16, [], [3, [1, 1, 2]]))
        self.assertEqual(states(self.reader), {1: (21, 0, 0), 201: (6, 0, 0)})

    def test_gone_forgets_and_the_entity_comes_back_whole(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 1, 20, 1, 0, 1, 9]])
        self.take_in(2, 13, [1], [])
        self.assertEqual(states(self.reader), {2: (9, 0, 0)})
        self.assertFalse(self.take_in(3, 16, [], [6, [1, 0]]))
        self.assertTrue(self.take_in(4, 19, [], [0, [1, 0, 0]]))
        self.assertEqual(states(self.reader), {1: (0, 0, 0), 2: (9, 0, 0)})

    def test_a_key_frame_forgets_every_entity(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 1, 20]])
        self.take_in(2, 13, None, [0, [2, 0, 1, 3]])
        self.assertTrue(self.take_in(3, 13, [], [0, [4, 0, 0]]))
        self.assertEqual(states(self.reader), {2: (3, 0, 0), 4: (0, 0, 0)})

    def test_late_repeated_and_unfounded_snapshots_change_nothing(self) -> None:
        self.take_in(2, 13, None, [0, [1, 0, 1, 20]])
        self.assertFalse(self.take_in(1, 10, None, [0, [5, 0, 0]]), "late")
        self.assertFalse(self.take_in(2, 13, None, []), "repeated")
        self.assertFalse(self.take_in(3, 16, [], [6, [1, 0]]), "on a lost snapshot")
        stranger = self.take_in(3, 16, [1], [0, [8, 0, 0], 3, [9, 0]])
        self.assertFalse(stranger, "on an entity that is not known")
        self.assertEqual(states(self.reader), {1: (20, 0, 0)})
        self.assertEqual((self.reader.newest, self.reader.before), (2, 0))

    def test_acknowledgements_tell_the_last_33(self) -> None:
        for number in [1, 2, 4, 36]:
            self.take_in(number, 10 + number, None, [])
        self.assertEqual((self.reader.newest, self.reader.before), (36, 1 << 31))
        self.take_in(37, 50, None, [])
        self.assertEqual((self.reader.newest, self.reader.before), (37, 1))

    def test_states_of_32_intervals_are_kept(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 1, 20]])
        for number in range(2, 33):
            self.take_in(number, 7 + number * INTERVAL, [], [])
        oldest = 32 * INTERVAL
        self.assertTrue(self.take_in(33, 10 + oldest, [], [oldest, [1, 1, 2]]))
        self.assertTrue(self.take_in(34, 13 + oldest, [], []))
        self.assertFalse(self.take_in(35, 16 + oldest, [], [oldest + 6, [1, 1, 2]]))
        self.assertEqual(len(self.reader.entities[1].states), 2)

    def test_broken_snapshots_are_refused(self) -> None:
        self.take_in(1, 10, None, [0, [1, 0, 0]])
        for groups in [
            [0], [0, 1], [[], 0], [0, [1]], [0, [1, 0]], [0, [1, 0, 1]], [0, [1, 1, 0]],
            [0, [2, 0, 8]], [0, [2, 0, 2, 4]], [0, [2, 0, 0, 0, 0, 0]], [3, [1, 1]],
            [3, [1, -1]], [3, [1, True]], [-3, [1, 0]],
        ]:  # fmt: skip
            with self.subTest(groups), self.assertRaises(ThinError):
                self.take_in(2, 13, [], groups)
        with self.assertRaises(ThinError):
            self.take_in(2, 13, [[]], [])


class LossyLink(unittest.TestCase):
    def test_reader_and_writer_agree_whatever_is_lost(self) -> None:
        for seed in range(20):
            with self.subTest(seed=seed):
                self._play(random.Random(seed))

    def _play(self, rng: random.Random) -> None:
        counts = [f.count for f in a_reader().kinds[0].fields]
        writer, reader = SnapshotWriter(counts, INTERVAL), a_reader()
        world = {number: (0, 0, 0) for number in range(1, 40)}
        visible, shown = set(world), set[int]()
        on_the_way: list[tuple[int, int]] = []
        for step in range(1, 201):
            is_calm = step > 170
            for number in rng.sample(sorted(world), 10):
                world[number] = tuple(rng.randrange(count) for count in counts)  # type: ignore
            visible = visible if is_calm else visible ^ set(rng.sample(sorted(world), 6))
            some = visible if is_calm else {n for n in visible if rng.random() < 0.4}
            gone, shown = shown - visible, (shown & visible) | some
            frame = writer.write(step * INTERVAL, {n: world[n] for n in some}, gone)
            if is_calm or rng.random() < 0.7:
                self.assertTrue(reader.take_in(snapshot(thin.encode(frame))), "no state is missing")
                taken = states(reader)
                self.assertEqual({n: taken[n] for n in some}, {n: world[n] for n in some})
            on_the_way.append((reader.newest, reader.before))
            if len(on_the_way) > DELAY_SNAPSHOTS:
                acknowledged = on_the_way.pop(0)
                if rng.random() < 0.7:
                    writer.acknowledge(*acknowledged)
        self.assertEqual(states(reader), {n: world[n] for n in visible})


if __name__ == "__main__":
    unittest.main()
