"""A reverse proxy that shows a server below a path, as small as can be. Not a test.

It takes the path out of each head, or leaves it there, and passes on everything else as it comes, so that streams and
uploads go through. A thread a connection, and one request on each.
"""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase

_HEAD = re.compile(rb"(?P<method>[A-Z]+) (?P<path>/\S*) HTTP/1\.1\r\n")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_PIECE_BYTES = 1 << 16


@contextmanager
def proxying(port: int, path: str, *, is_stripping: bool) -> Iterator[int]:
    """The port of a proxy that shows the server of another port below this path, and nothing beside it.

    It ends when all its clients have left.
    """
    root = path.encode()

    def inner(asked: bytes) -> bytes | None:
        if asked != root and not asked.startswith(root + b"/"):
            return None
        return asked.removeprefix(root) or b"/" if is_stripping else asked

    class Passing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = _read_head(self.rfile)
            found = _HEAD.match(head)
            target = inner(found["path"]) if found else None
            if found is None or target is None:
                self.wfile.write(_NOT_FOUND if head else b"")
                return
            start = b"%b %b HTTP/1.1\r\nconnection: close\r\n" % (found["method"], target)
            fields = re.sub(rb"(?im)^connection:.*\r\n", b"", head[found.end() :])
            with socket.create_connection(("127.0.0.1", port), timeout=60) as ours:
                ours.sendall(start + fields)
                up = threading.Thread(target=_pump, args=(self.rfile.read1, ours))
                up.start()
                _pump(ours.recv, self.connection)
                with contextlib.suppress(OSError):  # it has left
                    self.connection.shutdown(socket.SHUT_RDWR)
                up.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passing) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield proxy.server_address[1]
        finally:
            proxy.shutdown()
            serving.join()


def _read_head(source: BufferedIOBase) -> bytes:
    """A head with its empty line, or what there is of it."""
    head = b""
    with contextlib.suppress(ConnectionError):
        while line := source.readline():
            head += line
            if line == b"\r\n":
                break
    return head


def _pump(read: Callable[[int], bytes], sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := read(_PIECE_BYTES):
            sink.sendall(data)
