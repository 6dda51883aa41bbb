"""A client that sends whatever it is told and reads answers strictly, byte by byte. Not a test."""

import contextlib
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9a-z]+): ([\t\x20-\x7e\x80-\xff]*)")
_PIECE_BYTES = 256 * 1024


class ClosedError(Exception):
    """The server has closed the connection where an answer may begin."""


@dataclass(frozen=True, slots=True)
class Told:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Raw:
    """One connection."""

    def __init__(self, port: int, timeout_s: float) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._timeout_s = timeout_s
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send all of it, or as much as the server takes before it answers or leaves."""
        view = memoryview(data)
        self.sock.settimeout(0.02)
        end_at = time.monotonic() + self._timeout_s
        try:
            while view:
                try:
                    view = view[self.sock.send(view[:_PIECE_BYTES]) :]
                except TimeoutError:
                    self._look()
                    if self._seen.startswith(b"HTTP/1.1 4") or time.monotonic() > end_at:
                        return
        except (ConnectionError, BrokenPipeError):
            return
        finally:
            self.sock.settimeout(self._timeout_s)

    def _look(self) -> None:
        with contextlib.suppress(TimeoutError):
            self._seen += self.sock.recv(_PIECE_BYTES)

    def read(self, *, is_bodiless: bool = False) -> Told:
        """Read the next answer; interim ones are passed over.

        Raises:
            ClosedError: there is none.
            TimeoutError: it did not come in time.
        """
        head = self._until(b"\r\n\r\n")
        start, *lines = head[:-4].split(b"\r\n")
        match = _STATUS.fullmatch(start)
        assert match, f"a malformed status line: {start!r}"
        status = int(match[1])
        fields = [_FIELD.fullmatch(line) for line in lines]
        assert all(fields), f"a malformed header: {head!r}"
        headers = {f[1].decode(): f[2].decode("latin-1") for f in fields if f}
        assert len(headers) == len(lines), f"a header is given twice: {head!r}"
        if status < 200:
            return self.read(is_bodiless=is_bodiless)
        if is_bodiless or status in (204, 304):
            return Told(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Told(status, headers, self._chunks())
        return Told(status, headers, self._exactly(int(headers["content-length"])))

    def is_closed(self) -> bool:
        """Wait for the end of the connection; False if bytes come, or nothing at all."""
        try:
            return not self._seen and self.sock.recv(1) == b""
        except ConnectionError:
            return not self._seen
        except TimeoutError:
            return False

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"
        return body

    def _until(self, mark: bytes) -> bytes:
        while (at := self._seen.find(mark)) < 0:
            self._more()
        found, self._seen = self._seen[: at + len(mark)], self._seen[at + len(mark) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._seen) < size:
            self._more()
        found, self._seen = self._seen[:size], self._seen[size:]
        return found

    def _more(self) -> None:
        try:
            data = self.sock.recv(_PIECE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            assert not self._seen, f"the connection ended in an answer: {self._seen[:200]!r}"
            raise ClosedError
        self._seen += data


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request in good order."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: localhost",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
