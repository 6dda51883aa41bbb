"""What JSON leaves open (RFC 8259), decided once: every path to a model must agree.

Small bodies are read by msgspec, large arrays of numbers by simdjson, V2's data by either.
"""

import itertools
import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headway.errors import BadInput
from headway.model.call import Call, Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import BULK_BYTES, Wire
from headway.protocols import Ask, native, v2
from headway.protocols._tensors import LARGE_BYTES

LARGE = 2 * max(BULK_BYTES, LARGE_BYTES)
Row = Annotated[NDArray[np.float64], Tensor("float64", "batch", None)]


def texts(text: Batch[str]) -> Batch[str]:
    return text


def arrays(x: Row) -> Row:
    return x


def anything(thing: dict[str, Any]) -> str:
    return ""


TEXTS = Wire(read_signature(texts))
ARRAYS = Wire(read_signature(arrays))
ANYTHING = Wire(read_signature(anything))
Path = Callable[[bytes], Call]


def ask(body: bytes, query: str = "") -> Ask:
    return Ask("infer", "m", "", body, {}, query)


def v2_text(string: bytes, before: bytes = b"") -> bytes:
    head = b'{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES",'
    return head + before + b'"data":[' + string + b"]}]}"


PATHS: dict[str, Path] = {
    "native": lambda s: native.decode(ask(b'{"text":' + s + b"}"), TEXTS),
    "native, rows": lambda s: native.decode(ask(b'[{"text":' + s + b"}]"), TEXTS),
    "native, a name": lambda s: native.decode(ask(b"{" + s + b':"a"}'), TEXTS),
    "native, any JSON": lambda s: native.decode(ask(b'{"thing":{"a":[' + s + b"]}}"), ANYTHING),
    "V2": lambda s: v2.decode(ask(v2_text(s)), TEXTS),
    "V2, the id": lambda s: v2.decode(ask(v2_text(b'"a"')[:-1] + b',"id":' + s + b"}"), TEXTS),
    "V2, JSON in a text": lambda s: v2.decode(
        ask(
            b'{"inputs":[{"name":"thing","shape":[1],"datatype":"BYTES","data":['
            + json.dumps('{"a":' + s.decode("latin-1") + "}").encode()
            + b"]}]}"
        ),
        ANYTHING,
    ),
}
SURROGATES = {
    "high": rb"\ud800",
    "low": rb"\udfff",
    "high and text": rb"\uD83Dabcdefgh",
    "two high": rb"\ud800\ud800",
    "wrong order": rb"\ude00\ud83d",
    "after a pair": rb"\ud83d\ude00\ud83d",
}


@pytest.mark.parametrize(
    ("path", "name", "length"), list(itertools.product(PATHS, SURROGATES, (0, LARGE)))
)
def test_a_lone_surrogate_is_refused_by_its_name(path: str, name: str, length: int) -> None:
    string = b'"' + b"a" * length + SURROGATES[name] + b'"'
    with pytest.raises(BadInput, match=r"lone surrogate .* UTF-8"):
        PATHS[path](string)


@pytest.mark.parametrize("path", [p for p in PATHS if p != "V2, JSON in a text"])
@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"\xff", b"\xc0\x80"])
@pytest.mark.parametrize("length", [0, LARGE])
def test_bytes_that_are_not_utf_8_are_refused_by_that_name(
    path: str, raw: bytes, length: int
) -> None:
    with pytest.raises(BadInput, match="not valid UTF-8"):
        PATHS[path](b'"' + b"a" * length + raw + b'"')


def test_a_body_that_was_cut_off_is_not_taken_for_a_surrogate() -> None:
    with pytest.raises(BadInput, match="truncated"):
        native.decode(ask(rb'{"text":"\ud83d\ude00"'), TEXTS)


@pytest.mark.parametrize("length", [1, LARGE])
def test_of_a_name_given_twice_the_last_wins_in_native(length: int) -> None:
    first, last = [1.0] * length, [2.0] * length
    twice = f'{{"x":{first},"x":{last}}}'
    for body in (twice, f"[{twice}]"):
        call = native.decode(ask(body.encode()), ARRAYS)
        assert ARRAYS.gather([(call, None)])["x"].tolist() == [last]
    twice = f'{{"text":"{"a" * length}","text":"{"b" * length}"}}'
    call = native.decode(ask(twice.encode()), TEXTS)
    assert call.columns["text"] == ["b" * length]
    call = native.decode(ask(f'{{"thing":{twice}}}'.encode()), ANYTHING)
    assert call.columns["thing"] == [{"text": "b" * length}]


@pytest.mark.parametrize("length", [1, LARGE])
def test_of_data_given_twice_the_last_wins_in_v2_whoever_reads_it(length: int) -> None:
    first, last = [1.0], [2.0] * length
    tensor = {"name": "x", "shape": [1, length], "datatype": "FP64", "data": last}
    twice = json.dumps(tensor).replace('"data"', f'"data": {first}, "data"')
    call = v2.decode(ask(f'{{"inputs":[{twice}]}}'.encode()), ARRAYS)
    assert ARRAYS.gather([(call, None)])["x"].tolist() == [last]
    body = v2_text(b'"' + b"b" * length + b'"', before=b'"data":["a"],')
    assert v2.decode(ask(body), TEXTS).columns["text"] == ["b" * length]


ODD = (math.nan, math.inf, -math.inf)


@dataclass
class Report:
    value: float
    ratio: float


def one(a: int) -> float:
    return 0.0


def report(a: int) -> Report:
    return Report(0, 0)


def named(a: int) -> dict[str, float]:
    return {}


def some(a: int) -> list[float]:
    return []


def row(a: int) -> Annotated[NDArray[np.float64], Tensor("float64", 1)]:
    return np.zeros(1)


def counting(a: int) -> Iterator[float]:
    yield 0.0


ANSWERS: list[tuple[Any, Callable[[float], Any], str]] = [
    (one, lambda odd: odd, "null"),
    (report, lambda odd: Report(odd, 1.0), '{"value":null,"ratio":1.0}'),
    (named, lambda odd: {"a": odd, "b": 1.0}, '{"a":null,"b":1.0}'),
    (some, lambda odd: [odd, 1.0], "[null,1.0]"),
    (row, lambda odd: np.array([odd]), "[null]"),
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("function", "make", "told"), ANSWERS)
def test_a_number_that_json_lacks_is_null_in_every_dialect(
    function: Any, make: Callable[[float], Any], told: str, odd: float
) -> None:
    wire = Wire(read_signature(function))
    result = Result([wire.check_item(make(odd))])
    call = Call(1, {}, is_single=True)
    assert native.encode(ask(b""), call, result, wire).body.decode() == told
    outputs = json.loads(v2.encode(ask(b""), call, result, wire).body)["outputs"]
    data = outputs[0]["data"]
    is_json = outputs[0].get("parameters") == {"content_type": "json"}
    assert data == ([told] if is_json else [None])


@pytest.mark.parametrize("odd", ODD)
def test_a_number_that_json_lacks_is_null_in_a_stream_of_every_dialect(odd: float) -> None:
    wire = Wire(read_signature(counting))
    call = Call(1, {}, memo=v2._JSON_ONLY)
    assert native.chunk(ask(b""), call, odd, wire) == b"null\n"
    assert b'"data":[null]' in v2.chunk(ask(b""), call, odd, wire)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("function", [one, row])
def test_a_number_that_json_lacks_is_exact_in_binary(function: Any, odd: float) -> None:
    wire = Wire(read_signature(function))
    value = np.array([odd]) if function is row else odd
    call = Call(1, {}, memo=v2._Memo(is_binary=True))
    reply = v2.encode(ask(b""), call, Result([wire.check_item(value)]), wire)
    assert reply.body.endswith(struct.pack("<d", odd))


def test_large_data_that_is_given_again_is_refused_by_v2() -> None:
    """It was set aside to be read once; then nobody asks for it, and it isn't dropped in silence."""
    for again in (b'"b"', b'"' + b"b" * LARGE + b'"'):
        body = v2_text(again, before=b'"data":["' + b"a" * LARGE + b'"],')
        with pytest.raises(BadInput, match="data in an input, once"):
            v2.decode(ask(body), TEXTS)
