"""A receiver of webhooks, as a process of its own: it notes what it is told, and answers as the path says.

    /hooks/ok        200
    /hooks/fails/N   500 for the first N times, then 200
    /hooks/gone      404
    /hooks/to/URL    302 there
    /hooks/slow      takes the request and never answers
    /hooks/endless   a head that never ends
    /hooks/noise     what is no HTTP

Run as a script it prints its port; `receiving` starts it. Not a test.
"""

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from serving import wait_until


class Hooks(BaseHTTPRequestHandler):
    """What a receiver may do."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        told = {
            "path": self.path,
            "at": time.monotonic(),
            "headers": {k.lower(): v for k, v in self.headers.items()},
            "body": json.loads(body),
        }
        with Path(sys.argv[1]).open("a") as file:
            file.write(json.dumps(told) + "\n")
        _, _, kind, *more = self.path.split("/", 4)
        if kind == "slow":
            time.sleep(60)
        elif kind == "endless":
            self.endless()
        elif kind == "noise":
            self.wfile.write(b"220 welcome\r\n\r\n")
        else:
            self.answer(kind, more)

    def answer(self, kind: str, more: list[str]) -> None:
        seen = sum(t["path"] == self.path for t in read(Path(sys.argv[1])))
        is_failing = kind == "fails" and seen <= int(more[0])
        status = {"gone": 404, "to": 302}.get(kind, 500 if is_failing else 200)
        self.send_response(status)
        if kind == "to":
            self.send_header("location", "/".join(more))
        self.send_header("content-length", "0")
        self.end_headers()

    def endless(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"x: " + b"y" * 4096 + b"\r\n")
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


class Receiver:
    """A receiver that was started."""

    def __init__(self, port: int, notes: Path) -> None:
        self.port = port
        self._notes = notes

    @property
    def place(self) -> str:
        """What an operator allows."""
        return f"http://127.0.0.1:{self.port}/hooks/"

    def told(self, kind: str = "") -> list[dict[str, Any]]:
        """What it was told on a path, in order."""
        return [t for t in read(self._notes) if kind in t["path"]]

    def wait_for(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.told(kind)) >= count, f"{count} were told on {kind}")
        return self.told(kind)


def read(notes: Path) -> list[dict[str, Any]]:
    lines = notes.read_text().split("\n") if notes.exists() else []
    return [json.loads(line) for line in lines[:-1]]


@contextmanager
def receiving(folder: Path, port: int = 0) -> Iterator[Receiver]:
    """A receiver, until the end of the block."""
    notes = folder / "told.jsonl"
    command = [sys.executable, __file__, str(notes), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield Receiver(int(process.stdout.readline()), notes)
        finally:
            process.kill()


def free_port() -> int:
    """A port where nobody answers, yet, and that the kernel gives to nobody who asks for any."""
    for port in random.sample(range(20_000, 32_000), 100):
        if is_free(port):
            return port
    raise OSError("no port is free")


def is_free(port: int) -> bool:
    """Whether a server may have it."""
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Hooks)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
