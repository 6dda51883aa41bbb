"""Two small models that codecs are asked about, and the golden questions and answers of each codec."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pytest
from contract.facts import facts_of, route_of
from numpy.typing import NDArray

from headway import plugins
from headway.errors import UnknownModel
from headway.model.call import Call, Result
from headway.model.marks import Batch, Reject, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Codec, Ordering, Reply

GOLDEN = Path(__file__).parents[2] / "golden" / "protocols"


@dataclass
class Shouted:
    text: str
    total: float


def shout(
    text: Batch[str], numbers: Annotated[NDArray[np.float32], Tensor("float32", "batch", 2)]
) -> Batch[Shouted | Reject]:
    """Shout the text and add the numbers."""
    sums = numbers.sum(axis=1).tolist()
    return [
        Shouted(t.upper(), total) if t else Reject("no text")
        for t, total in zip(text, sums, strict=True)
    ]


def embed(
    text: Batch[str],
) -> Annotated[NDArray[np.float32], Tensor("float32", "batch", 3)]:
    """Turn texts into vectors."""
    rows = [[len(t), t.count("a"), np.nan if t == "nan" else 0.5] for t in text]
    return np.asarray(rows, np.float32).reshape(len(text), 3)


MODELS: Mapping[str, Callable[..., Any]] = {"shout": shout, "embed": embed}
Perform = Callable[[ModuleType, Ask], Reply]


@pytest.fixture(scope="session")
def wires() -> Mapping[str, Wire]:
    """By model."""
    return {name: Wire(read_signature(f), name=name) for name, f in MODELS.items()}


@pytest.fixture(scope="session")
def wire(wires: Mapping[str, Wire]) -> Wire:
    return wires["shout"]


@pytest.fixture(scope="session")
def perform(wires: Mapping[str, Wire]) -> Perform:
    """Ask the model through a codec, as the engine does for a grab of one request."""

    def ask_it(module: ModuleType, ask: Ask) -> Reply:
        codec: Codec = module
        wire = wires.get(ask.model, wires["shout"])
        route = route_of(codec, ask)
        if route is not None and route.is_local:
            return codec.answer(ask, facts_of(wire))
        if route is not None and route.is_admin:
            ordering: Ordering = module
            order = ordering.order(ask, facts_of(wire))
            if order.model not in ("", "shout"):
                raise UnknownModel(model=order.model, known="shout")
            return ordering.obeyed(ask, facts_of(wire))
        call = codec.decode(ask, wire)
        return codec.encode(ask, call, answer_of(call, wire), wire)

    def answer_of(call: Call, wire: Wire) -> Result:
        if not call.rows:
            return wire.empty()
        function = MODELS[wire.description.name]
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)

    return ask_it


@dataclass(frozen=True)
class Golden:
    """A question and the whole answer that it must get; "model" names another one, or none."""

    name: str
    ask: Ask
    reply: Reply

    @staticmethod
    def read(path: Path) -> "Golden":
        """Read `NAME.json`; a body is `text`, or `base64` where it is not text."""
        said = json.loads(path.read_text())
        asked, answered = said["ask"], said["reply"]
        ask = Ask(
            asked.get("op"),
            asked.get("model", "shout"),
            asked.get("version", ""),
            _body(asked),
            asked.get("headers", {}),
            asked.get("query", ""),
            "id-1",
        )
        headers = tuple((k, v) for k, v in answered.get("headers", {}).items())
        reply = Reply(answered["status"], _body(answered), answered["content_type"], headers)
        return Golden(f"{path.parent.name}-{path.stem}", ask, reply)


def _body(said: Mapping[str, Any]) -> bytes:
    if "base64" in said:
        return base64.b64decode(said["base64"])
    return str(said.get("text", "")).encode()


def golden_of(protocol: str) -> list[Golden]:
    return [Golden.read(p) for p in sorted((GOLDEN / protocol).glob("*.json"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for every protocol of the folder, and for every golden file of each."""
    protocols = plugins.names("protocols")
    if "golden" in metafunc.fixturenames:
        pairs = [(p, g) for p in protocols for g in golden_of(p)]
        ids = [g.name for _, g in pairs]
        metafunc.parametrize(("codec_name", "golden"), pairs, ids=ids)
    elif "codec_name" in metafunc.fixturenames:
        metafunc.parametrize("codec_name", protocols)


@pytest.fixture
def codec(codec_name: str) -> ModuleType:
    return plugins.load("protocols", codec_name)
