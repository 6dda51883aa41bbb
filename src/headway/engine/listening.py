"""A listening socket is shared by several processes; who waits in it is lost when the last of them closes it."""

import contextlib
import socket
from collections.abc import Iterator


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in a listening socket now."""
    listener.setblocking(False)
    with contextlib.suppress(OSError):  # BlockingIOError: that was the last one
        while True:
            sock, _ = listener.accept()
            sock.setblocking(False)
            yield sock
