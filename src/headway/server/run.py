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
from headway.server import tls
from headway.server.admin import Admin

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
        OSError: the address can't be listened on.
        ConfigError: the certificate or the keys can't be used.
    """
    logs.set_up(settings.log_format, settings.log_level, process="supervisor")
    tls.server_context(settings)  # refuse a bad one before anything is started
    listener = _listener(settings)
    try:
        return asyncio.run(_run(models, settings, listener, on_ready))
    finally:
        listener.close()
        if settings.unix:
            os.unlink(settings.unix)


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
    running = asyncio.ensure_future(supervisor.run())
    addresses["admin"] = await admin.listen()
    try:
        return await running
    finally:
        admin.close()


def _listener(settings: ServerSettings) -> socket.socket:
    """The one listening socket, which all gateways inherit."""
    if settings.unix:
        return _unix_listener(settings.unix)
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


def _unix_listener(path: str) -> socket.socket:
    """A Unix socket; one that a killed server left behind is replaced, one that is served is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(98, "Address already in use")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(_BACKLOG)
    return listener


def _addresses(listener: socket.socket, settings: ServerSettings) -> dict[str, Any]:
    if settings.unix:
        return {"unix": settings.unix}
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    return {"http": f"{scheme}://{shown}:{port}", "port": port}
