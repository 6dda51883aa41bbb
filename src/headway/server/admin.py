"""The admin API: what runs, a reload, a stop, and the verbs that protocols have for operators.

GET /status    GET /metrics    GET /errors?after=NUMBER    POST /reload    POST /stop
the `is_admin` and the local routes of all protocols

It is answered on a Unix socket that only this user can open, and on an address to who has a token, where that is
asked for. What a page of another site has a browser send there is refused. Our own page, at /admin of the address if
the settings want it, holds nothing but the form that asks for the token; all that it shows it asks for with it.
"""

import asyncio
import functools
import logging
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from headway import config, plugins
from headway.config import ServerSettings
from headway.engine.supervisor import Supervisor
from headway.errors import BadInput, ConfigError, HeadwayError, InternalError, UnknownPath
from headway.model.call import Order
from headway.observe.exposition import CONTENT_TYPE
from headway.protocols import Ask, Codec, Facts, Reply, headers_of, rendered, status_of
from headway.server import orders, sockets, tasks, tls
from headway.server.assets import Asset, load_admin_page
from headway.server.exchange import Exchange
from headway.server.facts import of_parties
from headway.server.handshake import check_page
from headway.server.hosts import Hosts
from headway.server.http1 import FramingError, Head
from headway.server.keys import Keys, check_query
from headway.server.listener import Listener
from headway.server.plan import Planner

log = logging.getLogger(__name__)

_BACKLOG = 16
_OWN = "GET /status, /metrics and /errors, POST /reload and /stop"
_AFTER = re.compile(r"(?:after=([0-9]{1,18}))?")


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
        self._addresses = addresses
        self._given = settings.admin
        self._settings = settings
        self._path = settings.admin or str(_default_path(addresses))
        loop = asyncio.get_running_loop()
        desk = Desk(supervisor, addresses)
        self._listener = Listener(Door(desk), settings, loop)
        self._guarded = Listener(Door(desk, is_guarded=True), settings, loop)
        self._place: sockets.UnixListener | None = None

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

    async def listen_for_tokens(self, listening: socket.socket) -> None:
        """Answer on an address, too, to who has a token; over TLS where the server speaks it."""
        await self._guarded.listen(listening, tls.server_context(self._settings))

    def close(self) -> None:
        """Close the sockets and remove what is left of them."""
        self._listener.close()
        self._guarded.close()
        if self._place is not None:
            self._place.remove()


class Desk:
    """What is answered, wherever it was asked."""

    def __init__(self, supervisor: Supervisor, addresses: Mapping[str, Any]) -> None:
        self.supervisor = supervisor
        self._addresses = addresses
        self._opened: tuple[Planner, Mapping[str, Codec]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = {"/status": self._status, "/metrics": self._metrics, "/errors": self._errors}

    @property
    def _protocols(self) -> tuple[Planner, Mapping[str, Codec]]:
        """All protocols, opened when the first of them is asked for: a server that starts need not wait."""
        if self._opened is None:
            codecs = {
                name: plugins.load("protocols", name) for name in plugins.in_turn("protocols")
            }
            self._opened = Planner({}, codecs, self.supervisor.settings, is_admin=True), codecs
        return self._opened

    def needs_body(self, head: Head) -> bool:
        """Whether a protocol reads the body."""
        try:
            return self._protocols[0].plan(head).needs_body
        except HeadwayError:
            return False

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer the operator."""
        told = self._told.get(head.path) if head.method == "GET" else None
        if told is not None:
            exchange.finish(serial, told(head))
        elif (head.method, head.path) == ("POST", "/reload"):
            tasks.start(self._reload(exchange, serial), self._tasks)
        elif (head.method, head.path) == ("POST", "/stop"):
            exchange.finish(serial, Reply(202, b'{"draining":true}'))
            self.supervisor.stop()
        else:
            self._ask_protocol(head, body, exchange, serial)

    def _status(self, head: Head) -> Reply:
        status = {**self._addresses, **self.supervisor.status()}
        return Reply(200, msgspec.json.encode(status))

    def _metrics(self, head: Head) -> Reply:
        return Reply(200, self.supervisor.metrics().encode(), CONTENT_TYPE)

    def _errors(self, head: Head) -> Reply:
        """The last errors of the log, or those after the number that the query names."""
        found = _AFTER.fullmatch(head.query)
        if found is None:
            bad = BadInput(where="query", expected="after=NUMBER or nothing", found=head.query[:40])
            return _error(status_of(bad), bad.message)
        errors = self.supervisor.errors
        told = {"last": errors.count, "errors": errors.after(int(found[1] or 0))}
        return Reply(200, msgspec.json.encode(told))

    async def _reload(self, exchange: Exchange, serial: int) -> None:
        refusal = await self.supervisor.reload()
        told = {"reloading": True, "generation": self.supervisor.generation}
        reply = Reply(202, msgspec.json.encode(told))
        exchange.finish(serial, _error(400, refusal) if refusal else reply)

    def _ask_protocol(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        planner, codecs = self._protocols
        ask = Ask("", "", "", b"", head.headers, head.query)
        try:
            plan = planner.plan(head)
            codec = codecs[plan.found.codec]
            ask = planner.read(head, plan.found, body, plan.request_id)
            if not plan.found.route.is_local:
                fail = functools.partial(_fail, exchange, serial)
                tasks.start(self._obey(codec, ask, exchange, serial), self._tasks, fail)
                return
            reply = codec.answer(ask, self._facts())
        except UnknownPath:
            reply = _error(404, f"{_OWN}, and the protocols' verbs for operators are answered here")
        except HeadwayError as e:
            reply = rendered(codecs[planner.dialect(head)], ask, e)
        except Exception as e:  # noqa: BLE001  (our bug, or a codec's; told and logged in _fail)
            _fail(exchange, serial, e)
            return
        exchange.finish(serial, reply)

    async def _obey(self, codec: Codec, ask: Ask, exchange: Exchange, serial: int) -> None:
        exchange.finish(serial, await orders.answer(codec, ask, self._facts, self._carry_out))

    async def _carry_out(self, order: Order) -> str:
        return await self.supervisor.carry_out(order)

    def _facts(self) -> Facts:
        supervisor = self.supervisor
        return of_parties(
            supervisor.parties,
            supervisor.board,
            supervisor.settings,
            may_be_ready=supervisor.is_ready and not supervisor.is_draining,
        )


class Door:
    """A way to the desk; see `exchange.App`.

    A guarded one opens to who has a token, and to no page of another site; our own page hangs at it.
    """

    def __init__(self, desk: Desk, *, is_guarded: bool = False) -> None:
        self._desk = desk
        self._is_guarded = is_guarded
        self._guard: tuple[ServerSettings, Keys, Hosts, frozenset[str]] | None = None
        self._page: Mapping[str, Asset] = load_admin_page() if is_guarded else {}

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer the operator."""
        try:
            self._check(head)
        except HeadwayError as e:
            reply = Reply(status_of(e), msgspec.json.encode({"error": e.message}))
            reply.headers = headers_of(e)
            exchange.finish(serial, reply)
            return
        if self._is_page(head):
            exchange.finish(serial, self._page[head.path].reply(head.headers.get("if-none-match")))
        else:
            self._desk.ask(head, body, exchange, serial)

    def needs_body(self, head: Head) -> bool:
        """Whether anybody is to see it."""
        try:
            self._check(head)
        except HeadwayError:
            return False
        return not self._is_page(head) and self._desk.needs_body(head)

    def _is_page(self, head: Head) -> bool:
        """Whether our page is asked for, which tells nothing: a browser can send no token to open it."""
        is_shown = self._desk.supervisor.settings.admin_page and head.path in self._page
        return is_shown and head.method in ("GET", "HEAD")

    def _check(self, head: Head) -> None:
        """Refuse who may not ask. Raises CallerError."""
        if not self._is_guarded:
            return
        settings = self._desk.supervisor.settings
        if self._guard is None or self._guard[0] is not settings:  # it has been reloaded
            names = [name.strip().lower() for name in settings.hosts.split(",")]
            keys = _tokens(settings.admin_token_file)
            self._guard = (settings, keys, Hosts(names), frozenset(names) - {"*"})
        _, keys, hosts, pages = self._guard
        hosts.check(head)
        check_page(head, pages)
        if self._is_page(head):
            check_query(head.query)
        else:
            keys.check(head.headers, head.query)

    @property
    def waiting_bytes(self) -> int:
        """Nothing waits here."""
        return 0

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        """Nothing is streamed here."""

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """Nothing is streamed here."""

    def left(self, exchange: Exchange, serial: int) -> None:
        """What an operator has asked for is done whether he waits for it or not."""

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render what is no request."""
        return _error(error.status, error.message), ""


def _error(status: int, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": message}))


def _fail(exchange: Exchange, serial: int, error: BaseException) -> None:
    log.error("internal", exc_info=error)
    exchange.finish(serial, _error(500, InternalError().message))


def _tokens(file: str) -> Keys:
    """The tokens that are let in: none, where the file can't be read though it could at the reload."""
    try:
        return Keys.read(file, "admin_token_file")
    except ConfigError as e:
        log.error("settings_refused", extra={"reason": e.message})
        return Keys([])


def _default_path(addresses: Mapping[str, Any]) -> Path:
    """One socket for each address, so that the next server there replaces what a killed one left behind."""
    if "unix" in addresses:
        name = sockets.place_label(addresses["unix"])
    else:
        name = addresses["http"].partition("//")[2].replace("[", "").replace("]", "")
        name = "-".join(name.rsplit(":", 1))
    return config.runtime_folder() / f"admin-{name}.sock"
