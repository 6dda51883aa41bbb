"""A listening socket is shared by several processes; who waits in it is lost when the last of them closes it."""

import logging
import socket
from collections.abc import Iterator

log = logging.getLogger(__name__)


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in a listening socket now."""
    listener.setblocking(False)
    while True:
        try:
            sock, _ = listener.accept()
        except ConnectionAbortedError:  # this one has left meanwhile
            continue
        except BlockingIOError:  # that was the last one
            return
        except OSError as e:
            log.error("accept_failed", extra={"reason": str(e)})
            return
        sock.setblocking(False)
        yield sock
