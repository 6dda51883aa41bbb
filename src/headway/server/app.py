"""What a gateway answers: routes to protocols, and the few paths that belong to no protocol.

    /health/live  /health/ready  /metrics  /openapi.json  /  and the page's assets

What a head asks for is worked out once and kept with the head (`Head.memo`), since clients repeat theirs.
"""

import asyncio
import functools
import itertools
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

import headway
from headway import errors, plugins
from headway.config import ServerSettings
from headway.engine.batcher import PRIORITIES
from headway.engine.frames import Question
from headway.engine.gateway import Gateway
from headway.engine.inflate import check_coding
from headway.engine.pool import Pool
from headway.errors import HeadwayError
from headway.model.call import Description
from headway.observe import trace
from headway.observe.exposition import CONTENT_TYPE, exposition
from headway.observe.metrics import Board, outcome_of, stats
from headway.protocols import Ask, Codec, Facts, Reply, Route, Stats, check_media, rendered
from headway.server import tasks
from headway.server.assets import Asset, load_page
from headway.server.exchange import Exchange
from headway.server.handshake import is_foreign, key_of, problem_of
from headway.server.hosts import Hosts
from headway.server.http1 import FramingError, Head
from headway.server.keys import Keys
from headway.server.openapi import openapi
from headway.server.routes import Found, Routes

log = logging.getLogger(__name__)

_DEFAULT = "native"
"""The protocol whose words are used where a path tells none."""
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_OWN = Route("GET", "", "own", is_local=True)
_PROBE = Route("GET", "/health/ready", "ready", is_local=True, needs_probe=True)
_OPEN_PATHS = frozenset({"/health/live", "/health/ready"})
"""Answered without a key, for probes, as the page's files are; they tell no secret."""


@dataclass(slots=True)
class Plan:
    """What a head asks for: worked out once, kept with the head."""

    found: Found
    pool: Pool | None
    question: Question | None
    description: Description | None
    """What was known of the model then; the plan holds while it is still the same object."""
    request_id: str


@dataclass(slots=True)
class State:
    """What the supervisor says of this server."""

    started_s: float
    was_ready: bool = False
    is_draining: bool = False


class App:
    """One gateway's application; see `exchange.App`.

    Args:
        gateway: takes what a worker must answer.
        settings: of the server.
        board: the counters of all processes.
        index: this gateway's number.
        state: what the supervisor says.
    """

    def __init__(
        self, gateway: Gateway, settings: ServerSettings, board: Board, index: int, state: State
    ) -> None:
        self.state = state
        self._gateway = gateway
        self._board = board
        self._names = list(gateway.pools)
        self._unrouted = board.tally(index, board.unrouted)
        self._codecs: dict[str, Codec] = {n: gateway.codec(n) for n in plugins.in_turn("protocols")}
        self._routes = Routes({name: codec.ROUTES for name, codec in self._codecs.items()})
        self._keys: Keys | None = None
        self._hosts: Hosts | None = None
        self.adapt(settings)
        self._page: Mapping[str, Asset] = load_page()
        self._prefix = secrets.token_hex(4)
        self._count = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._own: Mapping[str, Callable[[Head], Reply]] = {
            "/health/live": lambda head: Reply(200, b'{"live":true}'),
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    def adapt(self, settings: ServerSettings) -> None:
        """Take on other keys and hosts; heads that were planned before must be forgotten.

        Raises:
            ConfigError: the keys can't be read.
        """
        self._keys = Keys.read(settings.key_file) if settings.key_file else None
        self._hosts = Hosts.of(settings)
        self._pages = frozenset(name.strip().lower() for name in settings.hosts.split(","))

    # What connections call

    def ask(self, head: Head, body: bytes, exchange: Exchange, serial: int) -> None:
        """Answer a request, now or later."""
        try:
            plan = self._admitted(head)
            request_id = plan.request_id or f"{self._prefix}{next(self._count):08x}"
            pool = plan.pool
            if pool is not None and plan.question is not None:
                caller = (exchange, serial, request_id)
                exchange.token = self._gateway.submit(pool, plan.question, body, caller)
            else:
                self._answer(head, plan, exchange, serial, request_id)
        except HeadwayError as e:
            self._refuse(head, exchange, serial, e)
        except Exception as e:  # noqa: BLE001  (our bug, or a codec's; told and logged in _fail)
            self._fail(head, exchange, serial, e)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of bodies in the queues of all models."""
        return sum(pool.batcher.queued_bytes for pool in self._gateway.pools.values())

    def needs_body(self, head: Head) -> bool:
        """Whether a worker is to see it: all that the head alone refuses, and all that is answered here, is not."""
        try:
            return self._admitted(head).pool is not None
        except Exception:  # noqa: BLE001  (`ask` meets it again, and tells)
            return False

    def left(self, exchange: Exchange, serial: int) -> None:
        """The client left before its answer was whole."""
        self._gateway.leave(exchange.token)

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        """Give the worker what the client of a stream sends on."""
        self._gateway.feed(exchange.token, data, kind)

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """Have the worker wait with the rest of a stream, or go on."""
        self._gateway.choke(exchange.token, is_choked=is_choked)

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render the refusal of what never became a request."""
        request_id = self._new_id()
        kind = errors.BusyError if error.status == 503 else errors.CallerError
        told: HeadwayError = kind(error.message)
        told.code = error.code
        self._unrouted.answered(outcome_of(told), 0.0)
        dialect = self._routes.dialect(head.path if head else "/", _DEFAULT)
        ask = Ask("", "", "", b"", {}, "", request_id)
        reply = rendered(self._codecs[dialect], ask, told)
        return Reply(error.status, reply.body, reply.content_type, reply.headers), request_id

    # From a head to a plan

    def _admitted(self, head: Head) -> Plan:
        """All that a head decides, once it is known that it may ask. Raises CallerError."""
        if self._keys is not None:
            self._check_key(head, self._keys)
        plan: Plan | None = head.memo.get("plan")
        if plan is None or (
            plan.pool is not None and plan.pool.description is not plan.description
        ):
            plan = head.memo["plan"] = self._plan(head)
        return plan

    def _plan(self, head: Head) -> Plan:
        request_id = self._wanted_id(head)
        if self._hosts is not None:
            self._hosts.check(head)
        if self._is_own(head):
            return Plan(Found("", _OWN), None, None, None, request_id)
        found = self._routes.find(head.method, head.path)
        if found.route.is_local:
            return Plan(found, None, None, None, request_id)
        pool = self._pool(found)
        if found.route.is_socket:
            self._check_handshake(head, pool)
        _check_form(head, found.route, pool.description)
        declared = {*self._codecs[found.codec].HEADERS, "content-encoding"}
        if pool.description is not None:
            declared.update(pool.description.headers)
        declared -= {trace.PARENT, trace.STATE}  # read by their own rules
        headers = {name: value for name, value in head.headers.items() if name in declared}
        if trace.PARENT in head.headers:
            headers |= trace.trace_headers(head.headers)
        question = Question(
            found.codec,
            found.route.op,
            headers or None,
            head.query,
            _priority(head),
            _timeout_s(head),
            found.route.is_socket,
        )
        return Plan(found, pool, question, pool.description, request_id)

    def _check_handshake(self, head: Head, pool: Pool) -> None:
        """Refuse what can be no WebSocket with this model. Raises CallerError."""
        if is_foreign(head, self._pages):
            raise errors.ForeignOrigin(origin=head.headers["origin"][:80])
        if problem := problem_of(head):
            raise errors.NoHandshake(problem=problem)
        if pool.description is not None and not pool.description.is_fed:
            expected = "a model whose predictor takes an Iterator of items"
            found = f"{pool.name!r}, which does not: POST /models/{pool.name}/predict"
            raise errors.BadInput(where="path", expected=expected, found=found)

    def _is_own(self, head: Head) -> bool:
        is_own = head.path in self._own or head.path in self._page or head.path == "/health/ready"
        if is_own and head.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed(allow="GET, HEAD")
        return is_own

    def _pool(self, found: Found) -> Pool:
        pool = self._gateway.pools.get(found.model)
        if pool is None:
            raise errors.UnknownModel(model=found.model, known=", ".join(self._names))
        known = pool.description.version if pool.description else ""
        if found.version and known and found.version != known:
            raise errors.UnknownVersion(model=found.model, version=found.version, known=known)
        return pool

    def _check_key(self, head: Head, keys: Keys) -> None:
        """Demand a key, before anything is told of what is served here. Raises Unauthorized."""
        if head.path not in _OPEN_PATHS and head.path not in self._page:
            headers = head.headers
            offered = key_of(headers.get("sec-websocket-protocol", ""))
            if offered and not headers.keys() & {"authorization", "x-api-key"}:
                headers = {"x-api-key": offered}
            keys.check(headers, head.query)

    def _fail(self, head: Head, exchange: Exchange, serial: int, error: BaseException) -> None:
        """Log what should not have been, and answer with an internal error."""
        request_id = self._wanted_id(head) or self._new_id()
        log.error("internal", exc_info=error, extra={"request_id": request_id})
        self._refuse(head, exchange, serial, errors.InternalError(), request_id)

    def _refuse(
        self, head: Head, exchange: Exchange, serial: int, error: HeadwayError, request_id: str = ""
    ) -> None:
        request_id = request_id or self._wanted_id(head) or self._new_id()
        self._unrouted.answered(outcome_of(error), 0.0)
        dialect = self._routes.dialect(head.path, _DEFAULT)
        ask = Ask("", "", "", b"", head.headers, head.query, request_id)
        exchange.finish(serial, rendered(self._codecs[dialect], ask, error), request_id)

    def _wanted_id(self, head: Head) -> str:
        wanted = head.headers.get("x-request-id", "")
        return wanted if _REQUEST_ID.fullmatch(wanted) else ""

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"

    # What the gateway answers by itself

    def _answer(
        self, head: Head, plan: Plan, exchange: Exchange, serial: int, request_id: str
    ) -> None:
        exchange.token = 0
        if plan.found.route.needs_probe:
            tasks.start(
                self._probe(head, plan, exchange, serial, request_id),
                self._tasks,
                functools.partial(self._fail, head, exchange, serial),
            )
        elif plan.found.route is _OWN:
            self._answer_own(head, exchange, serial, request_id)
        else:
            reply = self._local(head, plan, request_id, self._facts({}))
            exchange.finish(serial, reply, request_id)

    def _answer_own(self, head: Head, exchange: Exchange, serial: int, request_id: str) -> None:
        if head.path == "/health/ready":
            probe = Plan(Found(_DEFAULT, _PROBE), None, None, None, request_id)
            self._answer(head, probe, exchange, serial, request_id)
            return
        own = self._own.get(head.path)
        reply = own(head) if own else self._asset(head)
        exchange.finish(serial, reply, request_id)

    async def _probe(
        self, head: Head, plan: Plan, exchange: Exchange, serial: int, request_id: str
    ) -> None:
        """Answer once the slots have shown that they are alive."""
        pools = self._gateway.pools
        wanted = [plan.found.model] if plan.found.model in pools else list(pools)
        alive = await asyncio.gather(*(self._gateway.is_ready(pools[name]) for name in wanted))
        facts = self._facts(dict(zip(wanted, alive, strict=True)))
        if plan.found.route is _PROBE:
            reply = self._readiness(facts, request_id)
        else:
            reply = self._local(head, plan, request_id, facts)
        exchange.finish(serial, reply, request_id)

    def _readiness(self, facts: Facts, request_id: str) -> Reply:
        models = {name: facts.ready.get(name, False) for name in self._names}
        pools = self._gateway.pools.items()
        told = {
            "ready": facts.is_server_ready,
            "models": models,
            "generations": {n: p.generation if p.generation >= 0 else None for n, p in pools},
        }
        body = msgspec.json.encode(told)
        return Reply(200 if facts.is_server_ready else 503, body)

    def _local(self, head: Head, plan: Plan, request_id: str, facts: Facts) -> Reply:
        found = plan.found
        codec = self._codecs[found.codec]
        ask = Ask(
            found.route.op, found.model, found.version, b"", head.headers, head.query, request_id
        )
        try:
            return codec.answer(ask, facts)
        except HeadwayError as e:
            return rendered(codec, ask, e)

    def _facts(self, alive: Mapping[str, bool]) -> Facts:
        pools = self._gateway.pools
        ready = {name: alive.get(name, bool(pool.links)) for name, pool in pools.items()}
        is_ready = self.state.was_ready and not self.state.is_draining and any(ready.values())
        return Facts(
            descriptions={
                name: {p.description.version: p.description} if p.description else {}
                for name, p in pools.items()
            },
            ready=ready,
            is_server_ready=is_ready,
            stats={name: Stats(**stats(self._board, i)) for i, name in enumerate(self._names)},  # type: ignore[arg-type]
            server_version=headway.__version__,
            failures={
                name: pool.trouble.fields["reason"]
                for name, pool in pools.items()
                if isinstance(pool.trouble, errors.GivenUp)
            },
        )

    def _metrics(self, head: Head) -> Reply:
        self._gateway.gauge()
        ready = {name: bool(pool.links) for name, pool in self._gateway.pools.items()}
        text = exposition(
            self._board,
            self._names,
            ready=ready,
            version=headway.__version__,
            started_s=self.state.started_s,
        )
        return Reply(200, text.encode(), CONTENT_TYPE)

    def _openapi(self, head: Head) -> Reply:
        known = [p.description for p in self._gateway.pools.values() if p.description]
        routes = {name: codec.ROUTES for name, codec in self._codecs.items()}
        document = openapi(known, routes, has_keys=self._keys is not None)
        return Reply(200, msgspec.json.encode(document))

    def _asset(self, head: Head) -> Reply:
        asset = self._page[head.path]
        headers = (
            ("etag", asset.etag),
            ("content-security-policy", asset.policy),
            ("cache-control", "no-cache"),
        )
        if head.headers.get("if-none-match") == asset.etag:
            return Reply(304, b"", asset.content_type, headers)
        return Reply(200, asset.body, asset.content_type, headers)


def _check_form(head: Head, route: Route, description: Description | None) -> None:
    """Refuse what no worker would read: another coding, or another content type. Raises UnsupportedMedia."""
    coding = head.headers.get("content-encoding")
    if coding:
        check_coding(coding)
    if route.has_media and description is not None:
        check_media(head.headers.get("content-type", ""), description)


def _priority(head: Head) -> int:
    wanted = head.headers.get("headway-priority")
    if wanted is None:
        return PRIORITIES["normal"]
    if wanted not in PRIORITIES:
        raise errors.BadInput(
            where="header headway-priority",
            expected=" or ".join(PRIORITIES),
            found=repr(wanted[:40]),
        )
    return PRIORITIES[wanted]


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def _timeout_s(head: Head) -> float | None:
    wanted = head.headers.get("headway-timeout")
    if wanted is None:
        return None
    if not _SECONDS.fullmatch(wanted) or not float(wanted):
        raise errors.BadInput(
            where="header headway-timeout",
            expected="seconds above 0, as 2.5",
            found=repr(wanted[:40]),
        )
    return float(wanted)
