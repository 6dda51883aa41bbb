"""What a head asks for: its protocol, its model and how long it may take, worked out once and kept with the head.

Clients repeat their heads (`Head.memo`). Of a request whose body names the model, the rest is worked out by model.
What is done as a job has a plan within its plan, so that every other request is spared the question.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from headway import errors
from headway.config import ServerSettings
from headway.engine.batcher import PRIORITIES
from headway.engine.deflate import CODING, coding_of
from headway.engine.frames import Question
from headway.engine.inflate import check_coding, inflate
from headway.engine.pool import Pool
from headway.model.call import Description
from headway.observe import trace
from headway.protocols import Ask, Codec, Route, Targeting, check_media
from headway.server.choices import choices, chosen
from headway.server.handshake import check_page, is_foreign, problem_of
from headway.server.http1 import Head
from headway.server.preference import patience_s
from headway.server.routes import Found, Routes

GRPC = "GRPC"
"""The method of gRPC's routes and heads."""
DEFAULT, _GRPC_DEFAULT = "native", "grpc_health"
"""The protocols whose words are used where a path tells none."""
_INFLATED_BYTES, _INFLATED_TIMES = 8 * 2**20, 64
"""A body that the gateway itself must inflate, to find its model or to answer, grows to no more than the larger of
these: so much, or so many times its size. Meanwhile nobody else is answered; a bomb would be cheap to send."""
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(slots=True)
class Plan:
    """What a head asks for; a worker is asked where it has a pool and a question."""

    found: Found
    pool: Pool | None
    question: Question | None
    description: Description | None
    """What was known of the model then; the plan holds while it is still the same object."""
    request_id: str
    """That its caller gave it; "" for none."""
    job: "Plan | None" = None
    """What a worker is asked, where that is done as a job."""
    wait_s: float | None = None
    """After so long the caller of a job wants to be told where it is, and waits no longer; None: he waits."""

    @property
    def needs_body(self) -> bool:
        """Whether anybody reads it: a worker, or the gateway for the model's name."""
        route = self.found.route
        if self.pool is not None or self.job is not None:
            return True
        return route.names_in_body or route.takes_body

    @property
    def is_stale(self) -> bool:
        """The model has changed since."""
        if self.job is not None:
            return self.job.is_stale
        return self.pool is not None and self.pool.description is not self.description


class Planner:
    """Plans what heads ask of these models.

    Args:
        pools: by model name.
        codecs: by protocol name.
        settings: of the server.
        is_admin: operators ask, who have been let in: there are no other routes than theirs and the local ones.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        codecs: Mapping[str, Codec],
        settings: ServerSettings,
        *,
        is_admin: bool = False,
    ) -> None:
        self._pools = pools
        self._codecs = codecs
        self._is_admin = is_admin
        tables = {
            name: [r for r in codec.ROUTES if not is_admin or r.is_local or r.is_admin]
            for name, codec in sorted(codecs.items(), key=lambda item: item[0] != DEFAULT)
        }
        self._tables = {n: [r for r in t if r.method != GRPC] for n, t in tables.items()}
        self._calls = calls(tables)
        self.adapt(settings)

    def adapt(self, settings: ServerSettings) -> None:
        """Take on other settings; heads that were planned before must be forgotten."""
        self._pages = frozenset(name.strip().lower() for name in settings.hosts.split(","))
        self._default = settings.default_model
        self._max_body_bytes = settings.max_body_bytes
        self._choices = chosen(settings.dialect, choices())
        self._is_public = settings.public_admin
        self._takes_jobs = settings.max_jobs > 0
        self._routes = Routes(self._tables, has_admin=self._is_admin or self._is_public)

    def dialect(self, head: Head | None) -> str:
        """The protocol in whose words an error is told that this head meets."""
        if head is None:
            return DEFAULT
        if head.method != GRPC:
            return self._routes.dialect(head.path, DEFAULT, head.method, self._pools)
        service = head.path.rpartition("/")[0]
        owners = (f.codec for p, f in self._calls.items() if p.rpartition("/")[0] == service)
        return next(owners, _GRPC_DEFAULT)

    def plan(self, head: Head) -> Plan:
        """All that a head decides. Raises CallerError."""
        if head.method != GRPC:
            return self._planned(head, self._routes.find(head.method, head.path, self._pools))
        call = self._calls.get(head.path)
        if call is None:
            raise errors.UnknownPath(
                "there is no such method here; gRPC reflection lists what there is"
            )
        return self._planned(head, call)

    def addressed(self, head: Head, plan: Plan, body: bytes) -> Plan:
        """The plan of a request whose body names the model. Raises CallerError."""
        target = self._target(head, plan.found, body)
        memo = head.memo.setdefault("targets", {})
        kept: Plan | None = memo.get(target)
        if kept is None or kept.is_stale:
            model, version = target
            found = replace(plan.found, model=model or plan.found.model, version=version)
            kept = self._planned(head, found, is_addressed=True)
            if kept.description is not None:  # or any name would be remembered
                memo[target] = kept
        return kept

    def read(self, head: Head, found: Found, body: bytes, request_id: str) -> Ask:
        """What a codec is asked that answers by itself. Raises CallerError: the body can't be inflated."""
        headers = {**head.headers, **self.pseudo_headers(found)}
        route, body = found.route, self.plain(head, body)
        return Ask(route.op, found.model, found.version, body, headers, head.query, request_id)

    def plain(self, head: Head, body: bytes) -> bytes:
        """A body that the gateway reads itself, without its coding. Raises CallerError."""
        coding = head.headers.get("content-encoding", "")
        if not coding or not body:
            return body
        most = max(_INFLATED_BYTES, _INFLATED_TIMES * len(body))
        return bytes(inflate(body, coding, min(most, self._max_body_bytes)))

    def _target(self, head: Head, found: Found, body: bytes) -> tuple[str, str]:
        body = self.plain(head, body)
        codec = cast("Targeting", self._codecs[found.codec])
        headers = {**head.headers, **self.pseudo_headers(found), ":models": " ".join(self._pools)}
        ask = Ask(found.route.op, found.model, found.version, body, headers, head.query)
        return codec.target(ask)

    def _planned(self, head: Head, found: Found, *, is_addressed: bool = False) -> Plan:
        route = found.route
        if route.is_admin:
            self._check_admin(head)
        about_job = route.job in ("status", "result", "cancel")
        is_here = route.is_local or route.is_admin or about_job
        if is_here or (route.names_in_body and not is_addressed):
            return Plan(found, None, None, None, wanted_id(head))
        pool = self._pool(head, found)
        if route.is_socket:
            self._check_handshake(head, pool)
        asked = pool.description and pool.description.asked(route.op)
        _check_form(head, route, asked)
        wait_s = self._patience_s(head, route)
        question = Question(
            found.codec,
            route.op,
            self._headers(head, found, pool.description) or None,
            head.query,
            _priority(head, "normal" if wait_s is None else "low"),
            _timeout_s(head),
            route.is_socket,
        )
        plan = Plan(found, pool, question, pool.description, wanted_id(head))
        if wait_s is None and route.job != "always":
            return plan
        return Plan(found, None, None, None, plan.request_id, job=plan, wait_s=wait_s)

    def _patience_s(self, head: Head, route: Route) -> float | None:
        """After how long a caller wants to wait no longer, where that can be; None: he waits for the answer."""
        return (
            patience_s(head.headers.get("prefer", "")) if route.job and self._takes_jobs else None
        )

    def _headers(self, head: Head, found: Found, description: Description | None) -> dict[str, str]:
        """What protocol and predictor ask to see of a head, and what is no header (`Ask.headers`)."""
        declared = {*self._codecs[found.codec].HEADERS, "content-encoding"}
        if description is not None:
            declared.update(description.headers)
        declared -= {trace.PARENT, trace.STATE}  # read by their own rules
        headers = {name: value for name, value in head.headers.items() if name in declared}
        if trace.PARENT in head.headers:
            headers |= trace.trace_headers(head.headers)
        coding = coding_of(head.headers.get("accept-encoding", ""))
        return headers | self.pseudo_headers(found) | ({CODING: coding} if coding else {})

    def pseudo_headers(self, found: Found) -> dict[str, str]:
        """What the path and the operator say, as `Ask.headers` holds it."""
        others = {f":{hole}": value for hole, value in found.others.items()}
        return others | self._choices.get(found.codec, {})

    def _pool(self, head: Head, found: Found) -> Pool:
        name = found.model or head.headers.get(found.route.model_header, "") or self._default
        if not name and len(self._pools) == 1:
            (name,) = self._pools
        pool = self._pools.get(name)
        if pool is None and not name:
            expected = f"the name of a model, of {', '.join(self._pools)}; or a `default_model` in headway.yaml"
            raise errors.BadInput(where="request", expected=expected, found="none")
        if pool is None:
            raise errors.UnknownModel(model=name, known=", ".join(self._pools))
        known = pool.description.version if pool.description else ""
        if found.version and known and found.version != known:
            raise errors.UnknownVersion(model=name, version=found.version, known=known)
        return pool

    def _check_admin(self, head: Head) -> None:
        """Refuse an operator's verb where it is not answered, or a page asks. Raises CallerError."""
        if self._is_admin:
            return
        if not self._is_public:
            raise errors.AdminOnly(what=f"{head.method} {head.path[:80]}")
        check_page(head, self._pages)

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


def calls(tables: Mapping[str, Sequence[Route]]) -> dict[str, Found]:
    """The methods of gRPC by their whole names.

    Raises:
        ValueError: two protocols claim the same one.
    """
    found: dict[str, Found] = {}
    for codec, routes in tables.items():
        for route in routes:
            if route.method == GRPC and route.path in found:
                raise ValueError(f"{route.path} is claimed by two protocols")
            if route.method == GRPC:
                found[route.path] = Found(codec, route)
    return found


def wanted_id(head: Head) -> str:
    """The request id that a caller gives; "" for none that can be used."""
    wanted = head.headers.get("x-request-id", "")
    return wanted if _REQUEST_ID.fullmatch(wanted) else ""


def _check_form(head: Head, route: Route, description: Description | None) -> None:
    """Refuse what no worker would read: another coding, or another content type. Raises UnsupportedMedia."""
    coding = head.headers.get("content-encoding")
    if coding:
        check_coding(coding)
    if route.has_media and description is not None:
        check_media(head.headers.get("content-type", ""), description)


def _priority(head: Head, default: str) -> int:
    wanted = head.headers.get("headway-priority", default)
    if wanted not in PRIORITIES:
        raise errors.BadInput(
            where="header headway-priority",
            expected=" or ".join(PRIORITIES),
            found=repr(wanted[:40]),
        )
    return PRIORITIES[wanted]


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
