"""Thin mode: frames to bytes and back.

Written from docs/protocol.md alone, to prove that the page is enough. It knows neither sockets nor
what a snapshot means (snapshots.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from types import NoneType
from typing import Any, TypeAlias, TypeVar

import msgpack

PROTOCOL_VERSION = 1
MODE_THIN = 1
CREDENTIAL_TICKET = 0
CREDENTIAL_RESUME = 1
INPUTS_MAX = 8
"""Inputs that one input frame repeats."""

Frame: TypeAlias = list[Any]
Uint: TypeAlias = int
T = TypeVar("T")


class ThinError(ValueError):
    """The peer sent something that the protocol does not have."""


# The parts of a frame in its order, after the number. The annotations are checked when it is read.


@dataclass(frozen=True)
class Welcome:
    connection: Uint
    player: bytes
    seat: Uint | None
    role: Uint
    tick_rate: Uint
    snapshot_rate: Uint
    resume_token: str
    datagram_size: Uint
    game: str


@dataclass(frozen=True)
class Refused:
    code: Uint
    text: str
    retry_after_ms: Uint | None = None


@dataclass(frozen=True)
class Start:
    tick: Uint
    interval: Uint
    kinds: list[Any]
    config: str


@dataclass(frozen=True)
class Snapshot:
    number: Uint
    tick: Uint
    lead: int | None
    gone: list[Any] | None
    groups: list[Any]


@dataclass(frozen=True)
class Event:
    number: Uint
    tick: Uint
    name: str
    payload: list[Any]


@dataclass(frozen=True)
class Pong:
    stamp: Uint
    tick: Uint
    microseconds: Uint


@dataclass(frozen=True)
class Bye:
    code: Uint
    text: str


ServerFrame: TypeAlias = Welcome | Refused | Start | Snapshot | Event | Pong | Bye

_FRAMES: dict[int, type[ServerFrame]] = {
    1: Welcome, 2: Refused, 3: Start, 4: Snapshot, 5: Event, 6: Pong, 7: Bye,
}  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {
    "Uint": (int,), "Uint | None": (int, NoneType), "int | None": (int, NoneType),
    "str": (str,), "bytes": (bytes,), "list[Any]": (list,), "list[Any] | None": (list, NoneType),
}  # fmt: skip


def encode(frame: Frame) -> bytes:
    """The frame as MessagePack."""
    return bytes(msgpack.packb(frame))


def decode(data: bytes) -> Frame:
    """The array in the bytes; nothing may follow it."""
    try:
        frame = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise ThinError(f"no MessagePack: {error}") from error
    if not isinstance(frame, list) or not frame or not is_uint(frame[0]):
        raise ThinError("a frame is an array that begins with its number")
    return frame


def read(data: bytes) -> ServerFrame | None:
    """A frame from the server; None when its number is not known, which is no error."""
    number, *parts = decode(data)
    return _typed(_FRAMES[number], parts) if number in _FRAMES else None


def _typed(shape: type[T], parts: Sequence[Any]) -> T:
    fields = dataclasses.fields(shape)  # type: ignore[arg-type]
    needed = sum(field.default is dataclasses.MISSING for field in fields)
    if len(parts) < needed:
        raise ThinError(f"{shape.__name__} has {needed} parts, not {len(parts)}")
    for expected, part in zip(fields, parts):
        kind = str(expected.type)
        # type() and not isinstance(): Python counts true and false as integers.
        if type(part) not in _TYPES[kind] or (kind.startswith("Uint") and (part or 0) < 0):
            raise ThinError(f"{shape.__name__}.{expected.name} is no {kind}: {part!r}")
    return shape(*parts[: len(fields)])


def is_uint(part: object) -> bool:
    return type(part) is int and part >= 0


def hello(credential: str, build: str, kind: int = CREDENTIAL_TICKET) -> Frame:
    return [0, PROTOCOL_VERSION, MODE_THIN, kind, credential, build, 0]


def player_input(tick: int, inputs: Iterable[Frame], newest: int, before: int) -> Frame:
    """The newest input comes first; the others are for the ticks before."""
    return [16, tick, list(islice(inputs, INPUTS_MAX)), newest, before]


def ack(newest: int, before: int) -> Frame:
    return [17, newest, before]


def ping(stamp: int) -> Frame:
    return [18, stamp]


def chat(text: str) -> Frame:
    return [19, text]


def leave() -> Frame:
    return [20]
