"""A gateway process: it speaks to clients, and hands what they ask to the engine.

It is started by the supervisor, which says on the control channel what to serve; the listening sockets and the
counters' memory are inherited. It imports no numpy and no user code.
"""

import asyncio
import dataclasses
import gc
import itertools
import logging
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

from headway import plugins
from headway.config import ServerSettings
from headway.engine.allocator import give_back
from headway.engine.channel import Channel
from headway.engine.gateway import Gateway
from headway.engine.messages import (
    Adapt,
    Bid,
    Close,
    Closed,
    Drain,
    Drained,
    Fence,
    Fenced,
    Finish,
    Forget,
    Join,
    Leave,
    Listen,
    Load,
    Message,
    Obeyed,
    Part,
    Ping,
    Pong,
    Ready,
    Resume,
    Revoke,
    Suspend,
    Trouble,
    Unload,
    Unloaded,
)
from headway.engine.orphan import end_with_parent
from headway.engine.spans import Spans
from headway.errors import ConfigError
from headway.model.call import Order
from headway.observe import log as logs
from headway.observe.metrics import Board
from headway.server import tasks, tls
from headway.server.app import App, State
from headway.server.archive import Peers, job_folder
from headway.server.listener import Listener
from headway.server.sockets import place_label

log = logging.getLogger(__name__)

_DRAIN_LOOK_S = 0.02
_FAREWELL_S = 0.5
"""Those who are told that the server has stopped have this long to take it; less than a supervisor waits."""
_MEET_S = 1.0
"""A slot that is free answers a new gateway within this."""
_OTHER_DESCRIPTORS = 1024
"""What a gateway may need besides its connections: two for each slot, the listening sockets, its own files."""
_GC_THRESHOLD = 20_000
"""Objects between two looks of the garbage collector; requests make and drop thousands without a cycle."""


class Process:
    """One gateway: its listener, its engine part, and what the supervisor says."""

    def __init__(self, channel: Channel, listen: Listen, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._listen = listen
        self._board = Board.attach(listen.board_fd, listen.gateways, len(listen.names))
        tallies = {n: self._board.tally(listen.gateway, i) for i, n in enumerate(listen.names)}
        self._gateway = Gateway(loop, tallies, channel.send, listen.gateways)
        self._spans = _open_spans(listen.settings)
        if self._spans is not None:
            for pool in self._gateway.pools.values():
                pool.witness.trace(self._spans)
        self._state = State(listen.started_s, listen.was_ready, bid=self._bid)
        settings = _share(listen.settings, listen.gateways)
        allow_descriptors(settings.max_connections + _OTHER_DESCRIPTORS)
        self._bids: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        peers = Peers(listen.gateway, listen.gateways, _job_folder(listen), channel.send)
        self._app = App(self._gateway, settings, self._board, self._state, peers)
        self._listener = Listener(
            self._app, settings, loop, self._board.connections(listen.gateway), self._app
        )
        self._gateway.clients = self._listener
        self._stopped = loop.create_future()
        self._contexts = [tls.server_context(listen.settings, name) for name in ("http/1.1", "h2")]
        self._is_listening = loop.create_future()
        self._introduced = loop.create_future()
        """The supervisor has named all workers that serve by now."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        """Apart from the others, because they wait for the listening, and that for the others."""

    async def run(self, heard: list[tuple[Message, list[int]]]) -> None:
        """Serve until the supervisor says to leave, or is gone; `heard` is what it has said already."""
        for message, fds in heard:
            self._hear(message, fds)
        self._loop.add_reader(self._channel.fileno(), self._read)
        if self._listen.was_ready:
            await self._meet_all()
        for place, fd in enumerate(self._listen.listener_fds):
            sock, context = socket.socket(fileno=fd), self._contexts[place]
            await self._listener.listen(sock, context, is_grpc=place == 1)
        self._is_listening.set_result(None)
        self._app.jobs.start()
        gc.collect()
        gc.freeze()
        give_back()
        gc.set_threshold(_GC_THRESHOLD, 10, 10)
        await self._stopped
        self._listener.close()
        self._app.jobs.close()
        if self._spans is not None:
            self._spans.close()

    async def _meet_all(self) -> None:
        """Link up with the workers that serve, so that a successor has none to refuse for want of them.

        One whose slot is busy for another gateway, or hangs, is not waited for beyond `_MEET_S`.
        """
        await asyncio.wait((self._introduced, self._stopped), return_when=asyncio.FIRST_COMPLETED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_MEET_S)

    def _read(self) -> None:
        messages = self._channel.read()
        if messages is None:
            self._stop()
            return
        for message, fds in messages:
            self._hear(message, fds)

    def _hear(self, message: Message, fds: list[int]) -> None:
        gateway = self._gateway
        if isinstance(message, Ping):
            self._channel.send(Pong())
            gateway.gauge()  # another gateway may be asked for them
            gateway.report_overdue()
        elif isinstance(message, Join | Suspend | Resume | Part | Forget):
            self._hear_of_a_worker(message, fds)
        elif isinstance(message, Trouble | Load | Unload | Unloaded):
            self._hear_of_a_model(message)
        elif isinstance(message, Fence):
            self._channel.send(Fenced(message.number))
        elif isinstance(message, Obeyed):
            self._bids.pop(message.number).set_result(message.refusal)
        elif isinstance(message, Revoke):
            self._app.jobs.revoked(message.job)
        elif isinstance(message, Ready):
            self._get_ready()
        elif isinstance(message, Adapt):
            self._adapt(message.settings)
        else:
            self._hear_of_the_end(message, fds)

    def _hear_of_a_worker(
        self, message: Join | Suspend | Resume | Part | Forget, fds: list[int]
    ) -> None:
        gateway = self._gateway
        if isinstance(message, Join):
            tasks.start(gateway.join(message, fds), self._tasks)
            self._trace_load(message)
        elif isinstance(message, Part):
            gateway.part(message.worker)
        elif isinstance(message, Forget):
            gateway.forget(message.worker, message.reason)
        else:
            gateway.suspend(message.worker, is_suspended=isinstance(message, Suspend))

    def _hear_of_a_model(self, message: Trouble | Load | Unload | Unloaded) -> None:
        if isinstance(message, Trouble):
            self._gateway.trouble(message.model)
        elif isinstance(message, Unload):
            self._gateway.unload(message.model)
        elif isinstance(message, Unloaded):
            self._gateway.pools[message.model].unloaded()
        else:
            self._gateway.pools[message.model].load()

    def _bid(self, order: Order) -> "asyncio.Future[str]":
        """Ask the supervisor for what an operator asks; the future holds "", or why it was not done."""
        number = next(self._numbers)
        self._bids[number] = self._loop.create_future()
        self._channel.send(Bid(number, order))
        return self._bids[number]

    def _trace_load(self, message: Join) -> None:
        """One gateway makes the span; a successor does not for the workers that it is introduced to."""
        is_new = self._introduced.done() or not self._listen.was_ready
        if self._spans is not None and self._listen.gateway == 0 and is_new:
            load_s = message.loaded.load_s
            self._spans.loaded(message.model, message.worker, load_s, time.monotonic())

    def _hear_of_the_end(self, message: Message, fds: list[int]) -> None:
        if isinstance(message, Drain):
            self._state.is_draining = True
            self._listener.drain()
        elif isinstance(message, Close):
            tasks.start(self._close(), self._closing)
        elif isinstance(message, Finish):
            tasks.start(self._finish(message.grace_s, fds), self._closing)
        elif isinstance(message, Leave):
            self._cut()
            tasks.start(self._leave(), self._tasks)

    def _adapt(self, settings: ServerSettings) -> None:
        settings = _share(settings, self._listen.gateways)
        logs.set_level(settings.log_level)
        if self._spans is not None:
            self._spans.share = settings.traces_share
        try:
            self._app.adapt(settings)
        except ConfigError as e:  # the key file was good when the supervisor looked
            log.error("settings_refused", extra={"reason": e.message})
        else:
            allow_descriptors(settings.max_connections + _OTHER_DESCRIPTORS)
            self._listener.adapt(settings)

    def _get_ready(self) -> None:
        self._state.was_ready = True
        if not self._introduced.done():
            self._introduced.set_result(None)

    async def _close(self) -> None:
        """Accept no more."""
        await self._is_listening
        await self._listener.end_listening()
        self._channel.send(Closed())

    async def _finish(self, grace_s: float, fds: list[int]) -> None:
        """End what is under way."""
        end_at = time.monotonic() + grace_s
        await self._listener.adopt([socket.socket(fileno=fd) for fd in fds])
        while self._has_work and time.monotonic() < end_at:
            await asyncio.sleep(_DRAIN_LOOK_S)
        self._channel.send(Drained(self._gateway.in_flight))

    def _cut(self) -> None:
        """Say to all who still wait that they do so in vain: at once, for next the workers' lines break."""
        self._state.is_draining = True
        self._listener.stop_listening()
        cut = self._gateway.stop()
        if cut:
            log.error("requests_cut", extra={"requests": cut})
        self._listener.give_up()

    async def _leave(self) -> None:
        """End when they have heard it."""
        end_at = time.monotonic() + _FAREWELL_S
        while self._has_work and time.monotonic() < end_at:
            await asyncio.sleep(_DRAIN_LOOK_S)
        self._stop()

    @property
    def _has_work(self) -> bool:
        """Somebody is connected, or a job is under way."""
        return self._listener.connections > 0 or self._app.jobs.under_way > 0

    def _stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)


def allow_descriptors(wanted: int) -> None:
    """Have room for so many descriptors, as far as this user may; most shells give 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("few_descriptors", extra={"allowed": allowed, "wanted": wanted})


def _open_spans(settings: ServerSettings) -> Spans | None:
    """What makes spans, where the settings ask for them; else nothing of it is imported."""
    if not settings.traces:
        return None
    sink = plugins.load("exporters", settings.traces).open_sink(settings.traces_url)
    return Spans(sink, settings.traces_share)


def _job_folder(listen: Listen) -> Path:
    """Where the records of jobs are: at a place of its own for each address that a server listens on."""
    if listen.settings.unix:
        return job_folder(listen.settings, place_label(listen.settings.unix))
    listener = socket.socket(fileno=os.dup(listen.listener_fds[0]))
    with listener:
        host, port = listener.getsockname()[:2]
    return job_folder(listen.settings, f"{host}-{port}")


def _share(settings: ServerSettings, gateways: int) -> ServerSettings:
    """This gateway's part of the limits that hold for the whole server."""
    return dataclasses.replace(
        settings,
        max_connections=max(1, settings.max_connections // gateways),
        max_pending_bytes=max(1, settings.max_pending_bytes // gateways),
    )


async def _serve(channel: Channel, messages: list[tuple[Message, list[int]]]) -> None:
    listen = messages[0][0]
    if isinstance(listen, Listen):
        await Process(channel, listen, asyncio.get_running_loop()).run(messages[1:])


def main(argv: list[str]) -> int:
    """Be a gateway; `argv` holds descriptors (control socket, lifeline), how to log, and the one for errors."""
    # The supervisor decides when a gateway ends; a Ctrl-C at the terminal reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(argv[0])))
    end_with_parent(int(argv[1]))
    logs.set_up(cast("logs.Format", argv[2]), argv[3], process=argv[4])
    logs.report_errors(int(argv[5]), process=argv[4])
    logs.redirect_stdout()
    messages: list[tuple[Message, list[int]]] | None = []
    while messages == []:
        messages = channel.read()
    if not messages:
        return 0
    channel.sock.settimeout(1.0)
    uvloop.run(_serve(channel, messages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
