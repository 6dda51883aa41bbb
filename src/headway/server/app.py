"""What a gateway answers: routes to protocols, and the few paths that belong to no protocol.

/health/live  /health/ready  /metrics  /openapi.json  /  and the page's assets
"""

import asyncio
import functools
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

import headway
from headway import errors, plugins
from headway.config import ServerSettings
from headway.engine.clerk import Clerk
from headway.engine.gateway import Gateway
from headway.errors import HeadwayError
from headway.observe.exposition import CONTENT_TYPE, exposition
from headway.observe.metrics import Board, outcome_of
from headway.protocols import Ask, Codec, Facts, Reply, Route, rendered
from headway.server import opinions, orders, tasks
from headway.server.archive import Peers
from headway.server.asked import Asked
from headway.server.assets import Asset, load_page
from headway.server.exchange import Exchange
from headway.server.facts import of_pools
from headway.server.handshake import key_of
from headway.server.hosts import Hosts
from headway.server.http1 import FramingError, Head
from headway.server.jobs import Jobs
from headway.server.keys import Keys
from headway.server.openapi import openapi
from headway.server.plan import DEFAULT, GRPC, Plan, Planner, wanted_id
from headway.server.routes import Found

log = logging.getLogger(__name__)

_OWN = Route("GET", "", "own", is_local=True)
_OPINIONS = Route("POST", opinions.PATH, "feedback", is_local=True, takes_body=True)
_PROBE = Route("GET", "/health/ready", "ready", is_local=True, needs_probe=True)
_OPEN_PATHS = frozenset({"/health/live", "/health/ready"})
"""Answered without a key, for probes, as the page's files are; they tell no secret."""
_OPEN_CALLS = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})
"""The same over gRPC."""


@dataclass(slots=True)
class State:
    """What the supervisor says of this server, and how to ask it."""

    started_s: float
    was_ready: bool = False
    is_draining: bool = False
    bid: orders.Obey = field(kw_only=True)
    """Asks it for what an operator asks for."""


class App:
    """One gateway's application; see `exchange.App`.

    Args:
        gateway: takes what a worker must answer.
        settings: of the server.
        board: the counters of all processes.
        state: what the supervisor says.
        peers: the gateways of this server, and which of them it is.
    """

    def __init__(
        self,
        gateway: Gateway,
        settings: ServerSettings,
        board: Board,
        state: State,
        peers: Peers,
    ) -> None:
        self.state = state
        self._gateway = gateway
        self._board = board
        self._names = list(gateway.pools)
        self._unrouted = board.tally(peers.index, board.unrouted)
        self._codecs: dict[str, Codec] = {n: gateway.codec(n) for n in plugins.in_turn("protocols")}
        self._planner = Planner(gateway.pools, self._codecs, settings)
        self.jobs = Jobs(gateway, self._planner, settings, peers, self._refuse_job)
        self._keys: Keys | None = None
        self._hosts: Hosts | None = None
        self.adapt(settings)
        self._clerk = Clerk(settings) if settings.feedback else None
        self._page: Mapping[str, Asset] = load_page(settings.frame_hosts)
        self._prefix = secrets.token_hex(4)
        self._count = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._own: dict[str, Callable[[Head], Reply]] = {
            "/health/live": lambda head: Reply(200, b'{"live":true}'),
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        if settings.root_path:
            self._own[settings.root_path] = self._to_page

    def adapt(self, settings: ServerSettings) -> None:
        """Take on other keys and hosts; heads that were planned before must be forgotten.

        Raises:
            ConfigError: the keys can't be read.
        """
        self._settings = settings
        self._keys = Keys.read(settings.key_file) if settings.key_file else None
        self._hosts = Hosts.of(settings)
        self._planner.adapt(settings)
        self.jobs.adapt(settings)

    # What connections call

    def ask(
        self,
        head: Head,
        body: bytes,
        exchange: Exchange,
        serial: int,
        timeout_s: float | None = None,
    ) -> None:
        """Answer a request, now or later."""
        op = ""
        try:
            plan = self._admitted(head)
            op = plan.found.route.op
            if plan.found.route.names_in_body:
                plan = self._planner.addressed(head, plan, body)
            request_id = plan.request_id or f"{self._prefix}{next(self._count):08x}"
            pool = plan.pool
            if pool is not None and plan.question is not None:
                caller = (exchange, serial, request_id)
                question = plan.question
                if timeout_s is not None:
                    question = msgspec.structs.replace(question, timeout_s=timeout_s)
                exchange.token = self._gateway.submit(pool, question, body, caller)
            else:
                self._answer(Asked(head, plan, body, exchange, serial, request_id))
        except HeadwayError as e:
            request_id = wanted_id(head) or self._new_id()
            exchange.finish(serial, self._refusal(head, e, request_id, op), request_id)
        except Exception as e:  # noqa: BLE001  (our bug, or a codec's; told and logged in _fail)
            self._fail(head, exchange, serial, e)

    def route(self, head: Head) -> Route:
        """The route that a head finds, for who may ask. Raises CallerError."""
        return self._admitted(head).found.route

    def refuse_call(self, error: HeadwayError, head: Head, exchange: Exchange, serial: int) -> None:
        """Tell an error that is no model's."""
        request_id = wanted_id(head) or self._new_id()
        exchange.finish(serial, self._refusal(head, error, request_id), request_id)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of bodies in the queues of all models."""
        return sum(pool.batcher.queued_bytes for pool in self._gateway.pools.values())

    def needs_body(self, head: Head) -> bool:
        """Whether anybody is to see it: all that the head alone refuses, and most that is answered here, is not."""
        try:
            return self._admitted(head).needs_body
        except Exception:  # noqa: BLE001  (`ask` meets it again, and tells)
            return False

    def left(self, exchange: Exchange, serial: int) -> None:
        """The client left before its answer was whole."""
        if exchange.token < 0:
            self.jobs.left(exchange.token)
        else:
            self._gateway.leave(exchange.token)

    def feed(self, exchange: Exchange, data: bytes, kind: int) -> None:
        """Give the worker what the client of a stream sends on."""
        self._gateway.feed(exchange.token, data, kind)

    def choked(self, exchange: Exchange, *, is_choked: bool) -> None:
        """Have the worker wait with the rest of a stream, or go on."""
        if exchange.token < 0:
            self.jobs.choked(exchange.token, is_choked=is_choked)
        else:
            self._gateway.choke(exchange.token, is_choked=is_choked)

    def refuse(self, error: FramingError, head: Head | None) -> tuple[Reply, str]:
        """Render the refusal of what never became a request."""
        request_id = self._new_id()
        kind = errors.BusyError if error.status == 503 else errors.CallerError
        told: HeadwayError = kind(error.message)
        told.code = error.code
        self._unrouted.answered(outcome_of(told), 0.0)
        dialect = self._dialect(head)
        ask = Ask("", "", "", b"", {}, "", request_id)
        reply = rendered(self._codecs[dialect], ask, told)
        return Reply(error.status, reply.body, reply.content_type, reply.headers), request_id

    # Who may ask, and what

    def _admitted(self, head: Head) -> Plan:
        """All that a head decides, once it is known that it may ask. Raises CallerError."""
        if self._keys is not None:
            self._check_key(head, self._keys)
        plan: Plan | None = head.memo.get("plan")
        if plan is None or plan.is_stale:
            plan = head.memo["plan"] = self._plan(head)
        return plan

    def _plan(self, head: Head) -> Plan:
        if self._hosts is not None:
            self._hosts.check(head)
        if head.path == opinions.PATH:
            if head.method not in ("GET", "HEAD", "POST"):
                raise errors.MethodNotAllowed(allow="GET, HEAD, POST")
            return Plan(Found("", _OPINIONS), None, None, None, wanted_id(head))
        if self._is_own(head):
            return Plan(Found("", _OWN), None, None, None, wanted_id(head))
        return self._planner.plan(head)

    def _has(self, path: str) -> bool:
        """Whether a path belongs to no protocol."""
        return path in self._own or path in self._page or path == "/health/ready"

    def _dialect(self, head: Head | None) -> str:
        """The protocol in whose words an error is told that this head meets."""
        is_own = head is not None and head.method != GRPC and self._has(head.path)
        return DEFAULT if is_own else self._planner.dialect(head)

    def _is_own(self, head: Head) -> bool:
        is_own = self._has(head.path)
        if head.path == "/" and head.method == "OPTIONS":  # TorchServe's way to ask what is served
            return True
        if is_own and head.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed(allow="GET, HEAD")
        return is_own

    def _check_key(self, head: Head, keys: Keys) -> None:
        """Demand a key, before anything is told of what is served here. Raises Unauthorized."""
        is_page = head.path in self._page and head.method != "OPTIONS"
        root = self._settings.root_path
        is_open = head.path in _OPEN_PATHS or is_page or (bool(root) and head.path == root)
        if head.method == GRPC:
            is_open = head.path in _OPEN_CALLS
        if not is_open:
            headers = head.headers
            offered = key_of(headers.get("sec-websocket-protocol", ""))
            if offered and not headers.keys() & {"authorization", "x-api-key"}:
                headers = {"x-api-key": offered}
            keys.check(headers, head.query)

    def _fail(self, head: Head, exchange: Exchange, serial: int, error: BaseException) -> None:
        """Log what should not have been, and answer with an internal error."""
        request_id = wanted_id(head) or self._new_id()
        log.error("internal", exc_info=error, extra={"request_id": request_id})
        reply = self._refusal(head, errors.InternalError(), request_id)
        exchange.finish(serial, reply, request_id)

    def _refusal(self, head: Head, error: HeadwayError, request_id: str, op: str = "") -> Reply:
        """An error in the words of a head's dialect."""
        self._unrouted.answered(outcome_of(error), 0.0)
        dialect = self._dialect(head)
        ask = Ask(op, "", "", b"", head.headers, head.query, request_id)
        return rendered(self._codecs[dialect], ask, error)

    def _refuse_job(self, asked: Asked, error: BaseException) -> None:
        """A job could not be taken, or looked at."""
        if isinstance(error, HeadwayError):
            op = asked.plan.found.route.op
            reply = self._refusal(asked.head, error, asked.request_id, op)
            asked.exchange.finish(asked.serial, reply, asked.request_id)
        else:
            self._fail(asked.head, asked.exchange, asked.serial, error)

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"

    # What the gateway answers by itself

    def _answer(self, asked: Asked) -> None:
        asked.exchange.token = 0
        if asked.plan.found.route.needs_probe:
            fail = functools.partial(self._fail, asked.head, asked.exchange, asked.serial)
            tasks.start(self._probe(asked), self._tasks, fail)
        elif asked.plan.found.route.job:
            self.jobs.answer(asked)
        elif asked.plan.found.route is _OPINIONS:
            fail = functools.partial(self._fail, asked.head, asked.exchange, asked.serial)
            tasks.start(self._take_opinion(asked), self._tasks, fail)
        elif asked.plan.found.route is _OWN:
            self._answer_own(asked)
        elif not asked.plan.found.route.is_local:
            fail = functools.partial(self._fail, asked.head, asked.exchange, asked.serial)
            tasks.start(self._obey(asked, self._read(asked)), self._tasks, fail)
        else:
            reply = self._local(asked, self._facts())
            asked.exchange.finish(asked.serial, reply, asked.request_id)

    def _answer_own(self, asked: Asked) -> None:
        path = asked.head.path
        if path == "/health/ready":
            asked.plan = Plan(Found("", _PROBE), None, None, None, asked.request_id)
            self._answer(asked)
            return
        own = self._openapi if asked.head.method == "OPTIONS" else self._own.get(path)
        reply = own(asked.head) if own else self._asset(asked.head)
        asked.exchange.finish(asked.serial, reply, asked.request_id)

    async def _take_opinion(self, asked: Asked) -> None:
        try:
            reply = await opinions.answer(asked.head, asked.body, self._clerk, self._names)
        except HeadwayError as e:
            reply = self._refusal(asked.head, e, asked.request_id)
        asked.exchange.finish(asked.serial, reply, asked.request_id)

    async def _probe(self, asked: Asked) -> None:
        """Answer once the slots have shown that they are alive."""
        pools, found = self._gateway.pools, asked.plan.found
        wanted = [found.model] if found.model in pools else list(pools)
        alive = await asyncio.gather(*(self._gateway.is_ready(pools[name]) for name in wanted))
        facts = self._facts(dict(zip(wanted, alive, strict=True)))
        if found.route is _PROBE:
            reply = self._readiness(facts)
        else:
            reply = self._local(asked, facts)
        asked.exchange.finish(asked.serial, reply, asked.request_id)

    async def _obey(self, asked: Asked, ask: Ask) -> None:
        """Have the supervisor do what an operator asks for, and tell him."""
        codec = self._codecs[asked.plan.found.codec]
        reply = await orders.answer(codec, ask, self._facts, self.state.bid)
        asked.exchange.finish(asked.serial, reply, asked.request_id)

    def _readiness(self, facts: Facts) -> Reply:
        models = {name: facts.ready.get(name, False) for name in self._names}
        pools = self._gateway.pools.items()
        told = {
            "ready": facts.is_server_ready,
            "models": models,
            "generations": {n: p.generation if p.generation >= 0 else None for n, p in pools},
        }
        body = msgspec.json.encode(told)
        return Reply(200 if facts.is_server_ready else 503, body)

    def _local(self, asked: Asked, facts: Facts) -> Reply:
        codec, ask = self._codecs[asked.plan.found.codec], self._read(asked)
        try:
            return codec.answer(ask, facts)
        except HeadwayError as e:
            return rendered(codec, ask, e)

    def _read(self, asked: Asked) -> Ask:
        return self._planner.read(asked.head, asked.plan.found, asked.body, asked.request_id)

    def _facts(self, alive: Mapping[str, bool] = MappingProxyType({})) -> Facts:
        return of_pools(
            self._gateway.pools,
            alive,
            self._board,
            self._settings,
            may_be_ready=self.state.was_ready and not self.state.is_draining,
        )

    def _metrics(self, head: Head) -> Reply:
        self._gateway.gauge()
        ready = {name: pool.is_serving for name, pool in self._gateway.pools.items()}
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
        is_shown = self._settings.public_admin
        routes = {
            name: [r for r in codec.ROUTES if r.method != GRPC and (is_shown or not r.is_admin)]
            for name, codec in self._codecs.items()
        }
        root = self._settings.root_path
        document = openapi(known, routes, has_keys=self._keys is not None, root_path=root)
        return Reply(200, msgspec.json.encode(document))

    def _to_page(self, head: Head) -> Reply:
        """The page's own links are relative, and lead nowhere without the slash."""
        return Reply(308, b"", headers=(("location", f"{self._settings.root_path}/"),))

    def _asset(self, head: Head) -> Reply:
        # KServe's clients, among others, ask here whether the server is alive; browsers name HTML.
        if head.path == "/" and "text/html" not in head.headers.get("accept", "text/html"):
            return Reply(200, b'{"status":"alive"}', headers=(("vary", "accept"),))
        return self._page[head.path].reply(head.headers.get("if-none-match"))
