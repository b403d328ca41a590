"""The way into a match over the REST API: log in, open a session, join it.

It knows no frames. The API is described at `/api/v1/openapi.json`.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 10.0
SESSION_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.5


class LobbyError(Exception):
    """The server's problem document, or what kept it away."""


class Lobby:
    """A guest's login."""

    def __init__(self, api: str) -> None:
        self._api = api.rstrip("/") + "/api/v1"
        self._opener = opener(self._api)
        self._access_token = ""
        self._access_token = self._post("/auth/guest", {})["access_token"]

    def open_session(self, game: str) -> str:
        return str(self._post("/sessions", {"game": game})["id"])

    def running_session(self, game: str) -> str:
        """The public one with the most players and a free seat; waits until there is one."""
        deadline = time.monotonic() + SESSION_TIMEOUT_S
        query = f"/sessions?game={game}&state=running&free_slots_min=1&limit=100"
        while not (found := fullest(self._get(query)["items"])):
            if time.monotonic() > deadline:
                raise LobbyError(f"no session of {game} is running with a free seat")
            time.sleep(POLL_INTERVAL_S)
        return found

    def join(self, session: str) -> dict[str, Any]:
        """A ticket and the transports; the seat is held for 10 seconds."""
        return self._post(f"/sessions/{session}/join", {})

    def _get(self, path: str) -> dict[str, Any]:
        return self._ask(path, None)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask(path, json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._access_token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self._api + path, body, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise LobbyError(f"{path}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise LobbyError(f"{path}: {error}") from error


def opener(url: str) -> urllib.request.OpenerDirector:
    """A proxy that the environment names is for other machines: nobody reaches this one through it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()


def fullest(sessions: list[dict[str, Any]]) -> str | None:
    """The id of the session with the most players."""
    most = max(sessions, key=lambda session: int(session["players"]), default=None)
    return most and str(most["id"])
