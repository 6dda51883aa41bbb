"""Jobs: predictions whose callers do not wait for the answer on a connection, or want to find or cancel it by its id.

    POST /models/NAME/predict with `Prefer: respond-async`      202, and where to look
    GET /jobs/ID    GET /jobs/ID/result    DELETE /jobs/ID

A job waits in its model's queue like every request, but by a deadline of its own and behind those that somebody waits
for. Its answer goes to its `keeper`, then into its record (`archive`), then to the place that its caller named
(`webhooks`). Any gateway answers for any job, by its record, so that all of them say the same; a cancel for another's
job goes to all gateways by way of the supervisor. Which words a job is told in is its protocol's business (`Queueing`).
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from functools import partial

from headway import errors
from headway.config import ServerSettings
from headway.engine.gateway import Gateway
from headway.engine.messages import Revoke
from headway.engine.pool import Pool
from headway.observe import trace
from headway.protocols import Ask, Job, Reply
from headway.server import tasks
from headway.server.archive import Archive, FullError, Peers, bounds_of, queueing
from headway.server.asked import Asked
from headway.server.keeper import Keeper
from headway.server.plan import Plan, Planner
from headway.server.routes import is_name
from headway.server.webhooks import Teller, Webhooks

_LOOK_S = 0.25
"""That a job has begun to run is seen within this."""
_MAX_WAIT_S = 60.0
"""A caller who wants to wait before he is told where his job is waits so long at most."""


class Jobs:
    """The jobs of one gateway, and what it knows of the others'.

    Args:
        gateway: takes what a worker must answer.
        planner: knows what a path says besides.
        settings: of the server.
        peers: the gateways.
        failed: answers a request that could not be.
    """

    def __init__(
        self,
        gateway: Gateway,
        planner: Planner,
        settings: ServerSettings,
        peers: Peers,
        failed: Callable[[Asked, BaseException], None],
    ) -> None:
        self._gateway = gateway
        self._planner = planner
        self._settings = settings
        self._peers = peers
        self._failed = failed
        limit_bytes = max(1, settings.max_job_bytes // peers.count)
        self._webhooks = Webhooks(settings.webhook_urls, limit_bytes)
        self._archive = Archive(gateway.codec, settings, peers, self._webhooks)
        self._kept: dict[str, Keeper] = {}
        """Those whose record does not yet say how they ended, by id."""
        self._watched: set[Keeper] = set()
        """Those of which somebody is to know when they begin."""
        self._waiting: dict[int, Keeper] = {}
        """Those that somebody waits for, by the token of his connection: it is negative."""
        self._tokens = itertools.count(-1, -1)
        self._tasks: set[asyncio.Task[None]] = set()

    def adapt(self, settings: ServerSettings) -> None:
        """Take on other bounds and places. Raises ConfigError."""
        self._webhooks.adapt(settings.webhook_urls)
        self._settings = settings
        self._archive.bounds = bounds_of(settings)

    def start(self) -> None:
        """Look for the jobs of gateways that have died."""
        self._archive.watch()

    @property
    def under_way(self) -> int:
        """Jobs that have not ended, or of which the end was not written yet, or not told once."""
        return len(self._kept) + self._webhooks.untried

    def close(self) -> None:
        """The gateway ends; what is still under way is lost."""
        if not self._kept:
            self._archive.close()

    # What connections and the supervisor tell

    def left(self, token: int) -> None:
        """Who waited for a job has left."""
        keeper = self._waiting.pop(token, None)
        if keeper is not None:
            keeper.exchange = None
            keeper.cancel()

    def choked(self, token: int, *, is_choked: bool) -> None:
        """Who takes a job's answer piece by piece does not keep up, or does again."""
        keeper = self._waiting.get(token)
        if keeper is not None and keeper.flight is not None:
            self._gateway.choke(keeper.flight.id, is_choked=is_choked)

    def revoked(self, id: str) -> None:
        """Somebody has cancelled a job, perhaps one of ours, at another gateway."""
        keeper = self._kept.get(id)
        if keeper is not None:
            keeper.cancel()

    # Requests

    def answer(self, asked: Asked) -> None:
        """Answer a request that is a job, or asks about one. Raises CallerError, BusyError."""
        plan = asked.plan.job
        if plan is not None and plan.pool is not None:
            self._take(asked, plan, plan.pool)
        else:
            asked.exchange.token = 0
            tasks.start(self._tell_of(asked), self._tasks, partial(self._failed, asked))

    async def _tell_of(self, asked: Asked) -> None:
        """What a job is, or how it was answered; or cancel it. Raises CallerError."""
        found = asked.plan.found
        ask = self._ask(asked, asked.plan)
        job = await self._archive.find(found.others["id"])
        was_over, reply = job.has_ended, job.reply
        if found.route.job == "result" and was_over and reply is not None:
            asked.exchange.finish(asked.serial, reply, asked.request_id)
            return
        words = queueing(self._gateway.codec(found.codec))
        if found.route.job == "cancel" and not was_over:
            self._cancel(job.id)
        reply = words.state(ask, job)
        if found.route.method == "DELETE" and was_over:
            await self._archive.remove(job.id)
        asked.exchange.finish(asked.serial, reply, asked.request_id)

    def _cancel(self, id: str) -> None:
        keeper = self._kept.get(id)
        if keeper is not None:
            keeper.cancel()
        else:
            self._peers.tell(Revoke(id))

    # A job is taken

    def _take(self, asked: Asked, plan: Plan, pool: Pool) -> None:
        codec = self._gateway.codec(plan.found.codec)
        ask = self._ask(asked, plan)
        ask.model = pool.name
        terms = queueing(codec).terms(ask)
        ask.body = b""
        if terms.id and not is_name(terms.id):
            expected = "at most 128 letters, digits, dots, dashes and underscores"
            raise errors.BadInput(where="id", expected=expected, found=repr(terms.id[:40]))
        place = self._webhooks.place(terms.webhook) if terms.webhook else None
        keeper = Keeper(terms.id or secrets.token_hex(16), asked, ask, codec, terms)
        if terms.id in self._kept:
            self._tell_known(keeper, self._kept[terms.id].job)
            return
        keeper.is_async = asked.plan.wait_s is not None and not terms.is_streamed
        keeper.is_kept = (keeper.is_async or bool(terms.id)) and self._settings.max_jobs > 0
        if keeper.is_kept and len(self._kept) >= max(
            1, self._settings.max_jobs // self._peers.count
        ):
            raise self._full(pool)
        keeper.trace = trace.trace_headers(asked.head.headers)
        if place is not None:
            keeper.teller = Teller(self._webhooks, place, terms.events, keeper.trace)
        self._start(keeper)

    def _start(self, keeper: Keeper) -> None:
        keeper.limit_bytes = self._archive.bounds.largest_bytes
        keeper.stop, keeper.over = self._stop, self._over
        keeper.asked.exchange.token = keeper.token = next(self._tokens)
        self._waiting[keeper.token] = keeper
        if keeper.is_kept or keeper.teller is not None:
            self._watch(keeper)
        if keeper.is_kept:
            self._kept[keeper.job.id] = keeper
            tasks.start(self._begin(keeper), self._tasks, partial(self._broke, keeper))
        else:
            self._submit(keeper)

    def _full(self, pool: Pool) -> errors.QueueFull:
        limit = f"{len(self._kept)} jobs are under way"
        return errors.QueueFull(model=pool.name, limit=limit, retry_after_s=pool.patience_s())

    async def _begin(self, keeper: Keeper) -> None:
        """Claim the job's id, and let it wait for its turn. Raises BusyError."""
        try:
            known = await self._archive.claim(keeper)
        except FullError as e:
            raise self._full(self._gateway.pools[keeper.job.model]) from e
        if known is not None:
            self._forget(keeper)
            self._tell_known(keeper, known)
        elif not keeper.job.has_ended:
            self._submit(keeper)

    def _broke(self, keeper: Keeper, error: BaseException) -> None:
        """A job could not begin."""
        self._forget(keeper)
        exchange, keeper.exchange = keeper.exchange, None
        if exchange is not None:
            self._failed(keeper.asked, error)

    def _submit(self, keeper: Keeper) -> None:
        asked, plan = keeper.asked, keeper.asked.plan.job
        assert plan is not None
        assert plan.pool is not None
        assert plan.question is not None
        caller = (keeper, 1, asked.request_id)
        body, asked.body = asked.body, b""
        is_patient = keeper.is_async
        id = self._gateway.submit(plan.pool, plan.question, body, caller, is_patient=is_patient)
        keeper.flight = self._gateway.flight(id)
        if keeper.is_async and keeper.exchange is not None:
            wait_s = min(asked.plan.wait_s or 0.0, _MAX_WAIT_S)
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._accept, keeper)
            else:
                self._accept(keeper)

    def _accept(self, keeper: Keeper) -> None:
        """Tell who waits where his job is; he need not wait for it any longer."""
        exchange, keeper.exchange = keeper.exchange, None
        self._waiting.pop(keeper.token, None)
        if exchange is not None:
            reply = _accepted(keeper.state(), keeper.job.id, self._settings.root_path)
            exchange.finish(keeper.asked.serial, reply, keeper.asked.request_id)

    def _tell_known(self, keeper: Keeper, job: Job) -> None:
        """The same job again: what it is, or how it was answered. Raises BadInput: it is another model's."""
        if job.model != keeper.job.model:
            expected = "one that no other model's prediction has"
            raise errors.BadInput(where="id", expected=expected, found=repr(job.id[:40]))
        exchange, keeper.exchange = keeper.exchange, None
        if exchange is None:
            return
        if job.has_ended and job.reply is not None:
            reply = job.reply
        else:
            reply = _accepted(keeper.words.state(keeper.ask, job), job.id, self._settings.root_path)
        exchange.finish(keeper.asked.serial, reply, keeper.asked.request_id)

    # A job runs, and ends

    def _watch(self, keeper: Keeper) -> None:
        if not self._watched:
            asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        self._watched.add(keeper)

    def _look(self) -> None:
        """See which jobs have begun to run."""
        for keeper in list(self._watched):
            if keeper.job.status == "queued" and keeper.look() and keeper.is_kept:
                tasks.start(self._archive.begin(keeper), self._tasks)
        if self._watched:
            asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _stop(self, keeper: Keeper) -> None:
        if keeper.flight is not None:
            self._gateway.leave(keeper.flight.id)

    def _over(self, keeper: Keeper) -> None:
        self._waiting.pop(keeper.token, None)
        was_refused = keeper.flight is None and keeper.job.status == "failed"
        if keeper.is_kept:
            tasks.start(self._end(keeper, was_refused=was_refused), self._tasks)
        else:
            self._watched.discard(keeper)
            if not was_refused:
                keeper.tell_end()

    async def _end(self, keeper: Keeper, *, was_refused: bool) -> None:
        """Keep the answer, then tell that it is there; a job that was refused at once is none."""
        if was_refused:
            await self._archive.remove(keeper.job.id)
        else:
            await self._archive.end(keeper)
        self._forget(keeper)
        if not was_refused:
            keeper.tell_end()

    def _forget(self, keeper: Keeper) -> None:
        self._watched.discard(keeper)
        self._waiting.pop(keeper.token, None)
        if self._kept.get(keeper.job.id) is keeper:
            del self._kept[keeper.job.id]

    def _ask(self, asked: Asked, plan: Plan) -> Ask:
        """A request as a codec sees it in the gateway. Raises CallerError."""
        found, head, body = plan.found, asked.head, asked.body
        if found.route.job == "always":
            body = self._planner.plain(head, body)
        headers = {**head.headers, **self._planner.pseudo_headers(found)}
        return Ask(
            found.route.op, found.model, found.version, body, headers, head.query, asked.request_id
        )


def _accepted(state: Reply, id: str, root_path: str) -> Reply:
    """RFC 7240 section 4.1: 202 (Accepted), with a Location where the client can look."""
    headers = (("location", f"{root_path}/jobs/{id}"), ("preference-applied", "respond-async"))
    return Reply(202, state.body, state.content_type, (*state.headers, *headers))
