"""What a peer is: how a server is installed, started, asked and read, as one module.

A module satisfies `Peer`; adding one is one new file here, and its user's code, if it needs any,
as a file in `bench/apps`. Peers import neither their server nor numpy: they run in the
benchmark's own environment.
"""

import importlib
import json
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from bench import envs

Tuning = Mapping[str, str | int]

APPS = Path(__file__).resolve().parent.parent / "apps"
JSON = "application/json"
BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Launch:
    """With what a server is started."""

    python: Path
    """The interpreter of the peer's environment."""
    model: str
    """tiny, minilm or mobilenet."""
    path: Path
    """Its ONNX file."""
    port: int
    variant: str
    tuning: Tuning
    grpc_port: int = 0
    """Where it answers gRPC besides; 0: it need not."""

    def variables(self) -> dict[str, str]:
        """What an app in `bench/apps` reads from its environment."""
        given = {"model": self.model, "path": self.path, "variant": self.variant, **self.tuning}
        return {f"BENCH_{name.upper()}": str(value) for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class Request:
    """One POST."""

    path: str
    body: bytes
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


class Peer(Protocol):
    """The contract of a peer module."""

    REQUIRES: Sequence[str]
    """What pip installs, in order, with versions."""
    VARIANTS: Mapping[str, Sequence[str]]
    """By model, the ways in which this server can be asked; the first is the usual one."""
    IS_ONE_START: bool
    """One running server answers every variant."""
    TUNING: Mapping[str, Tuning]
    """By model, the settings that it is measured with; README.md says which won a sweep."""
    CANDIDATES: Mapping[str, Sequence[Tuning]]
    """By model, what `--sweep` tries."""
    HAS_ANSWERS: bool
    """False for an echo, whose answers are not a model's."""
    FAULTS: Mapping[str, Tuning | str]
    """How it is asked under fault, with a tiny model that is slow: `workers`, two processes that hold
    the model, and `batch`, one of them with batches of four; or why it can't be asked so."""

    def command(self, launch: Launch) -> Sequence[str]:
        """The command line of the server."""
        ...

    def environment(self, launch: Launch) -> Mapping[str, str]:
        """Variables added to the server's environment."""
        ...

    def ask(self, model: str, variant: str, item: Mapping[str, Any]) -> Request:
        """The request about one item (arrays by input name, without batch axis)."""
        ...

    def read(self, model: str, variant: str, body: bytes, output: str) -> Sequence[float]:
        """The named output in an answer, flat."""
        ...


def json_body(item: Mapping[str, Any]) -> bytes:
    """An item as a JSON object of nested lists; float32 in its shortest decimals."""
    fields = (f'"{name}":{_json(value)}' for name, value in item.items())
    return ("{" + ",".join(fields) + "}").encode()


def _json(value: Any) -> str:
    """An array as JSON; numpy's own str of a float32 is the shortest that reads back."""
    if value.ndim > 1:
        return "[" + ",".join(map(_json, value)) + "]"
    return "[" + ",".join(map(str, value)) + "]"


def read_json(body: bytes, output: str) -> Sequence[float]:
    """A named output of a JSON object, flat."""
    found: Sequence[float] = json.loads(body)[output]
    return found


def names() -> list[str]:
    """Every peer that there is a file for."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def open_peer(name: str) -> Peer:
    """The module of a peer."""
    if name not in names():
        raise SystemExit(f"no peer is called {name}; there are {', '.join(names())}")
    return cast(Peer, importlib.import_module(f"{__name__}.{name}"))


def install(name: str) -> Path:
    """The interpreter of a peer's environment, made on first use."""
    return envs.ensure(name, open_peer(name).REQUIRES)
