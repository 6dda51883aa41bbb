"""Serve models: open the sockets, run the supervisor with its admin API, say when all is ready."""

import asyncio
import errno
import logging
import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway import plugins
from headway.config import ModelSpec, ServerSettings
from headway.engine.reload import Read
from headway.engine.supervisor import Supervisor
from headway.errors import ConfigError, PluginError
from headway.observe import log as logs
from headway.server import sockets, tls
from headway.server.admin import Admin
from headway.server.archive import job_folder
from headway.server.choices import choices, chosen
from headway.server.keys import Keys
from headway.server.webhooks import check_places

log = logging.getLogger(__name__)

_BACKLOG = 2048


@dataclass(slots=True)
class _Sockets:
    """What is listened on."""

    serving: list[socket.socket] = field(default_factory=list)
    """HTTP first; then gRPC's own, if it has one."""
    guarded: list[socket.socket] = field(default_factory=list)
    """Of the admin API, for tokens."""


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
        on_ready: told once what is listened on: `http` or `unix`, `grpc`, `admin`, `admin_http`, `admin_page`, `pid`;
            with an item to try by model in `examples`, and why a model that is not required can't be served in
            `failures`.

    Returns:
        An exit code (`headway.errors.Exit`).

    Raises:
        OSError: the address, or the admin API's, can't be listened on.
        ConfigError: the certificate or the keys can't be used.
        NotLoaded: a required model can't be loaded, or none of them can.
    """
    logs.set_up(settings.log_format, settings.log_level, process="supervisor")
    # Refuse what is bad before anything is started.
    _check(models, settings)
    place = sockets.UnixListener(settings.unix, _BACKLOG) if settings.unix else None
    opened = _Sockets()
    passing: Path | None = None
    try:
        first = place.socket if place else _tcp_listener(settings.host, settings.port)
        opened.serving.append(first)
        passing = _passing_folder(first, settings)
        if settings.grpc_port is not None and settings.grpc_port >= 0:
            opened.serving.append(_tcp_listener(settings.host, settings.grpc_port))
        if settings.admin_address:
            opened.guarded.append(_tcp_listener(*_split(settings.admin_address)))
        return asyncio.run(_run(models, settings, opened, read, on_ready))
    finally:
        if passing is not None:
            shutil.rmtree(passing, ignore_errors=True)
        for listener in (*opened.serving, *opened.guarded):
            listener.close()
        if place is not None:
            place.remove()


async def _run(
    models: Sequence[ModelSpec],
    settings: ServerSettings,
    opened: _Sockets,
    read: Read,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> int:
    addresses: dict[str, Any] = _addresses(opened.serving, settings)

    def say() -> None:
        facts = {"examples": supervisor.examples(), "failures": supervisor.failures()}
        on_ready({**addresses, "pid": os.getpid(), **facts})

    def read_checked() -> tuple[Sequence[ModelSpec], ServerSettings]:
        models, settings = read()
        _check(models, settings)
        return models, settings

    supervisor = Supervisor(
        models,
        settings,
        listeners=opened.serving,
        read=read_checked,
        on_ready=say,
    )
    supervisor.heed_signals()
    admin = Admin(supervisor, settings, addresses)
    try:
        addresses["admin"] = await admin.listen()
        for guarded in opened.guarded:
            addresses["admin_http"] = _url(guarded, settings)
            await admin.listen_for_tokens(guarded)
            if settings.admin_page:
                addresses["admin_page"] = f"{addresses['admin_http']}/admin"
        return await supervisor.run()
    finally:
        admin.close()


def _check(models: Sequence[ModelSpec], settings: ServerSettings) -> None:
    """Refuse files, names and an exporter that can't be used.

    Raises:
        ConfigError: the certificate, the keys, a model's or a protocol's name, where feedback is kept, or what
            exports spans.
    """
    names = [spec.name for spec in models]
    if settings.default_model and settings.default_model not in names:
        problem = f"{settings.default_model[:80]!r} is none of the models: {', '.join(names)}"
        raise ConfigError(where="`default_model`", problem=problem)
    chosen(settings.dialect, choices())
    tls.server_context(settings)
    check_places(settings.webhook_urls)
    for setting in ("key_file", "admin_token_file"):
        if file := getattr(settings, setting):
            Keys.read(file, setting)
    if settings.feedback:
        _check_feedback(settings)
    if settings.traces:
        try:
            plugins.load("exporters", settings.traces)
        except PluginError as e:
            raise ConfigError(where="`traces`", problem=e.message.rstrip(".")) from e


def _check_feedback(settings: ServerSettings) -> None:
    """Open the file once, and see that there is a hook: its code is for another process."""
    from headway.observe.feedback import Store  # noqa: PLC0415  (no supervisor needs SQLite otherwise)

    Store(settings.feedback).close()
    file = settings.feedback_redact.rpartition(":")[0]
    if settings.feedback_redact and not Path(file).is_file():
        problem = f"expected FILE.py:FUNCTION, found {settings.feedback_redact!r}"
        raise ConfigError(where="`feedback_redact`", problem=problem)


def _split(address: str) -> tuple[str, int]:
    """Host and port of an address, as the settings take it."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _passing_folder(listener: socket.socket, settings: ServerSettings) -> Path | None:
    """The folder of jobs at a port that was taken by chance: nobody will look for them there again."""
    if settings.port or settings.unix or settings.job_folder:
        return None
    host, port = listener.getsockname()[:2]
    return job_folder(settings, f"{host}-{port}")


def _tcp_listener(host: str, port: int) -> socket.socket:
    """A listening socket; that of the gateways is inherited by all of them.

    Raises:
        OSError: its `filename` is the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as e:
        listener.close()
        code = e.errno if isinstance(e, OSError) else errno.EINVAL
        raise OSError(code, getattr(e, "strerror", None) or str(e), f"{host}:{port}") from e
    return listener


def _addresses(listeners: Sequence[socket.socket], settings: ServerSettings) -> dict[str, Any]:
    addresses: dict[str, Any] = {"unix": settings.unix}
    if not settings.unix:
        addresses = {
            "http": _url(listeners[0], settings),
            "port": listeners[0].getsockname()[1],
        }
    if len(listeners) > 1:
        addresses["grpc"] = _shown(listeners[1])
    elif settings.grpc_port is None and not settings.tls_certificate:
        addresses["grpc"] = f"unix:{settings.unix}" if settings.unix else _shown(listeners[0])
    return addresses


def _url(listener: socket.socket, settings: ServerSettings) -> str:
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{_shown(listener)}"


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
