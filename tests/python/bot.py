"""Plays arena over thin mode and prints what came of it as one line of JSON.

All that it does stands in docs/protocol.md; README.md tells how to run it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any, TypeVar

import thin
from arena import Player, Values
from carriers import CONSENTED, Carrier, Closed, connect
from clock import Clock
from lobby import Lobby, LobbyError
from snapshots import Reader
from thin import Bye, Event, Pong, Refused, Snapshot, Start, ThinError, Welcome

T = TypeVar("T")

FAREWELL_TIMEOUT_S = 2.0
RUNNING = "running"
"""Joins the fullest public session that is running, as a player who just wants to play would."""


class Bot:
    def __init__(self, carrier: Carrier, welcome: Welcome, start: Start) -> None:
        self.carrier, self.seat = carrier, welcome.seat
        self.reader, self.clock = Reader(start), Clock(start.tick, welcome.tick_rate)
        self.fields = {f.name: f for f in self.reader.kinds[0].fields}
        low, high = ([self.fields[axis].ends[end] for axis in "xy"] for end in (0, 1))
        self.player = Player(json.loads(start.config), ((low[0], low[1]), (high[0], high[1])))
        self.fighters: dict[int, Values] = {}
        self.own = 0
        self.inputs: deque[list[int]] = deque(maxlen=thin.INPUTS_MAX)
        self.report = {"snapshots": 0, "kills": 0, "deaths": 0, "shots": 0}
        self.bytes, self.rtt_ms = 0, 0.0

    async def listen(self) -> None:
        while True:
            data = await self.carrier.receive()
            self.bytes += len(data)
            match thin.read(data):
                case Snapshot() as snapshot if self.reader.take_in(snapshot):
                    self.take_in(snapshot)
                case Event(name="kill", payload=[killer, killed, *_]):
                    self.report["kills"] += killer == self.seat
                    self.report["deaths"] += killed == self.seat
                case Pong(stamp=stamp):
                    self.rtt_ms = (time.monotonic_ns() - stamp) / 1e6
                case Bye(code=code, text=text):
                    raise Closed(code, text)

    def take_in(self, snapshot: Snapshot) -> None:
        before, self.fighters = self.fighters, self.reader.values_of("fighter")
        self.report["snapshots"] += 1
        self.clock.hear(snapshot)
        self.player.look(snapshot.tick, self.fighters)
        self.own = next((n for n, f in self.fighters.items() if f["seat"] == self.seat), 0)
        if self.own in before and self.own in self.fighters:
            shots = self.fighters[self.own]["shots"] - before[self.own]["shots"]
            self.report["shots"] += int(shots) % self.fields["shots"].count

    async def play(self) -> None:
        next_at = time.monotonic()
        while True:
            tick = self.clock.tick = self.clock.tick + 1
            self.inputs.appendleft(self.player.decide(tick, self.own, self.fighters))
            frame = thin.player_input(tick, self.inputs, self.reader.newest, self.reader.before)
            await self.carrier.send_unreliably(thin.encode(frame))
            if tick % self.clock.rate == 0:
                await self.carrier.send_unreliably(thin.encode(thin.ping(time.monotonic_ns())))
            next_at = max(next_at + self.clock.period_s, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())

    async def run(self, seconds: float) -> str:
        """Plays for so long; the name of the close code that ended it."""
        tasks = [asyncio.create_task(self.listen()), asyncio.create_task(self.play())]
        try:
            ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when="FIRST_COMPLETED")
            if not ended:
                tasks.pop().cancel()
                await self.carrier.send_reliably(thin.encode(thin.leave()))
                ended, _ = await asyncio.wait(tasks, timeout=FAREWELL_TIMEOUT_S)
            for task in ended:
                task.result()
            return "unanswered leave"
        except Closed as closed:
            return str(closed)
        finally:
            for task in tasks:
                task.cancel()


async def first(carrier: Carrier, kind: type[T]) -> T:
    """The first frame of that kind; what is unreliable may have overtaken it and is dropped."""
    while True:
        frame = thin.read(await carrier.receive())
        if isinstance(frame, kind):
            return frame
        if isinstance(frame, Refused):
            raise ThinError(f"refused with code {frame.code}: {frame.text}")


async def play(options: argparse.Namespace) -> dict[str, Any]:
    lobby = Lobby(options.api)
    session = options.session or lobby.open_session("arena")
    if session == RUNNING:
        session = lobby.running_session("arena")
    joined = lobby.join(session)
    offer = next((o for o in joined["transports"] if o["kind"] == options.transport), None)
    if offer is None:
        raise LobbyError(f"the server offers no {options.transport}")
    carrier = await connect(offer, thin.encode(thin.hello(joined["ticket"], "python-bot/1")))
    try:
        bot = Bot(carrier, await first(carrier, Welcome), await first(carrier, Start))
        began = time.monotonic()
        close = await bot.run(options.seconds)
        rate = bot.bytes / 1000 / (time.monotonic() - began)
        figures = {"kB_per_s": round(rate, 2), "rtt_ms": round(bot.rtt_ms, 2)}
        return {"session": session, **bot.report, **figures, "close": close}
    finally:
        with suppress(Closed):
            await carrier.close_with(CONSENTED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    parser.add_argument("--transport", choices=["websocket", "quic"], default="websocket")
    parser.add_argument("--session", help=f"id, or `{RUNNING}`; opens one without it")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--must-score", action="store_true", help="fail without a kill")
    options = parser.parse_args()
    try:
        report = asyncio.run(play(options))
    except (LobbyError, Closed, ThinError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report))
    return int(not report["snapshots"] or (options.must_score and not report["kills"]))


if __name__ == "__main__":
    sys.exit(main())
