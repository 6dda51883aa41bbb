"""The records of jobs as a gateway sees them: jobs become records and records jobs, and no disk holds up its loop.

It also looks for the jobs of gateways that have died, and tells the places that wait to hear of them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from headway import errors
from headway.config import ServerSettings, runtime_folder
from headway.engine.aside import aside
from headway.protocols import Ask, Codec, Job, Queueing, Reply, rendered
from headway.server import tasks
from headway.server.keeper import Keeper
from headway.server.records import Bounds, FullError, Record, Records
from headway.server.webhooks import Teller, Webhooks

log = logging.getLogger(__name__)

T = TypeVar("T")
_SWEEP_S = 30.0
_FILES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Peers:
    """The gateways of a server, as one of them sees them."""

    index: int
    """Its own number."""
    count: int
    folder: Path
    """Of the records of jobs."""
    tell: Callable[[Any], object]
    """Tells the supervisor."""


class Archive:
    """The records of all gateways, for one of them.

    Args:
        codec: a protocol by its name.
        settings: of the server.
        peers: the gateways.
        webhooks: tells of jobs that were lost.
    """

    def __init__(
        self,
        codec: Callable[[str], Codec],
        settings: ServerSettings,
        peers: Peers,
        webhooks: Webhooks,
    ) -> None:
        self._codec = codec
        self._webhooks = webhooks
        self._records = Records(peers.folder, bounds_of(settings), peers.count)
        self._files = asyncio.Semaphore(_FILES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bounds(self) -> Bounds:
        """Of what is kept."""
        return self._records.bounds

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        self._records.bounds = bounds

    def close(self) -> None:
        """Nothing of this gateway is under way any more."""
        self._records.close()

    async def claim(self, keeper: Keeper) -> Job | None:
        """Begin the record of a job.

        Returns:
            The job that has this id already; None: it is begun.

        Raises:
            FullError: there is no room.
            BusyError: it can't be written.
        """
        async with keeper.writes:
            try:
                found = await self._beside(partial(self._records.claim, self._record(keeper)))
            except OSError as e:
                log.error("jobs_not_kept", extra={"reason": str(e)})
                raise errors.BusyError("No job can be kept now; the server's log says why.") from e
        return None if found is None else self._job(*found)

    async def begin(self, keeper: Keeper) -> None:
        """Let the other gateways know that a job runs; where that fails they will know how it ended."""
        async with keeper.writes:
            if not keeper.job.has_ended:
                with contextlib.suppress(OSError):
                    await self._beside(partial(self._records.write, self._record(keeper)))

    async def end(self, keeper: Keeper) -> None:
        """Keep the answer of a job; where that fails the job is lost, but for who has waited for its answer."""
        async with keeper.writes:
            reply, record = keeper.job.reply, self._record(keeper)
            body = reply.body if reply is not None else b""
            try:
                await self._beside(partial(self._records.write, record, body))
            except OSError as e:
                log.error("job_not_kept", extra={"job": keeper.job.id, "reason": str(e)})
                await self._beside(partial(self._records.lose, record))
                if not keeper.is_given:
                    keeper.job = self._job(record)

    async def remove(self, id: str) -> None:
        """Forget a job."""
        await self._beside(partial(self._records.remove, id))

    async def find(self, id: str) -> Job:
        """A job of any gateway. Raises UnknownJob."""
        found = await self._beside(partial(self._records.read, id))
        if found is None:
            raise errors.UnknownJob(job=id[:80])
        return self._job(*found)

    # The jobs of gateways that have died

    def watch(self) -> None:
        """Look for them, and remove what is out of date; go on doing so."""
        tasks.start(self._sweep(), self._tasks)

    async def _sweep(self) -> None:
        try:
            for record in await self._beside(self._records.sweep):
                self._tell_lost(record)
        except OSError as e:
            log.error("jobs_not_swept", extra={"reason": str(e)})
        asyncio.get_running_loop().call_later(_SWEEP_S, self.watch)

    def _tell_lost(self, record: Record) -> None:
        log.warning("job_lost", extra={"job": record.id, "request_id": record.request_id})
        if not record.webhook:
            return
        with contextlib.suppress(errors.BadInput):  # the operator no longer allows it
            place = self._webhooks.place(record.webhook)
            state = queueing(self._codec(record.codec)).state(_ask_of(record), self._job(record))
            teller = Teller(self._webhooks, place, record.events, record.trace)
            teller.tell_end(lambda: state.body)

    # Between jobs and records

    def _record(self, keeper: Keeper) -> Record:
        job, ask, reply = keeper.job, keeper.ask, keeper.job.reply
        record = Record(
            job.id,
            self._records.owner,
            keeper.asked.plan.found.codec,
            ask.op,
            job.model,
            ask.request_id,
            job.created_s,
            job.status,
            job.started_s,
            job.ended_s,
            webhook=keeper.terms.webhook,
            events=keeper.terms.events,
            trace=keeper.trace,
        )
        if job.has_ended and reply is not None:
            record.reply_status, record.content_type = reply.status, reply.content_type
            record.headers = list(reply.headers)
        return record

    def _job(self, record: Record, body: bytes = b"") -> Job:
        """A job as its record tells it; one that is lost has failed."""
        job = Job(record.id, record.model, record.created_s)
        job.started_s, job.ended_s = record.started_s, record.ended_s
        if record.status == "lost":
            codec, ask = self._codec(record.codec), _ask_of(record)
            job.status = "failed"
            job.ended_s = job.ended_s or time.time()
            job.reply = rendered(codec, ask, errors.JobLost())
            job.reply = queueing(codec).conclude(ask, job)
        else:
            job.status = record.status
            head = (record.reply_status, body, record.content_type, tuple(record.headers))
            job.reply = None if record.is_open else Reply(*head)
        return job

    async def _beside(self, work: Callable[[], T]) -> T:
        async with self._files:
            return await aside(work)


def job_folder(settings: ServerSettings, label: str) -> Path:
    """Where the records of a server are that listens at an address of this label."""
    return Path(settings.job_folder) if settings.job_folder else runtime_folder() / f"jobs-{label}"


def bounds_of(settings: ServerSettings) -> Bounds:
    """How much a server keeps."""
    return Bounds(settings.max_jobs, settings.max_job_bytes, settings.job_ttl_s)


def queueing(codec: Codec) -> Queueing:
    """What a protocol says of jobs: it has a route that has to do with them."""
    return cast("Queueing", codec)


def _ask_of(record: Record) -> Ask:
    return Ask(record.op, record.model, "", b"", {}, "", record.request_id)


__all__ = ["Archive", "FullError", "Peers", "bounds_of", "job_folder", "queueing"]
