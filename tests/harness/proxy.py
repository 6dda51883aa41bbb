"""A proxy between client and server that spoils the connection, for real sockets and in no hurry.

delay       each piece waits
trickle     one byte at a time
stall       nothing passes any more after so many bytes
reset       after so many bytes both ends are reset
cut         after so many bytes both ends are closed
half_close  after so many bytes this end is closed for sending, the other way goes on
corrupt     one byte is changed
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one direction of each connection."""

    kind: str = "none"
    after_bytes: int = 0
    """Bytes that pass unharmed first."""
    wait_s: float = 0.0

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


KINDS = ("none", "delay", "trickle", "stall", "reset", "cut", "half_close", "corrupt")


@dataclass
class Proxy:
    """Listens, and connects each client to the target.

    Args:
        port: the target's, on the loopback.
        there: what happens to what clients send.
        back: what happens to what the target sends.
    """

    port: int
    there: Fault = field(default_factory=Fault)
    back: Fault = field(default_factory=Fault)
    own_port: int = 0
    connections: int = 0
    faults: int = 0
    """Directions to which it happened; 0 is a run that says nothing."""
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.own_port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        both = (writer, far_writer)
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, self.there, both),
                self._carry(far_reader, writer, self.back, both),
            )
        finally:
            for end in both:
                end.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: Fault,
        both: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        """Carry one direction until its end, or until its fault ends it."""
        passed, is_struck = 0, False
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                whole = data[: max(0, fault.after_bytes - passed)]
                rest = data[len(whole) :]
                passed += len(data)
                writer.write(whole)
                if rest and fault.kind != "none":
                    self.faults += not is_struck
                    if await self._strike(rest, writer, fault, both, is_first=not is_struck):
                        return
                    is_struck = True
                else:
                    writer.write(rest)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    async def _strike(
        self,
        data: bytes,
        writer: asyncio.StreamWriter,
        fault: Fault,
        both: tuple[asyncio.StreamWriter, ...],
        *,
        is_first: bool,
    ) -> bool:
        """Do the fault to some bytes; whether this direction is over."""
        if fault.kind == "trickle":
            for i in range(len(data)):
                writer.write(data[i : i + 1])
                await asyncio.sleep(fault.wait_s)
        elif fault.kind == "delay":
            await asyncio.sleep(fault.wait_s)
            writer.write(data)
        elif fault.kind == "corrupt":
            writer.write((bytes([data[0] ^ 0x20]) if is_first else data[:1]) + data[1:])
        elif fault.kind == "half_close":
            writer.write_eof()
            return True
        elif fault.kind == "stall":
            await asyncio.sleep(3600)
        else:
            await writer.drain()
            for end in both:
                hang_up(end, is_rude=fault.kind == "reset")
            return True
        return False


def hang_up(writer: asyncio.StreamWriter, *, is_rude: bool) -> None:
    """Close a connection, rudely with an RST."""
    if is_rude:
        sock: socket.socket = writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
