"""What `/invocations` makes of bodies: frames, columns and matrices, CSV with and without a header, numpy's arrays."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headway import errors
from headway.errors import BadInput, CallerError, NotAcceptable, UnsupportedMedia
from headway.model.call import Result, TensorSpec
from headway.model.marks import Batch, Rows, Tensor
from headway.model.signature import of_tensors, read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Facts, Reply, invocations

J, CSV, NPY, LINES = "application/json", "text/csv", "application/x-npy", "application/jsonlines"
PARQUET = "application/vnd.apache.parquet"
FLOAT = Annotated[NDArray[np.float32], Tensor("float32", "batch", 3)]


def total(x: FLOAT) -> Annotated[NDArray[np.float32], Tensor("float32", "batch")]:
    sums: NDArray[np.float32] = x.sum(axis=1)
    return sums


def doubled(x: Batch[list[float]]) -> Batch[list[float]]:
    return [[2 * v for v in row] for row in x]


def label(
    a: Batch[float],
    größe: Batch[int],  # noqa: PLC2401  (a name is its author's)
    name: Batch[str] = "x",  # type: ignore[assignment]
    power: int = 1,
) -> Batch[str]:
    return [f"{n} {v:g} {g**power}" for n, v, g in zip(name, a, größe, strict=True)]


def same(number: Batch[int]) -> Batch[int]:
    return number


def spread(x: Batch[float]) -> Batch[float]:
    return [v / 0.5 if v < 3 else float("nan") for v in x]


@dataclass
class Passenger:
    age: int
    name: str = "?"
    fare: float | None = None


def table(rows: Annotated[pd.DataFrame, Rows(Passenger)]) -> Batch[str]:
    return [f"{r.name} {r.age}" for r in rows.itertuples(index=False)]


def named(inputs: str) -> str:
    return inputs.upper()


def ask_of(body: object, kind: str = J, **headers: str) -> Ask:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask("invoke", "it", "", raw, {"content-type": kind, **named})


def asked(function: Callable[..., Any], ask: Ask) -> Reply:
    wire = Wire(read_signature(function), name="it")
    call = invocations.decode(ask, wire)
    if not call.rows:
        result = wire.empty()
    elif wire.signature.is_batched:
        result = wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    else:
        result = Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])
    return invocations.encode(ask, call, result, wire)


def answers(function: Callable[..., Any], body: object, kind: str = J, **headers: str) -> Any:
    return msgspec.json.decode(asked(function, ask_of(body, kind, **headers)).body)


def predictions(function: Callable[..., Any], body: object, kind: str = J) -> Any:
    told = answers(function, body, kind)
    assert list(told) == ["predictions"]
    return told["predictions"]


MATRIX = [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["p", "q", "r"], "data": MATRIX}},
        {"dataframe_split": {"columns": [0, 1, 2], "index": [0, 1], "data": MATRIX}},
        {"dataframe_split": {"data": MATRIX}},
        {"dataframe_split": {"columns": ["x"], "data": [[row] for row in MATRIX]}},
        {"dataframe_records": [dict(zip("pqr", row, strict=True)) for row in MATRIX]},
        {"dataframe_records": [{"x": row} for row in MATRIX]},
        {"instances": MATRIX},
        {"instances": [{"x": row} for row in MATRIX]},
        {"inputs": MATRIX},
        {"inputs": {"x": MATRIX}},
        {"inputs": MATRIX, "params": None, "client_request_id": "7"},
    ],
)
@pytest.mark.parametrize("function", [total, doubled])
def test_a_model_of_one_list_takes_a_matrix_in_each_form(
    function: Callable[..., Any], body: dict[str, Any]
) -> None:
    expected = [6, 15] if function is total else [[2 * v for v in row] for row in MATRIX]
    assert predictions(function, body) == expected


def unproven() -> Wire:
    """A model file whose first axis may be anything: a request is one item."""
    column = [TensorSpec(name, "float64", (-1,), has_rows=False) for name in ("a", "b")]
    answer = TensorSpec("label", "int64", (-1,), has_rows=False)
    return Wire(of_tensors("it", column, [answer]), name="it")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1], [4, 3]]}}, J),
        ({"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, J),
        ({"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}, J),
        ({"inputs": {"a": [1, 3], "b": [2, 4]}}, J),
        (b"a,b\n1,2\n3,4\n", CSV),
    ],
)
def test_all_rows_are_one_item_of_a_model_whose_rows_are_not_proven(body: Any, kind: str) -> None:
    wire = unproven()
    for accept, expected in ((J, b'{"predictions":[7,8]}'), (CSV, None)):
        ask = ask_of(body, kind, accept=accept)
        call = invocations.decode(ask, wire)
        arguments = wire.item(call, 0)
        assert {n: v.tolist() for n, v in arguments.items()} == {"a": [1, 3], "b": [2, 4]}
        result = Result([wire.check_item(np.array([7, 8]))])
        reply = invocations.encode(ask, call, result, wire)
        csv = b"label\n7\n8\n" if kind == CSV else b"7\n8\n"
        assert reply.body == (expected or csv)
    with pytest.raises(BadInput, match="columns a, b"):
        invocations.decode(ask_of({"instances": [{"a": 1, "b": 2}, {"a": 1}]}), wire)


COLUMNS = ["a", "größe", "name"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": COLUMNS, "data": [[1.5, 2, "é"], [3, 4, "z"]]}},
        {"dataframe_records": [dict(zip(COLUMNS, r, strict=True)) for r in ([1.5, 2, "é"], [3, 4, "z"])]},
        {"instances": [{"a": 1.5, "größe": 2, "name": "é"}, {"name": "z", "größe": 4, "a": 3}]},
        {"inputs": {"a": [1.5, 3], "größe": [2, 4], "name": ["é", "z"]}},
    ],
)  # fmt: skip
def test_params_are_inputs_of_every_row(body: dict[str, Any]) -> None:
    assert predictions(label, body) == ["é 1.5 2", "z 3 4"]
    assert predictions(label, {**body, "params": {"power": 2}}) == ["é 1.5 4", "z 3 16"]


def test_a_table_takes_frames_csv_and_parquet() -> None:
    frame = pd.DataFrame({"age": [3, 40], "name": ["Ann", "Bo"]})
    expected = ["Ann 3", "Bo 40"]
    assert predictions(table, {"dataframe_split": frame.to_dict(orient="split")}) == expected
    assert predictions(table, {"dataframe_records": frame.to_dict("records")}) == expected
    assert predictions(table, {"inputs": frame.to_dict("list")}) == expected
    assert predictions(table, frame.to_csv(index=False).encode(), CSV) == expected
    for kind in (PARQUET, "application/x-parquet"):
        out = io.BytesIO()
        frame.to_parquet(out, index=False)
        assert predictions(table, out.getvalue(), kind) == expected
    assert answers(table, b"3,Ann\n40,Bo\n", f"{CSV}; header=absent", accept=J) == expected


def test_csv_is_read_as_the_inputs_types_say() -> None:
    body = 'größe,a,name\r\n2,1.5,"é, ""x"""\n4,+3.,\n'.encode("utf-8-sig")
    assert predictions(label, body, CSV) == ['é, "x" 1.5 2', " 3 4"]
    assert predictions(total, b"p,q,r\n1,2,3e0\n", CSV) == [6]
    assert predictions(doubled, b'x\n"[1, 2]"\n', CSV) == [[2, 4]]


def test_a_first_line_of_numbers_is_no_header_unless_it_may_be_one() -> None:
    assert predictions(total, b"1.5,2,3\n4,5,6\n", CSV) == [6.5, 15]
    assert predictions(label, b"1.5,2\n", CSV) == ["x 1.5 2"]
    with pytest.raises(BadInput, match="header=present or header=absent"):
        answers(total, b"0,1,2\n4,5,6\n", CSV)
    assert predictions(total, b"0,1,2\n4,5,6\n", f"{CSV}; header=present") == [15]
    absent = asked(total, ask_of(b"0,1,2\n4,5,6\n", f"{CSV}; header=absent"))
    assert (absent.content_type, absent.body) == ("text/csv; charset=utf-8", b"3.0\n15.0\n")


def test_an_operator_says_that_csv_has_no_header() -> None:
    ask = ask_of(b"0,1,2\n4,5,6\n", CSV, **{":invocations": "sagemaker"})
    assert asked(total, ask).body == b"3.0\n15.0\n"
    ask = ask_of(b"0,1,2\n4,5,6\n", CSV, **{":invocations": "mlflow"})
    assert asked(total, ask).body == b'{"predictions":[15.0]}'


@pytest.mark.parametrize(
    ("function", "body", "told"),
    [
        (label, b"a,b\n1,2\n", "found 'b'"),
        (label, b"a,gr\xc3\xb6\xc3\x9fe\n1,x\n", r"\$\[0\].größe: expected int, got str"),
        (label, b"1,2,3,4,5\n", "at most 4 fields: a, größe, name, power"),
        (label, b"1,2,x\n", "some of a, größe, name, power; or text/csv; header=absent"),
        (total, b"1.5,2\n", "expected 3|length"),
        (total, b'p,q,r\n1,2,"', "RFC 4180"),
        (total, b"p,q,r\n1,2,\xff\n", "UTF-8"),
        (total, b"p,q,r\n1,2,],[1,2,3\n", "expected 3 fields"),
        (total, b'p,q,r\n1,2,"3],[1,2,3"\n', "expected float"),
        (doubled, b'x\n"1],[2"\n', "expected array"),
    ],
)
def test_csv_that_is_wrong_is_told_with_its_place(
    function: Callable[..., Any], body: bytes, told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        answers(function, body, CSV)


def in_npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i8", ">i2", "u1", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_numpy_is_the_only_input(dtype: str, order: Any) -> None:
    body = in_npy(np.array(MATRIX, dtype, order=order))
    assert answers(total, body, NPY) == [6, 15]
    reply = asked(total, ask_of(body, NPY, accept=NPY))
    assert reply.content_type == NPY
    found = np.load(io.BytesIO(reply.body))
    assert (found.dtype, found.tolist()) == (np.float32, [6, 15])


def test_an_array_of_no_rows_is_answered_by_none() -> None:
    assert answers(total, in_npy(np.zeros((0, 3), "f8")), NPY) == []


def damaged_arrays() -> list[bytes]:
    body = in_npy(np.array(MATRIX, "f4"))
    objects = io.BytesIO()
    np.save(objects, np.array([{"a": 1}], object), allow_pickle=True)
    return [
        b"",
        body[:5],
        body[:-1],
        body + b"\0",
        body.replace(b"(2, 3)", b"(9, 9)"),
        body.replace(b"(2, 3)", b"(2,-3)"),
        body.replace(b"'<f4'", b"'|O8'"),
        body.replace(b"'descr'", b"__imp__"),
        in_npy(np.array(["text"])),
        in_npy(np.array([1j])),
        in_npy(np.zeros((2, 4), "f4")),
        in_npy(np.float32(1)),
        objects.getvalue(),
    ]


@pytest.mark.parametrize("body", damaged_arrays())
def test_a_damaged_array_is_the_callers_error(body: bytes) -> None:
    with pytest.raises(CallerError):
        answers(total, body, NPY)


@given(data=st.data())
def test_mutated_arrays_are_read_or_refused(data: st.DataObject) -> None:
    wire = Wire(read_signature(total), name="it")
    body = bytearray(in_npy(np.array(MATRIX, "f4")))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(CallerError):
        invocations.decode(ask_of(bytes(body), NPY), wire)


def test_integers_are_exact_and_have_64_bits() -> None:
    large = 2**63 - 1
    for body in (
        {"dataframe_split": {"columns": ["number"], "data": [[large], [-large]]}},
        {"dataframe_records": [{"number": large}, {"number": -large}]},
        {"instances": [large, -large]},
        {"inputs": [large, -large]},
    ):
        assert predictions(same, body) == [large, -large]
    assert predictions(same, b"number\n%d\n" % large, CSV) == [large]
    reply = asked(same, ask_of({"instances": [large]}, accept=CSV))
    assert reply.body == b"%d\n" % large
    assert answers(same, in_npy(np.array([large])), NPY) == [large]
    with pytest.raises(BadInput):
        predictions(same, {"instances": [large + 1]})


def test_what_is_not_finite_is_taken_and_answered_as_null_or_nothing() -> None:
    assert predictions(spread, b'{"inputs": [1, NaN, Infinity]}') == [2, None, None]
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[1], [NaN]]}}'
    assert predictions(spread, body) == [2, None]
    assert asked(spread, ask_of([1, 7], accept=CSV)).body == b'2.0\n""\n'
    assert answers(spread, [1, 7], accept=LINES.replace("jsonlines", "json")) == [2, None]
    with pytest.raises(BadInput):
        answers(spread, b"[NaN]")


def test_a_models_own_input_is_meant_where_it_is_named_as_a_form_is() -> None:
    assert answers(named, {"inputs": "joy"}) == "JOY"
    body = {"inputs": ["joy"]}
    assert answers(named, body, **{":invocations": "mlflow"}) == {"predictions": ["JOY"]}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", J),
        ("*/*", J),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("text/*, application/json;q=0.1", "text/csv; charset=utf-8"),
        ("application/*", J),
        ("application/jsonlines, */*;q=0.1", LINES),
        ("Application/X-NPY", NPY),
    ],
)
def test_the_answer_is_what_is_accepted(accept: str, media: str) -> None:
    assert asked(total, ask_of(MATRIX, accept=accept)).content_type == media


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "*/*;q=0", "text/html"])
def test_what_no_answer_can_be_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable) as raised:
        asked(total, ask_of(MATRIX, accept=accept))
    assert invocations.render(ask_of(b""), raised.value).status == 406


def test_an_answer_of_texts_is_no_array() -> None:
    with pytest.raises(NotAcceptable):
        asked(table, ask_of([{"age": 1}], accept=NPY))
    with pytest.raises(UnsupportedMedia):
        asked(label, ask_of(in_npy(np.zeros(2)), NPY))


def test_more_rows_than_a_request_may_have_are_refused_in_every_form() -> None:
    wire = Wire(read_signature(total), name="it")
    wire.max_rows = 3
    many = [[1, 2, 3]] * 4
    lines = b"\n".join([b"[1,2,3]"] * 4)
    for ask in (
        ask_of({"dataframe_split": {"data": many}}),
        ask_of({"dataframe_records": [{"a": 1, "b": 2, "c": 3}] * 4}),
        ask_of({"instances": many}),
        ask_of({"inputs": many}),
        ask_of(many),
        ask_of(lines, LINES),
        ask_of(b"a,b,c\n" + b"1,2,3\n" * 4, CSV),
        ask_of(in_npy(np.array(many)), NPY),
    ):
        with pytest.raises(BadInput, match="at most 3 "):
            invocations.decode(ask, wire)


def test_a_415_is_plain_text_as_mlflow_tells_it() -> None:
    reply = invocations.render(ask_of(b""), UnsupportedMedia(what="x", found="y", expected="z"))
    assert (reply.status, reply.content_type) == (415, "text/plain; charset=utf-8")


def words(text: str) -> Iterator[str]:
    yield from text.split()


def test_a_stream_is_lines_or_events() -> None:
    wire = Wire(read_signature(words), name="it")
    ask = ask_of({"text": "a b"})
    call = invocations.decode(ask, wire)
    assert invocations.stream_type(ask) == LINES
    assert invocations.chunk(ask, call, "a", wire) == b'"a"\n'
    ask = ask_of({"text": "a b"}, accept="text/event-stream")
    invocations.decode(ask, wire)
    assert invocations.stream_type(ask).startswith("text/event-stream")
    assert invocations.chunk(ask, call, "a", wire) == b'data: "a"\n\n'
    error = invocations.chunk_error(ask, errors.ModelFailed())
    assert error.startswith(b'event: error\ndata: {"error_code":"INTERNAL_ERROR"')


def test_the_version_is_a_bare_word_and_batch_transform_is_told_its_bounds() -> None:
    facts = Facts({}, {}, True, {}, "0.1.0")
    assert invocations.answer(Ask("version", "", "", b"", {}), facts).body == b"0.1.0"
    told = msgspec.json.decode(invocations.answer(Ask("parameters", "", "", b"", {}), facts).body)
    assert told["MaxConcurrentTransforms"] * told["MaxPayloadInMB"] <= 100
    assert told["BatchStrategy"] == "MULTI_RECORD"
