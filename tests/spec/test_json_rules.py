"""What JSON leaves open (RFC 8259), decided once: every path to a model must agree.

Small bodies are read by msgspec, large arrays of numbers by simdjson, V2's data by either.
"""

import itertools
import json
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headway.errors import BadInput
from headway.model.call import Call
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


def test_large_data_that_is_given_again_is_refused_by_v2() -> None:
    """It was set aside to be read once; then nobody asks for it, and it isn't dropped in silence."""
    for again in (b'"b"', b'"' + b"b" * LARGE + b'"'):
        body = v2_text(again, before=b'"data":["' + b"a" * LARGE + b'"],')
        with pytest.raises(BadInput, match="data in an input, once"):
            v2.decode(ask(body), TEXTS)
