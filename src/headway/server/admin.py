"""The admin API: what runs, a reload, a stop. On a Unix socket that only this user can open.

GET /status    POST /reload    POST /stop
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from headway import config
from headway.config import ServerSettings
from headway.engine.supervisor import Supervisor
from headway.protocols import Reply
from headway.server import sockets, tasks
from headway.server.exchange import Exchange
from headway.server.http1 import FramingError, Head
from headway.server.listener import Listener

_BACKLOG = 16


class Admin:
    """Answers the operator of one server.

    Args:
        supervisor: whom it asks and tells.
        settings: of the server.
        addresses: on which the server listens; they name the socket and are told in the status.
    """

    def __init__(
        self, supervisor: Supervisor, settings: ServerSettings, addresses: Mapping[str, Any]
    ) -> None:
        self._supervisor = supervisor
        self._addresses = addresses
        self._given = settings.admin
        self._path = settings.admin or str(_default_path(addresses))
        self._listener = Listener(self, settings, asyncio.get_running_loop())
        self._place: sockets.UnixListener | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> str:
        """Open the socket, 0600; returns its path. One that a killed server left behind is replaced.

        Raises:
            OSError: it can't be listened on, or its folder is open to others.
        """
        folder = Path(self._path).parent
        if self._given:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            sockets.make_private(folder)
        self._place = sockets.UnixListener(self._path, _BACKLOG, is_private=True)
        await self._listener.listen(self._place.socket)
        return self._path

    def close(self) -> None:
        """Close the socket and remove it."""
        self._listener.close()
        if self._place is not None:
            self._place.remove()

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer the operator."""
        if (head.method, head.path) == ("GET", "/status"):
            status = {**self._addresses, **self._supervisor.status()}
            exchange.finish(serial, Reply(200, msgspec.json.encode(status)))
        elif (head.method, head.path) == ("POST", "/reload"):
            tasks.start(self._reload(exchange, serial), self._tasks)
        elif (head.method, head.path) == ("POST", "/stop"):
            exchange.finish(serial, Reply(202, b'{"draining":true}'))
            self._supervisor.stop()
        else:
            exchange.finish(
                serial, _error(404, "GET /status, POST /reload and POST /stop are answered here")
            )

    async def _reload(self, exchange: Exchange, serial: int) -> None:
        refusal = await self._supervisor.reload()
        told = {"reloading": True, "generation": self._supervisor.generation}
        reply = Reply(202, msgspec.json.encode(told))
        exchange.finish(serial, _error(400, refusal) if refusal else reply)

    @property
    def waiting_bytes(self) -> int:
        """Nothing waits here."""
        return 0

    def needs_body(self, head: Head) -> bool:
        """What an operator asks is all in the head."""
        return False

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        """Nothing is streamed here."""

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """Nothing is streamed here."""

    def left(self, exchange: Exchange, serial: int) -> None:
        """Nothing is under way that a leaving operator could stop."""

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render what is no request."""
        return _error(error.status, error.message), ""


def _error(status: int, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": message}))


def _default_path(addresses: Mapping[str, Any]) -> Path:
    """One socket for each address, so that the next server there replaces what a killed one left behind."""
    if "unix" in addresses:
        place = os.fsencode(os.path.abspath(addresses["unix"]))
        name = f"unix-{hashlib.sha256(place).hexdigest()[:16]}"
    else:
        name = addresses["http"].partition("//")[2].replace("[", "").replace("]", "")
        name = "-".join(name.rsplit(":", 1))
    return config.runtime_folder() / f"admin-{name}.sock"
