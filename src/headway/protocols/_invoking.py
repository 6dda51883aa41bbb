"""What MLflow's and SageMaker's clients post to `/invocations`. Not a protocol by itself: two of them answer it.

Specification: MLflow 3, "Deployment > MLflow Model Serving > Inference endpoints", below "MLflow"; Amazon SageMaker AI
Developer Guide, "Use Your Own Inference Code with Hosting Services" and "... with Batch Transform", below "SageMaker",
with the content types of its inference toolkit.

MLflow's content types are read as MLflow does: a JSON object with one of its four keys, CSV, Parquet; such an answer
is `{"predictions": [...]}`. Everything else is raw: JSON of items, JSON Lines, an array of numpy, a form, or what the
model's only input takes bare; its answer is bare, too. Which of both an object is may depend on the model: an input of
its own that is named as one of MLflow's keys makes it raw. An operator can say that only one of both is spoken.

Not here: what a row is (`_instances`, `_frames`), routes, errors.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from headway.errors import BadInput, NotAcceptable, UnsupportedMedia
from headway.model.accepting import chosen
from headway.model.call import Call, Description, Result
from headway.model.wording import told
from headway.protocols import FORM, JSON, Ask, Wire, is_json, media_of, row_error
from headway.protocols._form import read_parts
from headway.protocols._frames import (
    columns_of,
    csv_of,
    rows_of_csv,
    rows_of_records,
    rows_of_split,
)
from headway.protocols._instances import read_columns, read_rows, read_shared, spelled

_CHOICE = ":invocations"
"""What an operator chose: "both", or only "mlflow" or "sagemaker"."""
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

CSV = "text/csv"
NPY = "application/x-npy"
PARQUET = "application/vnd.apache.parquet"
LINES: Sequence[str] = (
    *("application/jsonlines", "application/jsonl", "application/x-jsonlines"),
    *("application/x-ndjson", "application/x-jsonl"),
)
EVENTS = "text/event-stream"
_PARQUETS = (PARQUET, "application/x-parquet")
_VISIBLE = re.compile(r"[ -~]{0,1024}")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_rows = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode


class _Envelope(Struct):
    """MLflow: "a JSON dictionary with exactly one of the input fields"; others are let pass, as it does."""

    dataframe_split: Raw = Raw()
    dataframe_records: Raw = Raw()
    instances: Raw = Raw()
    inputs: Raw = Raw()
    params: Raw = Raw()


_FORMATS: Sequence[str] = ("dataframe_split", "dataframe_records", "instances", "inputs")
_envelopes = msgspec.json.Decoder(_Envelope)


class _Memo(Struct, frozen=True):
    """What the request said about its answer."""

    media: str
    """Content type of the answer."""
    is_wrapped: bool = False
    """As `{"predictions": ...}`."""
    has_header: bool = False
    """Of CSV: the question had one."""


# Requests


def read_request(ask: Ask, wire: Wire, accept: str) -> Call:
    """Read a request by its content type; what its answer shall be waits in the call's memo.

    Args:
        ask: the request.
        wire: of the model.
        accept: the header that says what the answer may be.

    Raises:
        BadInput: it is not what the model takes.
        UnsupportedMedia: nothing here reads its content type.
        NotAcceptable: no answer of this model has a content type that is accepted.
    """
    kind = ask.headers.get("content-type", "")
    _check_parameters(kind)
    check_attributes(ask)
    call, memo = _read(ask, wire, kind)
    offered = _offered(wire.description, memo.media)
    media = chosen(accept, offered)
    if not media and not wire.description.is_stream:
        raise NotAcceptable(found=accept[:200], expected=", ".join(offered))
    call.memo = msgspec.structs.replace(memo, media=media or JSON)
    return call


def _read(ask: Ask, wire: Wire, kind: str) -> tuple[Call, _Memo]:
    """The call, and what its answer is by default."""
    choice = ask.headers.get(_CHOICE, "both")
    media = media_of(kind)
    if is_json(kind):
        return _read_json(ask.body, wire, choice)
    if media == CSV:
        return _read_csv(ask.body, wire, kind, choice)
    if media in _PARQUETS:
        return wire.read_media(PARQUET, ask.body), _Memo(JSON, choice != "sagemaker")
    if choice != "mlflow":
        if media in LINES:
            return read_rows(wire, _array_of_lines(ask.body, wire)), _Memo(media)
        if media == NPY:
            return _read_npy(ask.body, wire), _Memo(JSON)
        if media == FORM:
            return wire.read_form(read_parts(kind, ask.body)), _Memo(JSON)
        return _read_bare(kind, ask.body, wire), _Memo(JSON)
    # MLflow: "This predictor only supports the following content types".
    expected = ", ".join((JSON, CSV, PARQUET))
    raise UnsupportedMedia(what="content type", found=media, expected=expected)


def _read_bare(kind: str, body: bytes | memoryview, wire: Wire) -> Call:
    """What the model's only input takes as it is."""
    try:
        return wire.read_media(kind, body)
    except UnsupportedMedia as e:
        own = (JSON, CSV, PARQUET, LINES[0], NPY, FORM)
        expected = ", ".join(dict.fromkeys((*own, *wire.description.media_types)))
        raise UnsupportedMedia(what="content type", found=media_of(kind), expected=expected) from e


def _check_parameters(kind: str) -> None:
    """MLflow: "The scoring server only supports UTF-8"."""
    for parameter in kind.lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if name.strip() == "charset" and value not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia(what="charset", found=value[:40], expected="utf-8")


def check_attributes(ask: Ask) -> None:
    """SageMaker: "The custom attributes cannot exceed 1024 characters [...] visible US-ASCII". Raises BadInput."""
    given = ask.headers.get(ATTRIBUTES, "")
    if not _VISIBLE.fullmatch(given):
        expected = "at most 1024 visible characters of US-ASCII"
        raise BadInput(where=f"header {ATTRIBUTES}", expected=expected, found=repr(given[:40]))


def _read_json(body: bytes | memoryview, wire: Wire, choice: str) -> tuple[Call, _Memo]:
    raw = bytes(body)
    if choice == "sagemaker":
        return _read_raw(raw, wire), _Memo(JSON)
    envelope = _envelope(raw)
    given = [name for name in _FORMATS if envelope and bytes(getattr(envelope, name))]
    if choice != "mlflow":
        own = wire.description.input_schema.get("properties", {})
        if not given or any(name in own for name in given):
            return _read_raw(raw, wire), _Memo(JSON)
    if envelope is None or len(given) != 1:
        found = ", ".join(given) or ("none of them" if envelope else "no object")
        raise BadInput(where="body", expected=f"one of {', '.join(_FORMATS)}", found=found)
    return _read_envelope(envelope, given[0], wire), _Memo(JSON, is_wrapped=True)


def _envelope(raw: bytes) -> _Envelope | None:
    """The members that are MLflow's; None where the JSON is no object. Raises BadInput: it is no JSON."""
    try:
        return _envelopes.decode(raw)
    except msgspec.ValidationError:
        return None
    except _UNREADABLE as e:
        other = spelled(raw)
        if other is None:
            raise BadInput(told(e, raw)) from e
        return _envelope(other)


def _read_raw(raw: bytes, wire: Wire) -> Call:
    """JSON as the native protocol takes it; the rows of an array may be bare values, too."""
    if raw.lstrip(b" \t\r\n")[:1] == b"[":
        return read_rows(wire, raw)
    return wire.read_json(raw)


def _read_envelope(envelope: _Envelope, name: str, wire: Wire) -> Call:
    shared = _shared(bytes(envelope.params))
    value = bytes(getattr(envelope, name))
    model, most = wire.description, wire.max_rows
    if name == "inputs":
        return read_columns(wire, value, shared)
    if name == "dataframe_split":
        value = rows_of_split(model, value, most)
    elif name == "dataframe_records":
        value = rows_of_records(model, value, most)
    return _read_frame(wire, value, shared)


def _read_frame(wire: Wire, rows: bytes, shared: Mapping[str, bytes] | None = None) -> Call:
    """Rows of a frame; of a model whose rows are not proven they are one item, column by column."""
    if _has_rows(wire.description):
        return read_rows(wire, rows, shared)
    return read_columns(wire, columns_of(rows), shared)


def _has_rows(model: Description) -> bool:
    return all(spec.has_rows for spec in model.inputs)


def _shared(params: bytes) -> Mapping[str, bytes] | None:
    return read_shared(params) if params and params != b"null" else None


def _read_csv(body: bytes | memoryview, wire: Wire, kind: str, choice: str) -> tuple[Call, _Memo]:
    parameters = [p.strip().lower() for p in kind.split(";")[1:]]
    has_header: bool | None = None
    if "header=absent" in parameters:
        has_header = False
    elif "header=present" in parameters or choice == "mlflow":
        has_header = True
    elif choice == "sagemaker":
        has_header = False
    is_wrapped = choice != "sagemaker" and has_header is not False
    media = JSON if is_wrapped else CSV
    if has_header and CSV in wire.description.media_types:
        return wire.read_media(CSV, body), _Memo(media, is_wrapped, has_header=True)
    rows, is_headed = rows_of_csv(wire.description, body, wire.max_rows, has_header=has_header)
    return _read_frame(wire, rows), _Memo(media, is_wrapped, is_headed)


def _array_of_lines(body: bytes | memoryview, wire: Wire) -> bytes:
    """The lines of a body as an array. SageMaker: "MultiRecord" sends several, "SingleRecord" one."""
    raw = bytes(body).strip()
    if raw.count(b"\n") >= wire.max_rows:
        raise BadInput(where="body", expected=f"at most {wire.max_rows} lines", found="more")
    lines = [line for line in raw.split(b"\n") if line.strip()]
    for i, line in enumerate(lines):
        try:
            msgspec.json.decode(line, type=Raw)
        except _UNREADABLE as e:
            raise BadInput(f"line {i}: {told(e, line)}") from e
    return b"[" + b",".join(lines) + b"]"


def _read_npy(body: bytes | memoryview, wire: Wire) -> Call:
    """An array with the rows in front, for the only input."""
    model = wire.description
    needed = [spec for spec in model.inputs if not spec.is_optional] or list(model.inputs[:1])
    if len(needed) != 1 or needed[0].dtype == "bytes":
        expected = "JSON or CSV, since the model takes more than one array"
        raise UnsupportedMedia(what="content type", found=NPY, expected=expected)
    from headway.model.npy import read_npy  # noqa: PLC0415  (only arrays owe numpy's import)

    return wire.read_blocks({needed[0].name: read_npy(body, needed[0].dtype)})


# Answers


def _offered(model: Description, usual: str) -> Sequence[str]:
    """The content types that an answer can have, the usual one first."""
    own = [JSON, *LINES]
    if is_flat(model):
        own.append(CSV)
    if len(model.outputs) == 1 and model.outputs[0].dtype != "bytes":
        own.append(NPY)
    return list(dict.fromkeys([*([usual] if usual in own else ()), *own, *model.answer_types]))


def is_flat(model: Description) -> bool:
    """Whether each answer is a line of plain values."""
    if any(spec.is_json for spec in model.outputs):
        return False
    return len(model.outputs) > 1 or all(len(spec.shape) < 2 for spec in model.outputs)


def write_answer(call: Call, result: Result, wire: Wire) -> tuple[str, bytes]:
    """Content type and body of an answer. Raises the error of a row that failed."""
    if result.errors:
        raise row_error(call, result)
    memo: _Memo = call.memo or _Memo(JSON)
    media = memo.media
    if media == JSON and memo.is_wrapped:
        # An item of a model whose rows are not proven is all rows at once, and its answer, too.
        answers = wire.write_json(result, is_single=not _has_rows(wire.description))
        return JSON, b'{"predictions":' + answers + b"}"
    if media == JSON:
        return JSON, wire.write_json(result, is_single=call.is_single)
    if media in LINES:
        lines = _rows.decode(wire.write_json(result, is_single=False))
        return media, b"".join(bytes(line) + b"\n" for line in lines)
    if media == NPY:
        from headway.model.npy import write_npy  # noqa: PLC0415  (only arrays owe numpy's import)

        return NPY, write_npy(wire.write_blocks(result)[0][1])
    if media == CSV and is_flat(wire.description):
        is_single = not _has_rows(wire.description)
        rows: list[Any] = msgspec.json.decode(wire.write_json(result, is_single=is_single))
        names = [spec.name for spec in wire.description.outputs]
        return f"{CSV}; charset=utf-8", csv_of(rows, names, has_header=memo.has_header)
    found = wire.write_media(media, result)
    return found or (JSON, wire.write_json(result, is_single=call.is_single))


def attributes(ask: Ask) -> Sequence[tuple[str, str]]:
    """The caller's own attributes, given back."""
    given = ask.headers.get(ATTRIBUTES, "")
    return ((ATTRIBUTES, given),) if given and _VISIBLE.fullmatch(given) else ()
