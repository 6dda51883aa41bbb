"""What a question costs its caller: `python -m bench.asking [--calls N] [--rounds N]` prints microseconds a call.

On loopback, a predictor that answers at once, one connection that stays open; the least mean of the rounds, ways in
turn. httpx is measured where it is installed. Needs Headway and numpy.
"""

import argparse
import asyncio
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import headway

PREDICTORS = """
from typing import Annotated
import numpy as np
from numpy.typing import NDArray
import headway as hw

Numbers = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None)]

def echo(text: str) -> str:
    return text

def first(x: Numbers) -> Annotated[NDArray[np.float32], hw.Tensor("float32", "batch")]:
    return x[:, 0]
"""
PROJECT = "models:\n  echo: {predictor: at_once.py:echo}\n  first: {predictor: at_once.py:first}\n"
QUESTION = {"text": "fine"}
SIZES = (256, 1024, 4096, 150528)
"""float32 numbers of an item."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as port:
        ways = {**_blocking(port), **_asyncio(port)}
        print("| way | µs a call |\n|---|---|")
        for name, cost in _least(ways, asked.calls, asked.rounds).items():
            print(f"| {name} | {cost:,.0f} |", flush=True)
        print("\n| a float32 array of an item | as JSON | as V2 binary |\n|---|---|---|")
        for size in SIZES:
            calls = max(10, asked.calls * SIZES[0] // size)
            json_us, binary_us = _least(_arrays(port, size), calls, asked.rounds).values()
            print(f"| {size * 4 / 1024:g} KiB | {json_us:,.0f} | {binary_us:,.0f} |", flush=True)


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    """A server of its own; gives its port."""
    (folder / "at_once.py").write_text(PREDICTORS)
    (folder / "headway.yaml").write_text(PROJECT)
    command = [sys.executable, "-m", "headway", "serve", ".", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["port"])
        finally:
            process.terminate()


Run = Callable[[int], None]
"""Asks so many times."""


def _least(ways: dict[str, Run], calls: int, rounds: int) -> dict[str, float]:
    """The least mean of each way, in microseconds a call."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, run in ways.items():
            run(calls // 10)
            started = time.perf_counter()
            run(calls)
            found[name] = min(found[name], (time.perf_counter() - started) / calls * 1e6)
    return found


def _often(ask: Callable[[], Any]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls):
            ask()

    return run


def _blocking(port: int) -> dict[str, Run]:
    url, path = f"http://127.0.0.1:{port}", "/models/echo/predict"
    echo = headway.Client(url).model("echo")
    plain = http.client.HTTPConnection("127.0.0.1", port)
    head = {"content-type": "application/json"}

    def by_http_client() -> Any:
        plain.request("POST", path, json.dumps(QUESTION).encode(), head)
        return json.loads(plain.getresponse().read())

    body = json.dumps(QUESTION).encode()
    lines = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    raw = f"{lines}content-length: {len(body)}\r\n\r\n".encode() + body
    bare = socket.create_connection(("127.0.0.1", port))

    def by_socket() -> None:
        bare.sendall(raw)
        bare.recv(65536)

    ways: dict[str, Callable[[], Any]] = {
        "`Client`": lambda: echo(**QUESTION),
        "`http.client`, with `json`": by_http_client,
    }
    if find_spec("httpx"):
        import httpx  # noqa: PLC0415

        other = httpx.Client()
        ways["`httpx.Client`"] = lambda: other.post(url + path, json=QUESTION).json()
    ways["a bare socket, nothing parsed"] = by_socket
    return {name: _often(ask) for name, ask in ways.items()}


def _asyncio(port: int) -> dict[str, Run]:
    """Each way opens its connection anew in each run, within what its first tenth has warmed up."""
    url, path = f"http://127.0.0.1:{port}", "/models/echo/predict"

    async def by_client(calls: int) -> None:
        async with headway.AsyncClient(url) as client:
            echo = client.model("echo")
            for _ in range(calls):
                await echo(**QUESTION)

    ways: dict[str, Callable[[int], Any]] = {"`AsyncClient`": by_client}
    if find_spec("httpx"):
        import httpx  # noqa: PLC0415

        async def by_httpx(calls: int) -> None:
            async with httpx.AsyncClient() as client:
                for _ in range(calls):
                    (await client.post(url + path, json=QUESTION)).json()

        ways["`httpx.AsyncClient`"] = by_httpx
    return {name: lambda calls, run=run: asyncio.run(run(calls)) for name, run in ways.items()}


def _arrays(port: int, size: int) -> dict[str, Run]:
    first = headway.Client(f"http://127.0.0.1:{port}").model("first")
    item = np.random.default_rng(7).random(size, np.float32)
    return {
        "json": _often(lambda: first(x=item.tolist())),
        "binary": _often(lambda: first.arrays(x=item[np.newaxis])),
    }


if __name__ == "__main__":
    main()
