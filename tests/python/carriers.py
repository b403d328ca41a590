"""Carries frames over WebSocket and QUIC, as docs/protocol.md tells it.

It knows of a frame only where it begins and ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from contextlib import AsyncExitStack
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect as connect_quic
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

CONNECT_TIMEOUT_S = 10.0
FRAMES_WAITING_MAX = 4096
"""More means that this program does not read; it fails then."""
CLOSE_NAMES = (
    *("consented", "kicked", "banned", "replaced", "draining", "protocol_mismatch"),
    *("slow_consumer", "rate_limited", "ticket_invalid", "match_over", "timeout", "internal"),
    *("protocol_error", "refused", "lost"),
)
CONSENTED, INTERNAL, LOST = 0, 11, 14


class Closed(Exception):
    """The connection is over: the name of the close code, and the text that came with it."""

    def __init__(self, number: int, text: str) -> None:
        self.name = CLOSE_NAMES[number if 0 <= number < len(CLOSE_NAMES) else INTERNAL]
        super().__init__(f"{self.name}: {text}" if text else self.name)


class Carrier(Protocol):
    """A connection whose Hello is sent; the first frame to receive is the answer."""

    async def send_reliably(self, frame: bytes) -> None: ...
    async def send_unreliably(self, frame: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    async def close_with(self, number: int) -> None: ...


async def connect(offer: dict[str, str], hello: bytes) -> Carrier:
    """Connects to one of the transports in the answer to a join."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        is_quic = offer["kind"] == "quic"
        carrier = await (QuicCarrier.open(offer) if is_quic else WebSocketCarrier.open(offer))
        await carrier.send_reliably(hello)
        return carrier


class WebSocketCarrier:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, offer: dict[str, str]) -> Carrier:
        name = cast(Any, "gs.v1.msgpack")
        socket = await connect_websocket(
            offer["url"], subprotocols=[name], ping_interval=3, proxy=None
        )
        return cls(socket)

    async def send_reliably(self, frame: bytes) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed as closed:
            raise _of_websocket(closed) from closed

    send_unreliably = send_reliably

    async def receive(self) -> bytes:
        try:
            return await self._socket.recv(decode=False)
        except ConnectionClosed as closed:
            raise _of_websocket(closed) from closed

    async def close_with(self, number: int) -> None:
        await self._socket.close(4000 + number)


def _of_websocket(closed: ConnectionClosed) -> Closed:
    if closed.rcvd is None:
        return Closed(LOST, str(closed))
    is_consented = closed.rcvd.code in (1000, 1001, 1005)
    return Closed(CONSENTED if is_consented else closed.rcvd.code - 4000, closed.rcvd.reason)


class QuicCarrier(QuicConnectionProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._received: asyncio.Queue[bytes | Closed] = asyncio.Queue(FRAMES_WAITING_MAX)
        self._stream = bytearray()
        self._end = AsyncExitStack()

    @classmethod
    async def open(cls, offer: dict[str, str]) -> Carrier:
        host, _, port = urlsplit(offer["url"]).netloc.rpartition(":")
        sha256 = offer.get("certificate_sha256")
        configuration = QuicConfiguration(alpn_protocols=["gs/1"], max_datagram_frame_size=65_535)
        configuration.verify_mode = ssl.CERT_NONE if sha256 else ssl.CERT_REQUIRED
        configuration.idle_timeout = 10.0
        end = AsyncExitStack()
        link = connect_quic(
            host.strip("[]"), int(port), configuration=configuration, create_protocol=cls
        )
        carrier = cast(QuicCarrier, await end.enter_async_context(link))
        carrier._end = end
        if sha256 and carrier._certificate_sha256() != sha256:
            await carrier.close_with(CONSENTED)
            raise ssl.SSLCertVerificationError("the server has another certificate")
        return carrier

    def _certificate_sha256(self) -> str:
        # aioquic has checked that the server has its key, but does not show the certificate.
        certificate = cast(Any, self._quic.tls._peer_certificate)
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.DatagramFrameReceived):
            self._received.put_nowait(event.data)
        elif isinstance(event, events.StreamDataReceived) and event.stream_id == 0:
            self._stream += event.data
            while len(self._stream) >= 2 and len(self._stream) >= (end := self._frame_end()):
                self._received.put_nowait(bytes(self._stream[2:end]))
                del self._stream[:end]
        elif isinstance(event, events.ConnectionTerminated):
            number = event.error_code - 0x100 if event.error_code else CONSENTED
            # A frame type comes with errors of QUIC itself, and when nothing was heard any more.
            is_lost = event.frame_type is not None
            self._received.put_nowait(Closed(LOST if is_lost else number, event.reason_phrase))

    def _frame_end(self) -> int:
        return 2 + int.from_bytes(self._stream[:2], "big")

    async def send_reliably(self, frame: bytes) -> None:
        self._quic.send_stream_data(0, len(frame).to_bytes(2, "big") + frame)
        self.transmit()

    async def send_unreliably(self, frame: bytes) -> None:
        self._quic.send_datagram_frame(frame)
        self.transmit()

    async def receive(self) -> bytes:
        received = await self._received.get()
        if isinstance(received, Closed):
            raise received
        return received

    async def close_with(self, number: int) -> None:
        self.close(0x100 + number)
        await self._end.aclose()
