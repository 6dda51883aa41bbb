"""Serve models: open the sockets, run the supervisor with its admin API, say when all is ready."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headway.config import ModelSpec, ServerSettings
from headway.engine.supervisor import Supervisor
from headway.observe import log as logs
from headway.server import sockets, tls
from headway.server.admin import Admin
from headway.server.keys import Keys

log = logging.getLogger(__name__)

_BACKLOG = 2048


def serve(
    models: Sequence[ModelSpec],
    settings: ServerSettings,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> int:
    """Serve until told to stop.

    Args:
        models: what to serve.
        settings: how.
        on_ready: told once what is listened on: `http` or `unix`, `admin`, `pid`, and an example by model.

    Returns:
        An exit code (`headway.errors.Exit`).

    Raises:
        OSError: the address, or the admin API's, can't be listened on.
        ConfigError: the certificate or the keys can't be used.
    """
    logs.set_up(settings.log_format, settings.log_level, process="supervisor")
    # Refuse what is bad before anything is started.
    tls.server_context(settings)
    if settings.key_file:
        Keys.read(settings.key_file)
    listener = _listener(settings)
    try:
        return asyncio.run(_run(models, settings, listener, on_ready))
    finally:
        listener.close()
        if settings.unix:
            sockets.remove(settings.unix)


async def _run(
    models: Sequence[ModelSpec],
    settings: ServerSettings,
    listener: socket.socket,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> int:
    addresses: dict[str, Any] = _addresses(listener, settings)

    def say() -> None:
        on_ready({**addresses, "pid": os.getpid(), "examples": supervisor.examples()})

    supervisor = Supervisor(
        models,
        settings,
        gateway_module="headway.server.process",
        listeners=[listener],
        on_ready=say,
    )
    admin = Admin(supervisor, settings, addresses)
    addresses["admin"] = await admin.listen()
    try:
        return await supervisor.run()
    finally:
        admin.close()


def _listener(settings: ServerSettings) -> socket.socket:
    """The one listening socket, which all gateways inherit."""
    if settings.unix:
        return sockets.open_unix(settings.unix, _BACKLOG)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _addresses(listener: socket.socket, settings: ServerSettings) -> dict[str, Any]:
    if settings.unix:
        return {"unix": settings.unix}
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    return {"http": f"{scheme}://{shown}:{port}", "port": port}
