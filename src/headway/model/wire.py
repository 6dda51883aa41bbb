"""The one table between a signature and every dialect: bodies to calls and answers to bodies.

Codecs use the reading and writing half, the engine the gathering and scattering half. It holds no
state but what it, and codecs, made of the signature; any number of threads may use it.
"""

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from headway.errors import BadInput, BadOutput, CallerError, UnsupportedMedia
from headway.model import item
from headway.model.accepting import preferred
from headway.model.call import Block, Call, Description, Result, TensorSpec
from headway.model.columns import Columns
from headway.model.counting import count_rows, may_exceed
from headway.model.field import Field
from headway.model.form import read_form
from headway.model.integers import larger
from headway.model.media import Fetch, Part, placed, takes
from headway.model.nested import fetch_with
from headway.model.signature import Parameter, Signature
from headway.model.values import StructField, ValueField, plain, read_plain
from headway.model.wording import told

BULK_BYTES = 16 * 2**10
"""From this size on, a body of nothing but numbers is read into buffers."""

_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class Wire:
    """The wire table of one model.

    Args:
        signature: of the predictor.
        name: of the model.
        version: of the model.
        platform: V2's platform string.
        examples: items in their JSON form.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        name: str = "",
        version: str = "1",
        platform: str = "headway_python",
        examples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.signature = signature
        self.max_rows = self.max_bytes = sys.maxsize
        self._output = signature.output
        self._parameters = signature.parameters
        self._batched = [p for p in signature.parameters if p.is_batched]
        self._shared = [p for p in signature.parameters if not p.is_batched]
        self._keyed = [p for p in self._batched if any(n < 0 for n in p.field.shape)]
        self._told_encoded = {
            p.name for p in signature.parameters if getattr(p.field, "is_told_encoded", False)
        }
        self._has_keys = signature.is_batched and bool(self._keyed or self._shared)
        self._measured = [p for p in self._batched if getattr(p.field, "length", None)]
        self.has_lengths = bool(self._measured)
        """Rows of several lengths may share a call, padded."""
        self._fed = _fed(signature)
        self._inputs = _inputs(signature)
        self._plain_inputs = _plain_inputs(signature)
        self.notes: dict[Hashable, Any] = {}
        """Of codecs, about the description (`protocols.Wire`)."""
        one: Any = item.item_type(signature)
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(
            one | list[one], dec_hook=read_plain
        ).decode
        self._getters = item.getters(signature)
        self._encode = msgspec.json.Encoder(enc_hook=plain).encode
        self._bulk = _bulk_reader(signature)
        self._is_open = any(getattr(p.field, "is_open", False) for p in signature.parameters)
        self._table = _table(signature)
        self._is_output_open = getattr(getattr(signature.output, "field", None), "is_open", False)
        self.description = Description(
            name=name or signature.name,
            version=version,
            doc=signature.doc,
            platform=platform,
            inputs=[spec for spec, _, _ in self._inputs.values()],
            outputs=[_with_rows(s, signature.has_rows) for s in self._output.specs],
            input_schema=item.input_schema(signature),
            output_schema=self._output.schema(),
            examples=tuple(examples),
            is_batched=signature.is_batched,
            is_stream=signature.is_stream,
            fed=signature.fed.name if signature.fed is not None else "",
            is_idempotent=signature.idempotent,
            headers=tuple(signature.headers),
            media_types=tuple(_media_types(self._fed.field)) if self._fed is not None else (),
            is_deterministic=signature.deterministic,
            answer_types=_answer_types(signature),
        )

    # Reading

    def read_json(self, body: bytes | memoryview) -> Call:
        """Read one JSON object as one item, an array of objects as many.

        Raises:
            BadInput: with the place of what is wrong.
        """
        if may_exceed(body, self.max_rows) and bytes(body).count(b"{") > self.max_rows:
            self._check_rows(count_rows(body))
        if self._bulk is not None and len(body) > BULK_BYTES:
            call: Call | None = self._bulk.read(body)
            if call is not None:
                self._check_rows(call.rows)
                return call
        try:
            read = self._decode(body)
        except _UNREADABLE as e:
            raise BadInput(told(e, body)) from None
        if self._is_open and (said := larger(body, read)):
            raise BadInput(said)
        if type(read) is list:
            self._check_rows(len(read))
            return Call(len(read), {n: list(map(get, read)) for n, get in self._getters})
        return Call(1, {n: [get(read)] for n, get in self._getters}, True)

    def read_media(self, content_type: str, body: bytes | memoryview) -> Call:
        """Read a bare image, sound or text as the only required input.

        Raises:
            UnsupportedMedia: no input takes this content type.
        """
        media = content_type.lower().partition(";")[0].strip()
        fed = self._fed
        if fed is None or not takes(media, self.description.media_types):
            expected = ", ".join(("application/json", *self.description.media_types))
            raise UnsupportedMedia(what="content type", found=media, expected=expected)
        if media in getattr(fed.field, "row_types", ()):
            return self._read_table(fed, content_type, body)
        columns = {p.name: [p.default] for p in self._parameters if p is not fed}
        value = _from_media(fed.field, media, body)
        return Call(1, {fed.name: [value], **columns}, is_single=True)

    def read_form(self, parts: Sequence[tuple[str, Part]]) -> Call:
        """Read the parts of a form, by the names of the inputs, as one item.

        Raises:
            BadInput: one is unknown, missing, given twice, or not of its type.
        """
        return read_form(self.signature, parts)

    def fetch_with(self, fetch: Fetch) -> None:
        """Let files be got by their URLs."""
        for p in self._parameters:
            fetch_with(p.field, fetch)

    def _read_table(self, fed: Parameter, content_type: str, body: bytes | memoryview) -> Call:
        """Read a body of many rows as the only required input."""
        read: Any = fed.field
        column = read.read_rows(content_type, body, self.max_rows, self.max_bytes)
        rows = len(column)
        others = {p.name: [p.default] * rows for p in self._parameters if p is not fed}
        return Call(rows, {fed.name: column, **others})

    def read_query(self, query: str) -> Call:
        """Read the inputs beside a stream of items from a query string; the items come later.

        Raises:
            BadInput: one is unknown, missing, given twice, or not of its type.
        """
        given = _fields(query)
        fed = self.signature.fed
        others = [p for p in self._parameters if p is not fed]
        if unknown := given.keys() - {p.name for p in others}:
            known = ", ".join(p.name for p in others) or "none"
            raise BadInput(f"query: there is no input named {min(unknown)!r}; known: {known}")
        columns: dict[str, Any] = {fed.name: [[]]} if fed is not None else {}
        for p in others:
            if p.name not in given and not p.is_optional:
                raise BadInput(f"query: input {p.name!r} is missing")
            value = _from_text(p, given[p.name]) if p.name in given else p.default
            columns[p.name] = [value]
        return Call(1, columns, is_single=True)

    def read_blocks(self, blocks: Mapping[str, Any]) -> Call:
        """Read named tensors with the rows in front.

        Raises:
            BadInput: one is unknown, missing, or of the wrong dtype or shape.
        """
        if self._plain_inputs and blocks.keys() == self._plain_inputs.keys():
            return self._read_plain(blocks)
        for name in blocks:
            if name not in self._inputs:
                known = ", ".join(self._inputs)
                raise BadInput(f"there is no input named {name!r}; known: {known}")
        rows = self._rows_of(blocks)
        self._check_rows(rows)
        read: dict[str, dict[str, Any]] = {p.name: {} for p in self._parameters}
        for name, (spec, parameter, part) in self._inputs.items():
            block = blocks.get(name)
            if block is not None:
                column = _read_block(name, spec, part[1], block)
                read[parameter.name][part[0]] = self._spread(name, parameter, column, block, rows)
            elif not spec.is_optional:
                raise BadInput(f"input {name!r} is missing")
        return Call(rows, {p.name: _column(p, read[p.name], rows) for p in self._parameters})

    def _check_rows(self, rows: int) -> None:
        if rows > self.max_rows:
            raise BadInput(where="body", expected=f"at most {self.max_rows} rows", found=rows)

    def _read_plain(self, blocks: Mapping[str, Block]) -> Call:
        """Every input is there, and each is one tensor with a row for each row."""
        rows = self._rows_of(blocks)
        self._check_rows(rows)
        columns = {}
        for name, field in self._plain_inputs.items():
            try:
                columns[name] = field.from_block(blocks[name])
            except BadInput as e:
                raise BadInput(f"input {name!r}: {e.message}", **e.fields) from e.__cause__
        return Call(rows, columns)

    def _rows_of(self, blocks: Mapping[str, Block]) -> int:
        if not self.signature.has_rows:
            return 1
        if len(blocks) == 1:
            (only,) = blocks.values()
            if only.shape:
                return only.shape[0]
        counts = {}
        for name, block in blocks.items():
            if not block.shape:
                raise BadInput(f"input {name!r}: expected a shape with the rows in front, found []")
            if self._inputs[name][1].is_batched or not self.signature.is_batched:
                counts[name] = block.shape[0]
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{n} {c}" for n, c in counts.items())
            raise BadInput(f"inputs have different numbers of rows: {found}")
        return next(iter(counts.values()), 1)

    def _spread(self, name: str, parameter: Parameter, column: Any, block: Block, rows: int) -> Any:
        """A shared parameter may be given once for all rows."""
        if not self.signature.has_rows or block.shape[0] == rows:
            return column
        if not parameter.is_batched and block.shape[0] == 1 and isinstance(column, list):
            return column * rows
        raise BadInput(f"input {name!r}: expected {rows} rows, found {block.shape[0]}")

    # Gathering

    def keys(self, call: Call) -> list[Hashable] | None:
        """The bucket key of each row: only rows of equal keys may meet; None where all may."""
        if not self._has_keys:
            return None
        if len(self._measured) > 1:
            self._check_lengths(call)
        return [
            (
                *(p.field.key(call.columns[p.name], row) for p in self._keyed),
                *(self._told_by(p, call, row) for p in self._shared),
            )
            for row in range(call.rows)
        ]

    def length(self, call: Call, row: int) -> int:
        """How long a row is on the axis by which rows meet."""
        first = self._measured[0]
        return int(first.field.length_of(call.columns[first.name], row))  # type: ignore[attr-defined]

    def _check_lengths(self, call: Call) -> None:
        """Refuse a row whose inputs differ in a length that they share. Raises BadInput."""
        for row in range(call.rows):
            found = {
                p.name: p.field.length_of(call.columns[p.name], row)  # type: ignore[attr-defined]
                for p in self._measured
            }
            if len(set(found.values())) > 1:
                told = ", ".join(f"{name} {length}" for name, length in found.items())
                raise BadInput(where=f"row {row}", expected="inputs of one length", found=told)

    def stretched(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, padded to the end of their bucket; for the proof that it changes nothing."""
        fields: dict[str, Any] = {p.name: p.field for p in self._measured}
        return {
            name: fields[name].stretched(
                value, fields[name].length.bucket(fields[name].length_of(value, 0))
            )
            if name in fields
            else value
            for name, value in arguments.items()
        }

    def cut_back(self, result: Result, call: Call, rows: Sequence[int] | None) -> Result:
        """Cut each row of an answer to the length that its question had."""
        name = self._measured[0].field.length.name  # type: ignore[attr-defined]
        asked = range(call.rows) if rows is None else rows
        lengths = [self.length(call, row) for row in asked]
        return Result(self._output.cut_back(result.values, name, lengths), result.errors)

    def gather(self, parts: Sequence[tuple[Call, Sequence[int] | None]]) -> dict[str, Any]:
        """Make the arguments of one model call.

        Args:
            parts: calls, with the rows of each that take part (None is all); their keys are equal.

        Raises:
            BadInput: a value of one of them does not fit.
        """
        arguments: dict[str, Any] = {
            p.name: _gathered(
                p,
                [
                    call.columns[p.name]
                    if rows is None
                    else _take(p.field, call.columns[p.name], rows)
                    for call, rows in parts
                ],
            )
            for p in self._batched
        }
        call, rows = parts[0]
        for p in self._shared:
            arguments[p.name] = self._value(p, call, rows[0] if rows else 0)
        return arguments

    def identity(self, call: Call, row: int) -> list[Any]:
        """What must be equal for two rows to be the same question. Raises BadInput."""
        return [self._named(p, call, row) for p in self._parameters]

    def _named(self, parameter: Parameter, call: Call, row: int) -> Any:
        column = call.columns[parameter.name]
        if isinstance(column, Columns):
            return sorted((name, cells[row]) for name, cells in column.lists.items())
        if hasattr(
            parameter.field, "row_types"
        ):  # a table is made of many rows, none is made of one
            return column[row]
        return self._told_by(parameter, call, row)

    def _told_by(self, parameter: Parameter, call: Call, row: int) -> Hashable:
        """What tells a value from others. Raises BadInput."""
        if parameter.name not in self._told_encoded:
            return parameter.field.share_key(self._value(parameter, call, row))
        try:
            return parameter.field.share_key(call.columns[parameter.name][row])
        except CallerError as e:
            raise placed(e, parameter.name) from e

    def item(self, call: Call, row: int) -> dict[str, Any]:
        """Make the arguments of a call for one item. Raises BadInput."""
        return {p.name: self._value(p, call, row) for p in self._parameters}

    def _value(self, parameter: Parameter, call: Call, row: int) -> Any:
        column = call.columns[parameter.name]
        if type(parameter.field) in (ValueField, StructField):
            return column[row]
        return _gathered(parameter, [_take(parameter.field, column, range(row, row + 1))])[0]

    # Scattering

    def scatter(self, output: Any, rows: int) -> Result:
        """Check what predict answered for a batch of `rows`. Raises BadOutput."""
        return Result(*self._output.check(output, rows))

    def check_item(self, value: Any) -> Any:
        """Check the answer for one item, or one item of a stream. Raises BadOutput, Rejected."""
        return self._output.check_item(value)

    def split(self, result: Result, sizes: Sequence[int]) -> list[Result]:
        """Cut the answer of a model call for those who asked, in order."""
        if len(sizes) == 1:
            return [result]
        parts = [Result(values) for values in self._output.split(result.values, sizes)]
        if result.errors:
            start = 0
            for part, size in zip(parts, sizes, strict=True):
                errors = result.errors.items()
                part.errors = {i - start: e for i, e in errors if start <= i < start + size}
                start += size
        return parts

    def join(self, results: Sequence[Result]) -> Result:
        """Put the parts of an answer together, in order."""
        errors = {}
        start = 0
        for result in results:
            errors.update({start + i: e for i, e in result.errors.items()})
            start += self.rows(result)
        return Result(self._output.join([r.values for r in results]), errors)

    def rows(self, result: Result) -> int:
        """How many rows an answer has."""
        values = result.values
        return len(next(iter(values.values())) if isinstance(values, dict) else values)

    def empty(self) -> Result:
        """The answer to no rows."""
        return Result(self._output.empty() if self.signature.is_batched else [])

    # Writing

    def write_json(self, result: Result, *, is_single: bool) -> bytes:
        """Write the answer as JSON: the value itself, or a list. NaN and infinities become null."""
        if is_single:
            return self._written(self._output.first(result.values))
        return self._written(self._output.to_json(result.values))

    def write_item(self, value: Any) -> bytes:
        """Write one answer, or one item of a stream, as JSON."""
        return self._written(self._output.first([value]))

    def write_media(self, accept: str, result: Result) -> tuple[str, bytes] | None:
        """Write the answer in a content type that is preferred to JSON; None where JSON is right.

        Args:
            accept: what the caller accepts, as in HTTP (RFC 9110 section 12.5.1).
            result: the answer.

        Raises:
            UnsupportedMedia: a library that it needs is missing.
        """
        if self._table is None:
            return None
        media = preferred(accept, self.description.answer_types)
        return (media, self._table(media, result.values)) if media else None

    def write_values(self, result: Result) -> list[Any]:
        """Make of the answers what JSON is written of, one a row; with the numbers for which JSON has no words."""
        try:
            values = self._output.to_json(result.values)
            return msgspec.to_builtins(values, enc_hook=plain)  # type: ignore[no-any-return]
        except (TypeError, ValueError, RecursionError) as e:
            raise BadOutput(f"the model's answer can't be written as JSON: {e}") from e

    def _written(self, value: Any) -> bytes:
        try:
            text = self._encode(value)
        except (TypeError, ValueError, RecursionError) as e:
            raise BadOutput(f"the model's answer can't be written as JSON: {e}") from e
        if self._is_output_open and (said := larger(text)):
            raise BadOutput(f"the model's answer is not what its signature promises: {said}")
        return text

    def write_blocks(self, result: Result) -> list[tuple[str, Block]]:
        """Write the answer as named tensors, rows in front."""
        blocks = self._output.to_blocks(result.values)
        if self.signature.has_rows:
            return blocks
        return [(n, Block(b.dtype, b.shape[1:], b.data)) for n, b in blocks]

    def write_texts(self, result: Result) -> tuple[bytes, ...] | None:
        """Write the elements of each output, in order, as JSON without brackets; None where not for a whole batch."""
        return self._output.to_texts(result.values) if self.signature.has_rows else None


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError:
        raise BadInput(
            where="query", expected="at most 100 fields in UTF-8", found="others"
        ) from None
    if len(dict(pairs)) != len(pairs):
        raise BadInput(where="query", expected="each input once", found="one given twice")
    return dict(pairs)


def _from_text(parameter: Parameter, text: str) -> Any:
    """A value as a query writes it: plain where its type is plain, else JSON."""
    kind = parameter.field.json_type
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as e:
        plain_error = e
    try:
        return msgspec.json.decode(text, type=kind)
    except _UNREADABLE:
        raise BadInput(f"query: input {parameter.name!r}: {told(plain_error)}") from None


Input = tuple[TensorSpec, Parameter, tuple[str, Field]]
"""A tensor, its parameter, and the name and field of the part that it holds."""


def _inputs(signature: Signature) -> dict[str, Input]:
    """The input tensors by name: one a parameter, or one for each field of a flat struct."""
    found: dict[str, Input] = {}
    for p in signature.parameters:
        parts: Mapping[str, Field] | None = getattr(p.field, "parts", None)
        optional: frozenset[str] = getattr(p.field, "optional", frozenset())
        for part, field in (parts or {"": p.field}).items():
            prefix = f"{p.name}." if len(signature.parameters) > 1 else ""
            name = f"{prefix}{part}" if parts else p.name
            spec = TensorSpec(
                name, field.dtype, field.shape, field.is_json, p.is_optional or part in optional
            )
            found[name] = (_with_rows(spec, signature.has_rows), p, (part, field))
    return found


def _plain_inputs(signature: Signature) -> dict[str, Field]:
    """The fields of the inputs where each is one tensor with the rows in front; else none."""
    is_plain = signature.has_rows and all(
        p.is_batched is signature.is_batched and not hasattr(p.field, "parts")
        for p in signature.parameters
    )
    return {p.name: p.field for p in signature.parameters} if is_plain else {}


def _with_rows(spec: TensorSpec, has_rows: bool) -> TensorSpec:
    if has_rows:
        return spec
    return TensorSpec(
        spec.name, spec.dtype, spec.shape, spec.is_json, spec.is_optional, has_rows=False
    )


def _bulk_reader(signature: Signature) -> Any:
    fields = {p.name: p.field for p in signature.parameters}
    if not all(hasattr(f, "has_batch") and f.shape for f in fields.values()):
        return None
    from headway.model import bulk  # noqa: PLC0415  (predictors without arrays import no numpy)

    return bulk.BulkReader(fields) if bulk.can_read(fields) else None


def _gathered(parameter: Parameter, columns: Sequence[Any]) -> Any:
    try:
        return parameter.field.gather(columns)
    except CallerError as e:
        raise placed(e, parameter.name) from e


def _fed(signature: Signature) -> Parameter | None:
    """The parameter that a bare body feeds: the only required one, or the first where none is."""
    needed = [p for p in signature.parameters if not p.is_optional] or signature.parameters[:1]
    return needed[0] if len(needed) == 1 else None


def _tables(signature: Signature) -> list[Any]:
    """The fields of a signature that are tables."""
    fields = (*(p.field for p in signature.parameters), getattr(signature.output, "field", None))
    return [f for f in fields if hasattr(f, "row_types")]


def _table(signature: Signature) -> Any:
    """What writes an answer as a table: only where one comes in or goes out, and the answer is flat."""
    return next((f.answers(signature.output) for f in _tables(signature)), None)


def _answer_types(signature: Signature) -> Sequence[str]:
    if _table(signature) is None:
        return ()
    return tuple(_tables(signature)[0].row_types)


def _media_types(field: Field) -> Sequence[str]:
    if field.json_type is str and isinstance(field, ValueField):
        return ("text/plain",)
    own: Sequence[str] = getattr(field, "media_types", ())
    return (*own, "application/octet-stream") if field.json_type is bytes else own


def _from_media(field: Field, media: str, body: bytes | memoryview) -> Any:
    if media == "text/plain":
        try:
            return bytes(body).decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput(where="body", expected="text in UTF-8", found="other bytes") from None
    if media == "application/octet-stream" and field.json_type is bytes:
        return bytes(body)
    return field.from_media(body, media)  # type: ignore[attr-defined]


def _read_block(name: str, spec: TensorSpec, field: Field, block: Block) -> Any:
    if not spec.has_rows:
        block = Block(block.dtype, (1, *block.shape), block.data, block.is_json)
    try:
        return field.from_block(block)
    except BadInput as e:
        raise BadInput(f"input {name!r}: {e.message}", **e.fields) from e.__cause__


def _column(parameter: Parameter, parts: Mapping[str, Any], rows: int) -> Any:
    """A parameter's column from the tensors that were given for it."""
    if not hasattr(parameter.field, "parts"):
        return parts.get("", [parameter.default] * rows)
    if parameter.is_optional and not parts:
        return [parameter.default] * rows
    if missing := set(parameter.field.parts) - set(parts) - parameter.field.optional:  # type: ignore[attr-defined]
        raise BadInput(f"input {min(missing)!r} is missing")
    return parameter.field.from_parts(parts, rows)  # type: ignore[attr-defined]


def _take(field: Field, column: Any, rows: Sequence[int]) -> Any:
    """Some rows of a column."""
    if not isinstance(column, list):
        column = field.array(column)  # type: ignore[attr-defined]
    if isinstance(rows, range) and rows.step == 1:
        return column[rows.start : rows.stop]
    return [column[i] for i in rows] if isinstance(column, list) else column[list(rows)]
