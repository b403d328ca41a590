"""The way into a match over the REST API: log in, open a session, join it.

It knows no frames. The API is described at `/api/v1/openapi.json`.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 10.0


class LobbyError(Exception):
    """The server's problem document, or what kept it away."""


class Lobby:
    """A guest's login."""

    def __init__(self, api: str) -> None:
        self._api = api.rstrip("/") + "/api/v1"
        self._access_token = ""
        self._access_token = self._post("/auth/guest", {})["access_token"]

    def open_session(self, game: str) -> str:
        return str(self._post("/sessions", {"game": game})["id"])

    def join(self, session: str) -> dict[str, Any]:
        """A ticket and the transports; the seat is held for 10 seconds."""
        return self._post(f"/sessions/{session}/join", {})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self._api + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._access_token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise LobbyError(f"{path}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise LobbyError(f"{path}: {error}") from error
