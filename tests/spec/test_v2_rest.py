"""The Open Inference Protocol V2 over REST: what must be answered, and what refused with 400.

Texts: kserve/open-inference-protocol, inference_rest.md; triton-inference-server/server,
docs/protocol/extension_binary_data.md.
"""

import itertools
import json
import struct
from typing import Any

import numpy as np
import pytest

from headway.errors import HeadwayError, NotReady, QueueFull
from headway.model.call import TensorSpec
from headway.model.marks import Batch
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, Plan, Reply, Stats, v2

LENGTH = "inference-header-content-length"
MANY = 1_000_000


class Echo:
    """A model of many types: it answers what it was asked."""

    def __init__(self, *specs: TensorSpec, max_rows: int = 65_536) -> None:
        outputs = [TensorSpec(s.name, s.dtype, s.shape) for s in specs]
        self.wire = Wire(of_tensors("echo", specs, outputs), name="echo")
        self.wire.max_rows = max_rows

    def ask(self, body: bytes, headers: dict[str, str] | None = None) -> Reply:
        ask = Ask("infer", "echo", "", body, headers or {}, "", "id-1")
        try:
            call = v2.decode(ask, self.wire)
            if not call.rows:
                return v2.encode(ask, call, self.wire.empty(), self.wire)
            answer = self.wire.gather([(call, None)])
            return v2.encode(ask, call, self.wire.scatter(answer, call.rows), self.wire)
        except HeadwayError as e:
            return v2.render(ask, e)

    def ask_json(self, **request: Any) -> Reply:
        return self.ask(json.dumps(request).encode())

    def ask_binary(self, head: dict[str, Any], *tails: bytes, length: str | None = None) -> Reply:
        text = json.dumps(head).encode()
        said = str(len(text)) if length is None else length
        return self.ask(text + b"".join(tails), {LENGTH: said})


X = {"name": "x", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
Y = {"name": "y", "shape": [1, 3], "datatype": "INT64", "data": [5, 6, 7]}
XB = {"name": "x", "shape": [1, 2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
YB = {"name": "y", "shape": [1, 3], "datatype": "INT64", "parameters": {"binary_data_size": 24}}
X_BYTES = struct.pack("<4f", 1, 2, 3, 4)
Y_BYTES = struct.pack("<3q", 5, 6, 7)


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo(TensorSpec("x", "float32", (2, 2)), TensorSpec("y", "int64", (-1,)))


def outputs_of(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    head = json.loads(reply.body[: int(dict(reply.headers).get(LENGTH, len(reply.body)))])
    return {o["name"]: o for o in head["outputs"]}


def assert_refused(reply: Reply) -> None:
    assert reply.status == 400, reply.body
    said = json.loads(reply.body)
    assert list(said) == ["error"]
    assert said["error"]


# Inference in JSON


def test_nested_and_flat_data_give_equal_tensors(echo: Echo) -> None:
    flat = echo.ask_json(inputs=[X, Y])
    nested = echo.ask_json(inputs=[{**X, "data": [[[1, 2], [3, 4]]]}, {**Y, "data": [[5, 6, 7]]}])
    assert outputs_of(flat) == outputs_of(nested)
    assert outputs_of(flat)["x"]["data"] == [1, 2, 3, 4]


def test_zero_size_dimensions_are_legal(echo: Echo) -> None:
    free = outputs_of(echo.ask_json(inputs=[X, {**Y, "shape": [1, 0], "data": []}]))
    assert (free["y"]["shape"], free["y"]["data"]) == ([1, 0], [])
    none = [{**X, "shape": [0, 2, 2], "data": []}, {**Y, "shape": [0, 3], "data": []}]
    assert outputs_of(echo.ask_json(inputs=none))["x"]["shape"] == [0, 2, 2]


@pytest.mark.parametrize("id_", ["42", "", 'a"\n\u0001é', "x" * 256])
def test_the_id_is_echoed_verbatim(echo: Echo, id_: str) -> None:
    assert json.loads(echo.ask_json(id=id_, inputs=[X, Y]).body)["id"] == id_


def test_no_id_is_answered_where_none_was_given(echo: Echo) -> None:
    assert "id" not in json.loads(echo.ask_json(inputs=[X, Y]).body)


def test_only_the_wanted_outputs_are_answered(echo: Echo) -> None:
    assert list(outputs_of(echo.ask_json(inputs=[X, Y], outputs=[{"name": "y"}]))) == ["y"]
    assert list(outputs_of(echo.ask_json(inputs=[X, Y], outputs=[]))) == ["x", "y"]


def test_integers_of_64_bits_are_exact(echo: Echo) -> None:
    for value in (2**63 - 1, -(2**63), 2**53 + 1):
        for count in (3, 5000):
            tensor = {**Y, "shape": [1, count], "data": [value] * count}
            assert outputs_of(echo.ask_json(inputs=[X, tensor]))["y"]["data"] == [value] * count


BAD_REQUESTS: dict[str, Any] = {
    "no inputs": {},
    "empty inputs": {"inputs": []},
    "an input twice": {"inputs": [X, Y, X]},
    "an unknown input": {"inputs": [X, Y, {**X, "name": "z"}]},
    "a missing input": {"inputs": [X]},
    "an output twice": {"inputs": [X, Y], "outputs": [{"name": "x"}, {"name": "x"}]},
    "an unknown output": {"inputs": [X, Y], "outputs": [{"name": "z"}]},
    "a number as id": {"inputs": [X, Y], "id": 7},
    "a long id": {"inputs": [X, Y], "id": "x" * 257},
    "a nested parameter": {"inputs": [X, Y], "parameters": {"a": {"b": 1}}},
    "a list parameter": {"inputs": [X, Y], "parameters": {"a": [1]}},
    "a nested input parameter": {"inputs": [{**X, "parameters": {"a": {}}}, Y]},
    "a sequence": {"inputs": [X, Y], "parameters": {"sequence_id": 1}},
    "a reserved name": {"inputs": [X, Y], "parameters": {"triton_x": 1}},
    "reserved headers": {"inputs": [X, Y], "parameters": {"headers": "a"}},
    "many parameters": {"inputs": [X, Y], "parameters": {str(i): i for i in range(1000)}},
    "a negative time-out": {"inputs": [X, Y], "parameters": {"timeout": -1}},
    "no time": {"inputs": [X, Y], "parameters": {"timeout": 0}},
    "a time-out of 2^63": {"inputs": [X, Y], "parameters": {"timeout": 2**63}},
    "a text time-out": {"inputs": [X, Y], "parameters": {"timeout": "x"}},
    "a true time-out": {"inputs": [X, Y], "parameters": {"timeout": True}},
    "a priority of 2^64": {"inputs": [X, Y], "parameters": {"priority": 2**64}},
    "a text binary_data_output": {"inputs": [X, Y], "parameters": {"binary_data_output": "true"}},
    "a number binary_data": {
        "inputs": [X, Y],
        "outputs": [{"name": "x", "parameters": {"binary_data": 1}}],
    },
    "classification": {
        "inputs": [X, Y],
        "outputs": [{"name": "x", "parameters": {"classification": -1}}],
    },
    "binary without its header": {"inputs": [XB, Y]},
    "no data": {"inputs": [{k: v for k, v in X.items() if k != "data"}, Y]},
    "null data": {"inputs": [{**X, "data": None}, Y]},
    "text as data": {"inputs": [{**X, "data": "AAAA"}, Y]},
    "an object as data": {"inputs": [{**X, "data": {"0": 1}}, Y]},
    "too few": {"inputs": [{**X, "data": [1, 2, 3]}, Y]},
    "too many": {"inputs": [{**X, "data": [1, 2, 3, 4, 5]}, Y]},
    "nested otherwise": {"inputs": [{**X, "data": [[1, 2], [3, 4]]}, Y]},
    "ragged": {"inputs": [{**X, "data": [[[1, 2, 3], [4]]]}, Y]},
    "mixed": {"inputs": [{**X, "data": [1, "2", 3, 4]}, Y]},
    "101 deep": {"inputs": [{**X, "data": json.loads("[" * 101 + "]" * 101)}, Y]},
    "a half": {"inputs": [X, {**Y, "data": [1.5, 2, 3]}]},
    "a truth": {"inputs": [X, {**Y, "data": [True, 2, 3]}]},
    "2^63 for INT64": {"inputs": [X, {**Y, "data": [2**63, 2, 3]}]},
    "1e39 for FP32": {"inputs": [{**X, "data": [1e39, 2, 3, 4]}, Y]},
    "different rows": {"inputs": [{**X, "shape": [2, 2, 2], "data": [1] * 8}, Y]},
    "a wrong rank": {"inputs": [{**X, "shape": [4]}, Y]},
    "another datatype": {"inputs": [{**X, "datatype": "FP64"}, Y]},
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused(echo: Echo, case: str) -> None:
    assert_refused(echo.ask_json(**BAD_REQUESTS[case]))


@pytest.mark.parametrize("name", ["region", "offset", "byte_size", "anything"])
def test_shared_memory_is_refused_wherever_it_is_asked_for(echo: Echo, name: str) -> None:
    asked = {f"shared_memory_{name}": 1}
    for request in (
        {"inputs": [X, Y], "parameters": asked},
        {"inputs": [{**X, "parameters": asked}, Y]},
        {"inputs": [X, Y], "outputs": [{"name": "x", "parameters": asked}]},
    ):
        refused = echo.ask_json(**request)
        assert_refused(refused)
        assert "shared memory is not offered" in json.loads(refused.body)["error"]


@pytest.mark.parametrize("shape", [[MANY], [1, MANY], [1000, 1000]], ids=str)
def test_more_texts_than_a_request_may_hold_are_refused(shape: list[int]) -> None:
    tail = tuple(-1 for _ in shape[1:])
    model = Echo(TensorSpec("t", "bytes", tail))
    texts = {"name": "t", "shape": shape, "datatype": "BYTES", "data": ["ab"] * MANY}
    assert_refused(model.ask_json(inputs=[texts]))
    binary = {**texts, "parameters": {"binary_data_size": 6 * MANY}}
    del binary["data"]
    refused = model.ask_binary({"inputs": [binary]}, b"\2\0\0\0ab" * MANY)
    assert_refused(refused)
    assert f"at most 65536 elements, found {MANY}" in json.loads(refused.body)["error"]


@pytest.mark.parametrize("datatype", ["FP33", "fp32", "", 7, None, "BF16", "x" * 10**6])
def test_a_datatype_that_is_none_is_refused(echo: Echo, datatype: Any) -> None:
    reply = echo.ask_json(inputs=[{**X, "datatype": datatype}, Y])
    assert_refused(reply)
    assert len(reply.body) < 1000


BAD_SHAPES: list[Any] = [
    *(None, [], "4", [4.0], [True], ["4"], [-1], [2, -5], [-4], [1e3], [0], [1] * 65, [1] * 10**5),
    *([2**4, 2**60 + 2], [2**2, 2**60 + 2], [2**32, 2**32, 4], [0, 2**62], [2**63], [2**64]),
    *([2**40] * 20, [0, 2**40, 2**40], [1, 2, 2, 1]),
]


@pytest.mark.parametrize("shape", BAD_SHAPES, ids=lambda s: str(s)[:24])
def test_a_shape_that_lies_is_refused(echo: Echo, shape: Any) -> None:
    assert_refused(echo.ask_json(inputs=[{**X, "shape": shape}, Y]))
    binary = {**XB, "shape": shape}
    assert_refused(echo.ask_binary({"inputs": [binary, Y]}, X_BYTES))


def test_a_scalar_shape_for_many_elements_is_refused() -> None:
    model = Echo(TensorSpec("x", "float32", (), has_rows=False))
    assert_refused(model.ask_json(inputs=[{**X, "shape": []}]))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"[]", b"1", b"null", b'"x"', b"{", b"{}{}", b"{} x", b"\xef\xbb\xbf{}"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"inputs":[{"name":"\\ud800"}]}'),
        *(b'{"id":"\xff"}', b"{'a':1}", b'{"inputs":[]} // no', '{"id":"é"}'.encode("utf-16")),
    ],
    ids=lambda b: repr(b[:12]),
)
def test_what_is_not_a_request_is_refused(echo: Echo, body: bytes) -> None:
    assert_refused(echo.ask(body))


@pytest.mark.parametrize(
    "token", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"9" * 5000]
)
@pytest.mark.parametrize("place", ["data", "shape", "parameters"])
def test_numbers_that_json_or_the_type_lacks_are_refused(
    echo: Echo, token: bytes, place: str
) -> None:
    text = json.dumps({"inputs": [X, Y], "parameters": {"a": 99}}).encode()
    old, new = {
        "data": (b"[1, 2, 3, 4]", b"[1, 2, 3, " + token + b"]"),
        "shape": (b"[1, 2, 2]", b"[1, 2, " + token + b"]"),
        "parameters": (b"99", token),
    }[place]
    assert old in text
    assert_refused(echo.ask(text.replace(old, new)))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 300),
        ("uint8", -1),
        ("int8", 128),
        ("uint64", 2**64),
        ("uint64", -1),
        ("bool", 1),
        ("int32", "1"),
    ],
)
@pytest.mark.parametrize("count", [4, 6000])
def test_numbers_out_of_the_types_range_are_refused(dtype: str, value: Any, count: int) -> None:
    model = Echo(TensorSpec("x", dtype, (-1,)))
    right = [False] * (count - 1) if dtype == "bool" else [7] * (count - 1)
    datatype = dtype.upper()
    tensor = {"name": "x", "shape": [1, count], "datatype": datatype, "data": [*right, value]}
    assert_refused(model.ask_json(inputs=[tensor]))
    legal = {**tensor, "data": [*right, right[0]]}
    assert outputs_of(model.ask_json(inputs=[legal]))["x"]["data"] == legal["data"]


def test_half_precision_in_json_is_refused_and_in_binary_exact() -> None:
    model = Echo(TensorSpec("x", "float16", (2,)))
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP16"}
    assert_refused(model.ask_json(inputs=[{**tensor, "data": [1, 2]}]))
    data = np.array([1.5, np.inf], "float16").tobytes()
    head = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": 4}}],
        "parameters": {"binary_data_output": True},
    }
    assert model.ask_binary(head, data).body.endswith(data)
    odd = {"inputs": [{**tensor, "parameters": {"binary_data_size": 3}}]}
    assert_refused(model.ask_binary(odd, data[:3]))


# Binary tensors


@pytest.mark.parametrize("order", list(itertools.permutations("xy")))
@pytest.mark.parametrize("binary", ["", "x", "y", "xy"])
def test_binary_and_json_inputs_mix_in_any_order(echo: Echo, order: Any, binary: str) -> None:
    made = {"x": (X, XB, X_BYTES), "y": (Y, YB, Y_BYTES)}
    inputs = [made[n][1] if n in binary else made[n][0] for n in order]
    tails = [made[n][2] for n in order if n in binary]
    said = outputs_of(echo.ask_binary({"inputs": inputs}, *tails))
    assert (said["x"]["data"], said["y"]["data"]) == ([1, 2, 3, 4], [5, 6, 7])


@pytest.mark.parametrize("default", [None, False, True])
@pytest.mark.parametrize("flag", [None, False, True])
def test_an_outputs_flag_wins_over_the_requests(echo: Echo, default: Any, flag: Any) -> None:
    request: dict[str, Any] = {"inputs": [X, Y], "outputs": [{"name": "x"}, {"name": "y"}]}
    if default is not None:
        request["parameters"] = {"binary_data_output": default}
    if flag is not None:
        request["outputs"][1]["parameters"] = {"binary_data": flag}
    reply = echo.ask_json(**request)
    said = outputs_of(reply)
    is_binary = {"x": bool(default), "y": bool(default if flag is None else flag)}
    for name, data in (("x", X_BYTES), ("y", Y_BYTES)):
        size = {"binary_data_size": len(data)}
        assert said[name].get("parameters") == (size if is_binary[name] else None)
        assert ("data" in said[name]) != is_binary[name]
    tail = (X_BYTES if is_binary["x"] else b"") + (Y_BYTES if is_binary["y"] else b"")
    assert reply.body.endswith(tail)
    assert (reply.content_type == "application/octet-stream") == bool(tail)
    assert (LENGTH in dict(reply.headers)) == bool(tail)


@pytest.mark.parametrize(
    "length",
    ["", "-1", "+5", "abc", "1.0", "999", "99999999999", str(2**64), "9" * 5000, "104, 104", "²"],
)
def test_a_header_length_that_is_none_is_refused(echo: Echo, length: str) -> None:
    assert_refused(echo.ask_binary({"inputs": [XB, Y]}, X_BYTES, length=length))


@pytest.mark.parametrize("size", [None, -1, 1.5, "16", True, 2**63, 0, 12, 17, 20])
def test_a_binary_size_that_lies_is_refused(echo: Echo, size: Any) -> None:
    for tail in (X_BYTES, X_BYTES + b"\0" * 4):
        head = {"inputs": [{**XB, "parameters": {"binary_data_size": size}}, Y]}
        assert_refused(echo.ask_binary(head, tail))


def test_bytes_that_no_input_claims_are_refused(echo: Echo) -> None:
    assert_refused(echo.ask_binary({"inputs": [XB, Y]}, X_BYTES + b"\0"))
    assert_refused(echo.ask_binary({"inputs": [XB, Y]}, X_BYTES[:-1]))
    assert_refused(echo.ask_binary({"inputs": [X, Y]}, b"\0"))


def test_data_beside_a_binary_size_is_refused(echo: Echo) -> None:
    assert_refused(echo.ask_binary({"inputs": [{**X, **XB}, Y]}, X_BYTES))


def text_model() -> Echo:
    return Echo(TensorSpec("t", "bytes", (-1,)))


def text_head(count: int, size: int, *, is_binary_out: bool = False) -> dict[str, Any]:
    tensor = {"name": "t", "shape": [1, count], "datatype": "BYTES"}
    return {
        "inputs": [{**tensor, "parameters": {"binary_data_size": size}}],
        "parameters": {"binary_data_output": is_binary_out},
    }


def test_bytes_hold_nul_and_go_back_as_they_came() -> None:
    data = b"".join(struct.pack("<I", len(e)) + e for e in (b"a\0b", b"", "é".encode()))
    reply = text_model().ask_binary(text_head(3, len(data), is_binary_out=True), data)
    assert reply.status == 200, reply.body
    assert reply.body.endswith(data)


@pytest.mark.parametrize(
    ("count", "data"),
    [
        (1, struct.pack("<I", 2**32 - 1) + b"abc"),
        (1, b"\1\0\0"),
        (2, struct.pack("<I", 1) + b"a\0\0\0"),
        (1, struct.pack("<I", 0) * 2),
        (3, struct.pack("<I", 0) * 2),
        (0, struct.pack("<I", 0)),
        (2**39, struct.pack("<I", 0)),
        (1, struct.pack("<I", 1) + b"\xff"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(count: int, data: bytes) -> None:
    assert_refused(text_model().ask_binary(text_head(count, len(data)), data))


def test_truth_is_a_byte_of_0_or_1() -> None:
    model = Echo(TensorSpec("b", "bool", (3,)))
    tensor = {
        "name": "b",
        "shape": [1, 3],
        "datatype": "BOOL",
        "parameters": {"binary_data_size": 3},
    }
    assert outputs_of(model.ask_binary({"inputs": [tensor]}, b"\1\0\1"))["b"]["data"] == [
        True,
        False,
        True,
    ]
    assert_refused(model.ask_binary({"inputs": [tensor]}, b"\1\0\2"))


# Raw bodies


@pytest.mark.parametrize(
    ("shape", "found"), [((4,), [1, 4]), ((-1,), [1, 4]), ((2, -1), [1, 2, 2])]
)
def test_a_raw_body_is_the_only_tensor_and_the_answer_is_binary(
    shape: tuple[int, ...], found: list[int]
) -> None:
    reply = Echo(TensorSpec("x", "float32", shape)).ask(X_BYTES, {LENGTH: "0"})
    assert outputs_of(reply)["x"]["shape"] == found
    assert reply.body.endswith(X_BYTES)


def test_a_raw_body_is_one_element_of_bytes() -> None:
    def again(t: Batch[bytes]) -> Batch[bytes]:
        return t

    wire = Wire(read_signature(again))
    call = v2.decode(Ask("infer", "again", "", b"\0\xffany", {LENGTH: "0"}), wire)
    assert call.columns == {"t": [b"\0\xffany"]}


@pytest.mark.parametrize(
    ("specs", "body"),
    [
        ([TensorSpec("x", "float32", (4,))], X_BYTES[:-1]),
        ([TensorSpec("x", "float32", (4,))], b""),
        ([TensorSpec("x", "float32", (-1,))], X_BYTES[:-1]),
        ([TensorSpec("x", "float32", (-1, -1))], X_BYTES),
        ([TensorSpec("x", "float32", (4,)), TensorSpec("y", "float32", (4,))], X_BYTES),
        ([TensorSpec("x", "bytes", (-1,))], b"abc"),
        ([TensorSpec("x", "bytes", (2,))], b"abc"),
    ],
)
def test_a_raw_body_that_does_not_fit_is_refused(specs: list[TensorSpec], body: bytes) -> None:
    assert_refused(Echo(*specs).ask(body, {LENGTH: "0"}))


# Classification


def classes(reply: Reply, name: str = "x") -> tuple[list[int], list[str]]:
    output = outputs_of(reply)[name]
    assert output["datatype"] == "BYTES"
    return output["shape"], output["data"]


def wanting(count: int, **parameters: Any) -> list[dict[str, Any]]:
    return [{"name": "x", "parameters": {"classification": count, **parameters}}]


def test_the_highest_of_the_last_axis_are_named_by_their_places(echo: Echo) -> None:
    x = {**X, "data": [0.1, 0.25, 3e-9, -1]}
    assert classes(echo.ask_json(inputs=[x, Y], outputs=wanting(1))) == (
        [1, 2, 1],
        ["0.25:1", "3e-09:0"],
    )
    shape, data = classes(echo.ask_json(inputs=[x, Y], outputs=wanting(9)))
    assert (shape, data) == ([1, 2, 2], ["0.25:1", "0.1:0", "3e-09:0", "-1:1"])
    assert outputs_of(echo.ask_json(inputs=[X, Y], outputs=wanting(0)))["x"]["data"] == [1, 2, 3, 4]


def test_equal_ones_keep_their_order_and_nan_is_last() -> None:
    echo = Echo(TensorSpec("x", "float32", (4,)))
    data = struct.pack("<4f", float("nan"), 1, float("inf"), 1)
    head = {
        "inputs": [
            {**XB, "shape": [1, 4]},
        ],
        "outputs": wanting(4),
    }
    assert classes(echo.ask_binary(head, data)) == ([1, 4], ["inf:2", "1:1", "1:3", "nan:0"])


def test_classes_can_be_binary(echo: Echo) -> None:
    reply = echo.ask_json(inputs=[X, Y], outputs=wanting(1, binary_data=True))
    assert outputs_of(reply)["x"]["parameters"] == {"binary_data_size": 14}
    assert reply.body.endswith(b"\3\0\0\x002:1\3\0\0\x004:1")


def test_no_rows_and_no_values_have_no_classes() -> None:
    echo = Echo(TensorSpec("x", "float32", (-1,)))
    for shape in ([0, 3], [2, 0]):
        none = {"name": "x", "shape": shape, "datatype": "FP32", "data": []}
        found, data = classes(echo.ask_json(inputs=[none], outputs=wanting(2)))
        assert (found[0], data) == (shape[0], [])


def test_an_object_of_numbers_has_its_names_for_labels() -> None:
    def mood(text: Batch[str]) -> Batch[dict[str, float]]:
        return [{"joy": 0.5, "a:b": 0.25, "calm": 0.75} for _ in text]

    wire = Wire(read_signature(mood), name="mood")
    texts = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}

    def ask(count: int, values: Any) -> Reply:
        wanted = [{"name": "output", "parameters": {"classification": count}}]
        body = json.dumps({"inputs": [texts], "outputs": wanted}).encode()
        asked = Ask("infer", "mood", "", body, {})
        call = v2.decode(asked, wire)
        try:
            return v2.encode(asked, call, wire.scatter(values, 2), wire)
        except HeadwayError as e:
            return v2.render(asked, e)

    top = classes(ask(2, mood(["a", "b"])), "output")
    assert top == ([2, 2], ["0.75:2:calm", "0.5:0:joy"] * 2)


# Time-outs, metadata, health, statistics, configuration


def test_a_time_out_in_microseconds_reaches_the_call(echo: Echo) -> None:
    body = json.dumps({"inputs": [X, Y], "parameters": {"timeout": 1_500_000}}).encode()
    assert v2.decode(Ask("infer", "echo", "", body, {}), echo.wire).timeout_s == 1.5


def answered(op: str, facts: Facts, model: str = "", version: str = "") -> Any:
    return json.loads(v2.answer(Ask(op, model, version, b"", {}), facts).body)


def test_metadata_names_every_tensor_with_its_rows(echo: Echo) -> None:
    facts = Facts({"echo": {"1": echo.wire.description}}, {}, True, {}, "0.1.0")
    said = answered("model", facts, "echo")
    assert said["versions"] == ["1"]
    assert said["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "y", "datatype": "INT64", "shape": [-1, -1]},
    ]
    server = answered("server", facts)
    assert server == {
        "name": "headway",
        "version": "0.1.0",
        "extensions": [
            *("binary_tensor_data", "classification", "model_configuration", "model_repository"),
            *("parameters", "statistics", "logging", "trace"),
        ],
    }


def test_health_has_the_bodies_that_clients_know(echo: Echo) -> None:
    facts = Facts({"echo": {"1": echo.wire.description}}, {"echo": True}, True, {}, "0.1.0")
    assert answered("live", facts) == {"live": True}
    assert answered("ready", facts) == {"ready": True}
    assert answered("model_ready", facts, "echo", "1") == {"name": "echo", "ready": True}
    assert answered("models", facts) == {"models": ["echo"]}


def test_statistics_count_rows_and_calls_in_nanoseconds(echo: Echo) -> None:
    stats = Stats(inferences=64, executions=4, successes=10, success_s=0.5, compute_s=0.25)
    facts = Facts({"echo": {"1": echo.wire.description}}, {}, True, {"echo": stats}, "0.1.0")
    (said,) = answered("stats", facts, "echo", "1")["model_stats"]
    assert (said["inference_count"], said["execution_count"]) == (64, 4)
    assert said["inference_stats"]["success"] == {"count": 10, "ns": 500_000_000}
    assert said["inference_stats"]["compute_infer"] == {"count": 4, "ns": 250_000_000}
    assert answered("stats", facts)["model_stats"] == [said]


def test_not_ready_and_full_are_503_with_a_time_to_come_back() -> None:
    for error in (NotReady(model="m", reason="r"), QueueFull(model="m", limit="1 request")):
        reply = v2.render(Ask("infer", "m", "", b"", {}), error)
        assert (reply.status, list(json.loads(reply.body))) == (503, ["error"])
        assert dict(reply.headers)["retry-after"]


def test_the_configuration_tells_how_a_model_is_run(echo: Echo) -> None:
    plans = {"echo": Plan(64, 1000, 0.002, 3, "cuda:0")}
    known = {"echo": {"1": echo.wire.description}}
    facts = Facts(known, {"echo": True}, True, {}, "0.1.0", plans=plans)
    said = answered("config", facts, "echo", "1")
    assert said["input"][0] == {
        **{"name": "x", "data_type": "TYPE_FP32", "dims": [2, 2]},
        "optional": False,
    }
    assert said["max_batch_size"] == 1000
    assert said["dynamic_batching"]["preferred_batch_size"] == [64]
    assert said["dynamic_batching"]["max_queue_delay_microseconds"] == 2000
    assert (said["instance_group"][0]["kind"], said["instance_group"][0]["count"]) == (
        "KIND_GPU",
        3,
    )
    assert said["model_transaction_policy"] == {"decoupled": False}
