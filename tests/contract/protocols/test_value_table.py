"""The values that get lost between dialects, through every protocol that asks a model.

Each is asked and answered in every way that the protocol has. It comes back the same, JSON's null stands for what is
not finite, or the protocol says that it can't carry it.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, NamedTuple, cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from headway import plugins
from headway.errors import BadInput, BadOutput
from headway.model.call import Call, Description, Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Codec, Reply, serves, tensorflow_grpc, v2, v2_grpc, vertex_grpc
from headway.protocols._asking import blocks_of
from headway.protocols._protobuf import read, sized, varints, write
from headway.protocols._tensors import DATATYPES, write_binary

Items = Sequence[dict[str, Any]]
Answers = Callable[[Description, Reply, int], list[Any]]


class Way(NamedTuple):
    """One way to ask in a protocol."""

    name: str
    ask: Callable[[Description, Items], Ask]
    read: Answers


# gRPC's, whose clients are others'


def as_v2(outputs: Sequence[tuple[str, str, Sequence[int], bytes]]) -> Reply:
    """Tensors as V2 has them behind a JSON head, which it can read."""
    told = [
        {"name": n, "datatype": d, "shape": list(s), "parameters": {"binary_data_size": len(raw)}}
        for n, d, s, raw in outputs
    ]
    head = msgspec.json.encode({"outputs": told})
    length = ("inference-header-content-length", str(len(head)))
    return Reply(200, head + b"".join(raw for *_, raw in outputs), headers=(length,))


def ask_v2(model: Description, items: Items) -> Ask:
    pieces, raw = [sized(1, model.name.encode())], []
    for name, block in blocks_of(model, items).items():
        told = {"name": name, "datatype": DATATYPES[block.dtype], "shape": block.shape}
        pieces.append(sized(5, write(v2_grpc._INPUT, told)))
        raw.append(sized(7, bytes(write_binary(block))))
    return Ask("infer", model.name, "", b"".join(pieces + raw), {})


def read_v2(model: Description, reply: Reply, count: int) -> list[Any]:
    found = read(v2_grpc._RESPONSE, reply.body)
    raw = found.get("raw_output_contents", [])
    outputs = [
        (o["name"], o["datatype"], shape_of(o), bytes(piece))
        for o, piece in zip(found["outputs"], raw, strict=True)
    ]
    return list(v2.read(model, as_v2(outputs), count))


def shape_of(output: Mapping[str, Any]) -> list[int]:
    return varints(output.get("shape", b""))


def ask_tensorflow(model: Description, items: Items) -> Ask:
    inputs = {}
    for name, block in blocks_of(model, items).items():
        tensor: dict[str, Any] = {
            "dtype": tensorflow_grpc._KINDS[block.dtype].number,
            "tensor_shape": {"dim": [{"size": n} for n in block.shape]},
        }
        if block.dtype == "bytes":
            tensor["string_val"] = [e if isinstance(e, bytes) else e.encode() for e in block.data]
        else:
            tensor["tensor_content"] = bytes(write_binary(block))
        inputs[name] = write(tensorflow_grpc._TENSOR, tensor)
    told = {"model_spec": {"name": model.name}, "inputs": inputs}
    body = write(tensorflow_grpc._message("PredictRequest"), told)
    return Ask("predict", model.name, "", body, {})


def read_tensorflow(model: Description, reply: Reply, count: int) -> list[Any]:
    found = read(tensorflow_grpc._RESPONSE, reply.body)
    outputs = []
    for spec in model.outputs:  # a map has no order
        tensor = found["outputs"][spec.name]
        dtype = tensorflow_grpc._DTYPES[tensor["dtype"]]
        shape = [dim.get("size", 0) for dim in tensor["tensor_shape"].get("dim", ())]
        raw = bytes(tensor.get("tensor_content", b""))
        if dtype == "bytes":
            texts = map(bytes, tensor.get("string_val", ()))
            raw = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        outputs.append((spec.name, DATATYPES[dtype], shape, raw))
    return list(v2.read(model, as_v2(outputs), count))


def ask_vertex(model: Description, items: Items) -> Ask:
    told = {"endpoint": "x", "instances": [vertex_grpc._written(item) for item in items]}
    body = write(vertex_grpc.SCHEMA.message("google.cloud.aiplatform.v1.PredictRequest"), told)
    return Ask("predict", model.name, "", body, {})


def read_vertex(model: Description, reply: Reply, count: int) -> list[Any]:
    message = vertex_grpc.SCHEMA.message("google.cloud.aiplatform.v1.PredictResponse")
    return [vertex_grpc._plain(piece) for piece in read(message, reply.body).get("predictions", ())]


FOREIGN: Mapping[str, Way] = {
    "v2_grpc": Way("raw", ask_v2, read_v2),
    "tensorflow_grpc": Way("tensors", ask_tensorflow, read_tensorflow),
    "vertex_grpc": Way("values", ask_vertex, read_vertex),
}
MODEL_FREE = {"grpc_health", "grpc_reflection", "torchserve_management", "v2_admin"}
"""They ask no model."""
OF_TEXT = {"openai", "v2_generate"}
"""They ask about texts alone; what they can't say has no place in their questions."""


def ways_of(name: str) -> list[Way]:
    codec = plugins.load("protocols", name)
    if name in FOREIGN:
        return [FOREIGN[name]]
    return [
        Way(way, lambda m, items, way=way: codec.ask(m, items, way), codec.read)  # type: ignore[misc]
        for way in getattr(codec, "WAYS", ())
    ]


EVERY = [(n, w) for n in plugins.names("protocols") for w in ways_of(n) if n not in OF_TEXT]


def test_every_protocol_that_asks_a_model_is_here() -> None:
    asked = {name for name, _ in EVERY}
    assert asked | MODEL_FREE | OF_TEXT == set(plugins.names("protocols"))


# The values


@dataclass
class Seen:
    größe: float  # noqa: PLC2401  (such names are what is tried)
    名: str  # noqa: PLC2401


def whole(number: Batch[int]) -> Batch[int]:
    return number


def raw(content: Batch[bytes]) -> Batch[bytes]:
    return content


def texts(text: Batch[str]) -> Batch[str]:
    return text


def named(größe: Batch[float], 名: Batch[str]) -> Batch[Seen]:  # noqa: PLC2401
    return [Seen(g, n) for g, n in zip(größe, 名, strict=True)]


def divided(
    x: Annotated[NDArray[np.float64], Tensor("float64", "batch", 2)],
) -> Annotated[NDArray[np.float64], Tensor("float64", "batch", 2)]:
    with np.errstate(all="ignore"):
        found: NDArray[np.float64] = x / np.zeros_like(x)
    return found


def free(
    x: Annotated[NDArray[np.float32], Tensor("float32", "batch", None)],
) -> Annotated[NDArray[np.float32], Tensor("float32", "batch", None)]:
    return x


def half(
    x: Annotated[NDArray[np.float16], Tensor("float16", "batch", 2)],
) -> Annotated[NDArray[np.float16], Tensor("float16", "batch", 2)]:
    return x


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Case(NamedTuple):
    """What is asked, and the answers in their JSON form."""

    function: Callable[..., Any]
    items: Items
    answers: list[Any]
    refused_by: frozenset[str] = frozenset()
    """Protocols, or protocols and ways, that can't carry it, and say so."""


LARGE = [2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1]
ODD = [b"\xff\x00\xfe", b"", b"\x80"]
CASES: Mapping[str, Case] = {
    "int64 beyond 2^53": Case(
        whole, [{"number": n} for n in LARGE], LARGE, frozenset({"vertex_grpc"})
    ),
    "bytes that are not UTF-8": Case(
        raw, [{"content": base64_of(b)} for b in ODD], [base64_of(b) for b in ODD]
    ),
    "texts of every alphabet": Case(
        texts, [{"text": t} for t in ("é", "日本", "🙂", "\u0000", "")], ["é", "日本", "🙂", "\u0000", ""]
    ),
    "unicode names": Case(
        named, [{"größe": 1.5, "名": "ä"}, {"größe": -2.5, "名": ""}],
        [{"größe": 1.5, "名": "ä"}, {"größe": -2.5, "名": ""}],
    ),
    "outputs that are not finite": Case(
        divided, [{"x": [1.0, -1.0]}, {"x": [0.0, 2.0]}], [[None, None], [None, None]]
    ),
    "dimensions of no elements": Case(free, [{"x": []}, {"x": []}], [[], []]),
    "no items": Case(free, [], []),
    "half precision": Case(
        half, [{"x": [0.5, 65504.0]}, {"x": [-0.0, 6e-8]}],
        [[0.5, 65504.0], [-0.0, float(np.float16(6e-8))]],
        frozenset({"v2 json"}),
    ),
}  # fmt: skip


def answered(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if not call.rows:
        return wire.empty()
    return wire.scatter(function(**wire.gather([(call, None)])), call.rows)


def asked(codec: ModuleType, way: Way, case: Case, items: Items) -> list[Any]:
    wire = Wire(read_signature(case.function), name="it")
    ask = way.ask(wire.description, items)
    call = codec.decode(ask, wire)
    reply = codec.encode(ask, call, answered(case.function, wire, call), wire)
    return way.read(wire.description, reply, len(items))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(("name", "way"), EVERY, ids=[f"{n}-{w.name}" for n, w in EVERY])
def test_the_value_comes_back_or_it_is_told_that_it_can_not(
    name: str, way: Way, case: Case
) -> None:
    codec = plugins.load("protocols", name)
    assert serves(cast("Codec", codec), Wire(read_signature(case.function), name="it").description)
    if case.refused_by & {name, f"{name} {way.name}"}:
        for item in case.items:
            with pytest.raises((BadInput, BadOutput)):
                asked(codec, way, case, [item])
        return
    try:
        found = asked(codec, way, case, case.items)
    except BadInput:  # a dialect whose questions have one item, or at least one
        assert len(case.items) != 1
        found = [answer for item in case.items for answer in asked(codec, way, case, [item])]
    assert found == case.answers
