"""The supervisor's end of a control channel: it never waits for who is at the other end.

What a child does not take at once is kept, up to a limit, and sent when there is room. A child that leaves more than
that untaken hangs. Reading is the channel's.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

from headway.engine.channel import Channel, pieces
from headway.engine.messages import Message

MOST_WAITING_BYTES = 1 << 20
"""What may wait already when something more is said."""


class Mailbox(Channel):
    """A channel whose `send` never blocks.

    Args:
        sock: our end.
        loop: tells when there is room again.
        overflowed: told once, when more waits than a child that lives would leave untaken.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        overflowed: Callable[[], object],
    ) -> None:
        super().__init__(sock)
        sock.setblocking(False)
        self._loop = loop
        self._overflowed: Callable[[], object] | None = overflowed
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._waiting_bytes = 0

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Say something, now or later; False if the other end is gone, or hangs."""
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self._give_up()
            return False
        for data, riding in pieces(message, fds):
            # The caller closes its own when we return, and this may wait for longer.
            self._waiting.append((data, [os.dup(fd) for fd in riding]))
            self._waiting_bytes += len(data)
        return self._flush()

    def close(self) -> None:
        """Close this end, and drop what was never taken."""
        self._drop()
        super().close()

    def _flush(self) -> bool:
        while self._waiting:
            data, fds = self._waiting[0]
            try:
                sent = socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self.sock, self._flush)
                return True
            except OSError:  # it has hung up; who reads learns of it
                self._drop()
                return False
            for fd in fds:
                os.close(fd)
            self._waiting_bytes -= sent
            self._waiting[0] = (data[sent:], [])
            if sent == len(data):
                self._waiting.popleft()
        self._loop.remove_writer(self.sock)
        return True

    def _give_up(self) -> None:
        overflowed, self._overflowed = self._overflowed, None
        if overflowed is not None:
            overflowed()

    def _drop(self) -> None:
        if self.sock.fileno() >= 0:
            self._loop.remove_writer(self.sock)
        for _, fds in self._waiting:
            for fd in fds:
                os.close(fd)
        self._waiting.clear()
        self._waiting_bytes = 0
