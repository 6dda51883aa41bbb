"""The admin API: what runs, a reload, a stop. On a Unix socket that only this user can open.

GET /status    POST /reload    POST /stop
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from headway import config
from headway.config import ServerSettings
from headway.engine.supervisor import Supervisor
from headway.protocols import Reply
from headway.server.connection import Listener
from headway.server.exchange import Exchange
from headway.server.http1 import FramingError, Head


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
        self._path = Path(settings.admin) if settings.admin else _default_path(addresses)
        self._listener = Listener(self, settings, asyncio.get_running_loop())

    async def listen(self) -> str:
        """Open the socket, 0600; returns its path. One that a killed server left behind is replaced."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            sock.bind(str(self._path))
        finally:
            os.umask(before)
        sock.listen(16)
        await self._listener.listen(sock)
        return str(self._path)

    def close(self) -> None:
        """Close the socket and remove it."""
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer the operator."""
        if (head.method, head.path) == ("GET", "/status"):
            status = {**self._addresses, **self._supervisor.status()}
            exchange.finish(serial, Reply(200, msgspec.json.encode(status)))
        elif (head.method, head.path) == ("POST", "/reload"):
            self._supervisor.reload()
            exchange.finish(serial, Reply(202, b'{"reloading":true}'))
        elif (head.method, head.path) == ("POST", "/stop"):
            exchange.finish(serial, Reply(202, b'{"draining":true}'))
            self._supervisor.stop()
        else:
            exchange.finish(
                serial, _error(404, "GET /status, POST /reload and POST /stop are answered here")
            )

    def left(self, exchange: Exchange, serial: int) -> None:
        """Nothing is under way that a leaving operator could stop."""

    def writable(self, exchange: Exchange, serial: int) -> None:
        """Nothing is streamed here."""

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render what is no request."""
        return _error(error.status, error.message), ""


def _error(status: int, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": message}))


def _default_path(addresses: Mapping[str, Any]) -> Path:
    """One socket for each address, so that the next server there replaces what a killed one left behind."""
    name = addresses.get("port") or str(addresses.get("unix", "")).strip("/").replace("/", "-")
    return config.runtime_folder() / f"admin-{name}.sock"
