"""Serve models: open the sockets, run the supervisor with its admin API, say when all is ready."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headway import plugins
from headway.config import ModelSpec, ServerSettings
from headway.engine.reload import Read
from headway.engine.supervisor import Supervisor
from headway.errors import ConfigError, PluginError
from headway.observe import log as logs
from headway.server import sockets, tls
from headway.server.admin import Admin
from headway.server.keys import Keys

log = logging.getLogger(__name__)

_BACKLOG = 2048


def serve(
    models: Sequence[ModelSpec],
    settings: ServerSettings,
    read: Read,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> int:
    """Serve until told to stop.

    Args:
        models: what to serve.
        settings: how.
        read: reads both again, for a reload.
        on_ready: told once what is listened on: `http` or `unix`, `admin`, `pid`; with an item to try by model in
            `examples`, and why a model that is not required can't be served in `failures`.

    Returns:
        An exit code (`headway.errors.Exit`).

    Raises:
        OSError: the address, or the admin API's, can't be listened on.
        ConfigError: the certificate or the keys can't be used.
        NotLoaded: a required model can't be loaded, or none of them can.
    """
    logs.set_up(settings.log_format, settings.log_level, process="supervisor")
    # Refuse what is bad before anything is started.
    _check(settings)
    place = sockets.UnixListener(settings.unix, _BACKLOG) if settings.unix else None
    listener = place.socket if place else _tcp_listener(settings)
    try:
        return asyncio.run(_run(models, settings, listener, read, on_ready))
    finally:
        listener.close()
        if place is not None:
            place.remove()


async def _run(
    models: Sequence[ModelSpec],
    settings: ServerSettings,
    listener: socket.socket,
    read: Read,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> int:
    addresses: dict[str, Any] = _addresses(listener, settings)

    def say() -> None:
        facts = {"examples": supervisor.examples(), "failures": supervisor.failures()}
        on_ready({**addresses, "pid": os.getpid(), **facts})

    def read_checked() -> tuple[Sequence[ModelSpec], ServerSettings]:
        models, settings = read()
        _check(settings)
        return models, settings

    supervisor = Supervisor(
        models,
        settings,
        listeners=[listener],
        read=read_checked,
        on_ready=say,
    )
    supervisor.heed_signals()
    admin = Admin(supervisor, settings, addresses)
    try:
        addresses["admin"] = await admin.listen()
        return await supervisor.run()
    finally:
        admin.close()


def _check(settings: ServerSettings) -> None:
    """Refuse files, and an exporter, that can't be used.

    Raises:
        ConfigError: the certificate, the keys, or what exports spans.
    """
    tls.server_context(settings)
    if settings.key_file:
        Keys.read(settings.key_file)
    if settings.traces:
        try:
            plugins.load("exporters", settings.traces)
        except PluginError as e:
            raise ConfigError(where="`traces`", problem=e.message.rstrip(".")) from e


def _tcp_listener(settings: ServerSettings) -> socket.socket:
    """The one listening socket, which all gateways inherit."""
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
