"""What a predictor takes and answers, read from its annotations or from a model file's tensors.

The annotation is the only switch: a plain type is one item; `Batch[T]`, an array with a "batch"
axis and a table of rows are a whole batch. What can't be served is refused here, with the
parameter, what was found and what would work.
"""

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

import msgspec

from headway.errors import SignatureError
from headway.model.call import TensorSpec
from headway.model.field import Field
from headway.model.kind import field_of_mark, field_of_type
from headway.model.marks import BatchMark, Context, Reject, Rows, Tensor
from headway.model.nested import nested_field
from headway.model.output import ArrayOutput, ColumnsOutput, ListOutput, Output, TableOutput
from headway.model.predictor import Predictor, traits_of
from headway.model.series import SeriesField
from headway.model.values import (
    bare,
    marks_of,
    plain,
    read_plain,
    show,
    struct_fields,
    value_field,
    without,
)

MISSING = inspect.Parameter.empty
_STREAMS = (
    *(collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable),
    *(collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable),
)
_FEEDS = {
    collections.abc.Iterator: False,
    collections.abc.Iterable: False,
    collections.abc.AsyncIterator: True,
    collections.abc.AsyncIterable: True,
}
"""What a parameter that takes a stream is annotated with, and whether it is an async one."""
_PLAIN_DEFAULTS = "give it a default that JSON can hold, or none"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a predictor."""

    name: str
    field: Field
    is_batched: bool
    default: Any = MISSING
    """As the function has it."""

    @property
    def is_optional(self) -> bool:
        """The caller may leave it out."""
        return self.default is not MISSING


@dataclass(frozen=True, slots=True)
class Signature:
    """What a predictor takes and answers."""

    name: str
    doc: str
    parameters: Sequence[Parameter]
    output: Output
    is_batched: bool
    is_stream: bool = False
    is_async: bool = False
    context: str | None = None
    """Name of the parameter that gets the request's Context."""
    headers: Sequence[str] = ()
    idempotent: bool = True
    deterministic: bool = True
    thread_safe: bool = False
    has_rows: bool = True
    """False for a model file whose first axis is not proven to be rows: each request is a call."""

    @property
    def is_flat(self) -> bool:
        """The only input is a table's row: its fields are the inputs."""
        return len(self.parameters) == 1 and hasattr(self.parameters[0].field, "row_type")

    @property
    def fed(self) -> Parameter | None:
        """The input that is a stream of items."""
        return next((p for p in self.parameters if isinstance(p.field, SeriesField)), None)


def read_signature(what: Any, method: str = "predict") -> Signature:
    """Read a Predictor class or instance, or an annotated function.

    Args:
        what: the predictor.
        method: which of a Predictor's methods is asked.

    Raises:
        SignatureError: it can't be served.
    """
    is_class = isinstance(what, type)
    name = what.__name__ if is_class or inspect.isroutine(what) else type(what).__name__
    function = _function_of(what, name, method)
    hints = _hints(function, name)
    parameters, context = _parameters(function, hints, name, has_self=is_class)
    is_batched = any(p.is_batched for p in parameters)
    output, is_stream = _output(hints.get("return", MISSING), name, is_batched=is_batched)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    _check_feeds(parameters, name, is_stream=is_stream, is_async=is_async)
    traits = traits_of(what)
    return Signature(
        name=name,
        doc=inspect.cleandoc(_doc(what, function)),
        parameters=parameters,
        output=output,
        is_batched=is_batched,
        is_stream=is_stream,
        is_async=is_async,
        context=context,
        headers=tuple(h.lower() for h in traits.headers),
        idempotent=traits.idempotent,
        deterministic=traits.deterministic,
        thread_safe=traits.thread_safe,
    )


def read_explain(what: Any) -> Signature | None:
    """The signature of a Predictor's `explain`; None where it has none. Raises SignatureError."""
    if not isinstance(what, type) or not hasattr(what, "explain"):
        return None
    signature = read_signature(what, "explain")
    if signature.is_stream:
        advice = "answer one explanation an item"
        raise SignatureError(where=f"{what.__name__}.explain", found="a stream", advice=advice)
    return replace(signature, doc=inspect.cleandoc(what.explain.__doc__ or ""))


def faults(what: Any) -> list[tuple[str, SignatureError]]:
    """All that keeps a predictor from being served, each with its parameter's name ("return": the answer, "": all)."""
    name = what.__name__ if isinstance(what, type) or inspect.isroutine(what) else str(what)
    try:
        function = _function_of(what, name)
        hints = _hints(function, name)
    except SignatureError as e:
        return [("", e)]
    found: list[tuple[str, SignatureError]] = []
    for p in list(inspect.signature(function).parameters.values())[isinstance(what, type) :]:
        try:
            where = f"{name}: parameter {p.name!r}"
            annotation = _annotation(p, hints, where)
            if bare(annotation) is not Context:
                _parameter(p, annotation, where)
        except SignatureError as e:
            found.append((p.name, e))
    # Whether the answer is a batch's is not known while a parameter is wrong: what is wrong either way is told.
    said = {_output_fault(hints, name, is_batched=is_batched) for is_batched in (True, False)}
    if len(said) == 1 and None not in said:
        found.append(("return", SignatureError(str(said.pop()))))
    if not found:
        try:
            read_signature(what)
        except SignatureError as e:
            found.append(("", e))
    return found


def _output_fault(hints: Mapping[str, Any], name: str, *, is_batched: bool) -> str | None:
    try:
        _output(hints.get("return", MISSING), name, is_batched=is_batched)
    except SignatureError as e:
        return e.message
    return None


def of_tensors(
    name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], doc: str = ""
) -> Signature:
    """The signature of a bare model file: its tensors by their own names.

    Args:
        name: of the model.
        inputs: what it takes; shapes without the rows' axis where `has_rows`.
        outputs: what it answers.
        doc: what is known of it.

    Raises:
        SignatureError: a tensor's dtype can't be served, or the file tells no tensors.
    """
    if not inputs or not outputs:
        advice = "write a Predictor that opens it"
        raise SignatureError(
            where=name, found="a model file that does not tell its tensors", advice=advice
        )
    has_rows = all(t.has_rows for t in (*inputs, *outputs))
    columns = {t.name: ArrayOutput(_tensor_field(t, has_rows), t.name) for t in outputs}
    return Signature(
        name=name,
        doc=doc,
        parameters=[Parameter(t.name, _tensor_field(t, has_rows), has_rows) for t in inputs],
        output=next(iter(columns.values())) if len(columns) == 1 else ColumnsOutput(columns),
        is_batched=has_rows,
        thread_safe=True,
        has_rows=has_rows,
    )


def _tensor_field(spec: TensorSpec, has_rows: bool) -> Field:
    shape = [n if n >= 0 else None for n in spec.shape]
    mark = Tensor(spec.dtype, *(["batch"] if has_rows else []), *shape)
    field = field_of_mark(Any, (mark,))
    assert field is not None
    return field


def _function_of(what: Any, name: str, method: str = "predict") -> Callable[..., Any]:
    is_predictor = isinstance(what, Predictor) or (
        isinstance(what, type) and issubclass(what, Predictor)
    )
    function = getattr(what, method, None) if is_predictor else what
    if not callable(function) or isinstance(function, type):
        found = f"{show(what) if isinstance(what, type) else name} without a predict method"
        advice = "write `def predict(self, ...)` on a hw.Predictor, or an annotated function"
        raise SignatureError(where=name, found=found, advice=advice)
    checked: Callable[..., Any] = function
    return checked


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as e:
        advice = (
            "import what it names at the top of the module, outside TYPE_CHECKING and functions"
        )
        raise SignatureError(where=name, found=f"an annotation with an {e}", advice=advice) from e
    except TypeError as e:
        raise SignatureError(
            where=name, found=f"a wrong annotation ({e})", advice="correct it"
        ) from e


def _doc(what: Any, function: Callable[..., Any]) -> str:
    own = getattr(what, "__doc__", None) if what is not Predictor else None
    return own or function.__doc__ or ""


def _parameters(
    function: Callable[..., Any], hints: Mapping[str, Any], name: str, *, has_self: bool
) -> tuple[list[Parameter], str | None]:
    found = list(inspect.signature(function).parameters.values())[1 if has_self else 0 :]
    context = None
    parameters = []
    for p in found:
        where = f"{name}: parameter {p.name!r}"
        annotation = _annotation(p, hints, where)
        if bare(annotation) is Context:
            context = p.name
        else:
            parameters.append(_parameter(p, annotation, where))
    if not parameters:
        raise SignatureError(
            where=name, found="no inputs", advice="give predict at least one parameter"
        )
    return parameters, context


def _annotation(p: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Any:
    if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
        star = "*" if p.kind is p.VAR_POSITIONAL else "**"
        advice = "name each input, since a request names them"
        raise SignatureError(where=where, found=f"{star}{p.name}", advice=advice)
    if p.kind is p.POSITIONAL_ONLY:
        advice = "remove the `/`, since inputs are passed by name"
        raise SignatureError(where=where, found="a positional-only parameter", advice=advice)
    if p.name not in hints:
        advice = f"write its type, such as `{p.name}: str` or `{p.name}: hw.Batch[str]`"
        raise SignatureError(where=where, found="no annotation", advice=advice)
    return hints[p.name]


def _parameter(p: inspect.Parameter, annotation: Any, where: str) -> Parameter:
    series = _series(annotation, where)
    field, is_batched = (series, False) if series is not None else _read_field(annotation, where)
    if getattr(field, "is_columnar", False):
        advice = "give each array its own parameter"
        raise SignatureError(where=where, found="a struct of arrays", advice=advice)
    default = MISSING if p.default is p.empty else p.default
    if default is not MISSING:
        _check_default(field, default, where, is_batched=is_batched)
    return Parameter(p.name, field, is_batched, default)


def _check_feeds(
    parameters: Sequence[Parameter], name: str, *, is_stream: bool, is_async: bool
) -> None:
    """A stream is answered while it comes, and waited for as its predictor waits."""
    feeds = [p for p in parameters if isinstance(p.field, SeriesField)]
    where = f"{name}: parameter {feeds[-1].name!r}" if feeds else ""
    if len(feeds) > 1:
        advice = "take one stream whose items tell what they are"
        raise SignatureError(where=where, found="a second stream", advice=advice)
    if feeds and not is_stream:
        advice = "answer a stream too: `-> Iterator[...]`, of one item if there is one answer"
        raise SignatureError(where=where, found="a stream without one as the answer", advice=advice)
    if feeds and feeds[0].field.is_async is not is_async:  # type: ignore[attr-defined]
        kind = "AsyncIterator[...]" if is_async else "Iterator[...]"
        other = "an `async def`" if is_async else "a `def`"
        advice = f"take {kind} in {other}"
        raise SignatureError(where=where, found="a stream of the other kind", advice=advice)


def _series(annotation: Any, where: str) -> SeriesField | None:
    """The field of a parameter that takes a stream; None where it is none."""
    origin = get_origin(bare(annotation))
    if origin not in _FEEDS:
        return None
    field, is_batched = _read_field(get_args(bare(annotation))[0], where)
    if is_batched:
        advice = "a stream has one item after another: take plain types, not a batch"
        raise SignatureError(where=where, found="a stream of batches", advice=advice)
    return SeriesField(field, is_async=_FEEDS[origin])


def _check_default(field: Field, default: Any, where: str, *, is_batched: bool) -> None:
    if is_batched and isinstance(default, list):
        found = "a list as the default of a batch"
        raise SignatureError(
            where=where, found=found, advice="a default stands for one row; leave it out"
        )
    try:
        msgspec.json.encode(default, enc_hook=plain)
        wanted = getattr(field, "default_type", field.json_type)
        msgspec.convert(default, wanted, dec_hook=read_plain)
    except (TypeError, msgspec.ValidationError, msgspec.EncodeError) as e:
        raise SignatureError(
            where=where, found=f"the default {default!r}", advice=_PLAIN_DEFAULTS
        ) from e


def _read_field(annotation: Any, where: str) -> tuple[Field, bool]:
    """The field of an annotation, and whether a whole batch of it is meant."""
    marks = marks_of(annotation)
    if any(isinstance(m, BatchMark) for m in marks):
        (item,) = get_args(bare(annotation))
        field, is_batched = _read_field(item, where)
        if is_batched:
            advice = 'write hw.Batch[...] or a "batch" axis, not both'
            raise SignatureError(where=where, found="a batch of batches", advice=advice)
        return field, True
    field_of_kind = _of_kind(annotation, marks, where)
    if field_of_kind is not None:
        return field_of_kind, bool(getattr(field_of_kind, "has_batch", False))
    _refuse_bare(annotation, where)
    return nested_field(annotation, where) or value_field(annotation, where), False


def _of_kind(annotation: Any, marks: Sequence[Any], where: str) -> Field | None:
    try:
        return field_of_mark(bare(annotation), marks) or field_of_type(bare(annotation), marks)
    except SignatureError as e:
        raise SignatureError(f"{where}: {e.message}", **e.fields) from e


def _refuse_bare(annotation: Any, where: str) -> None:
    """Arrays say their shape by a mark; a bare one is the likeliest mistake of all."""
    origin = get_origin(bare(annotation)) or bare(annotation)
    place = f"{getattr(origin, '__module__', '')}.{getattr(origin, '__qualname__', '')}"
    if place == "numpy.ndarray":
        advice = 'write Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 10)]'
        raise SignatureError(where=where, found="an array without its mark", advice=advice)
    if any(isinstance(m, Rows) for m in marks_of(annotation)):
        advice = "annotate a pandas.DataFrame, polars.DataFrame or pyarrow.Table"
        raise SignatureError(
            where=where, found=f"hw.Rows of {show(bare(annotation))}", advice=advice
        )


def _output(annotation: Any, name: str, *, is_batched: bool) -> tuple[Output, bool]:
    where = f"{name}: the answer"
    if annotation in (MISSING, type(None), None):
        advice = "write the type that predict answers after `->`"
        raise SignatureError(
            where=where, found="no annotation" if annotation is MISSING else "None", advice=advice
        )
    origin = get_origin(bare(annotation))
    if origin in _STREAMS:
        if is_batched:
            advice = "a stream answers one item: take plain types, not a batch"
            raise SignatureError(where=where, found="a stream for a batch", advice=advice)
        return ListOutput(_item_output(get_args(bare(annotation))[0], where)), True
    output, answers_batch = _read_output(annotation, where)
    if answers_batch != is_batched:
        raise _mixed(where, is_batched=is_batched)
    return output, False


def _mixed(where: str, *, is_batched: bool) -> SignatureError:
    if is_batched:
        advice = 'answer hw.Batch[...] or an array with a "batch" axis'
        return SignatureError(where=where, found="one answer for a whole batch", advice=advice)
    advice = "take hw.Batch[...] too, or answer one item"
    return SignatureError(where=where, found="a batch, though no parameter is one", advice=advice)


def _read_output(annotation: Any, where: str) -> tuple[Output, bool]:
    marks = marks_of(annotation)
    if any(isinstance(m, BatchMark) for m in marks):
        return ListOutput(_item_output(get_args(bare(annotation))[0], where)), True
    columns = _columns(annotation, where)
    if columns:
        return ColumnsOutput(columns), True
    field = _item_output(annotation, where, may_batch=True)
    if getattr(field, "row_type", None) is not None:
        return TableOutput(field), True
    if getattr(field, "has_batch", False):
        return ArrayOutput(field), True
    return ListOutput(field), False


def _item_output(annotation: Any, where: str, *, may_batch: bool = False) -> Field:
    field, is_batched = _read_field(without(annotation, Reject), where)
    if is_batched and not may_batch:
        raise SignatureError(
            where=where, found="a batch within a batch", advice='leave "batch" out of one'
        )
    return field


def _columns(annotation: Any, where: str) -> dict[str, ArrayOutput] | None:
    """The arrays of a struct that has a "batch" axis in each; None where it is no such struct."""
    hints = struct_fields(bare(annotation)) or {}
    fields = {n: _of_kind(h, marks_of(h), f"{where}: {n}") for n, h in hints.items() if marks_of(h)}
    batched = {n: f for n, f in fields.items() if getattr(f, "has_batch", False)}
    if not batched:
        return None
    if set(batched) != set(hints):
        others = ", ".join(sorted(set(hints) - set(batched)))
        found = f'{others} without a "batch" axis beside {min(batched)} with one'
        advice = 'give each field an array with a "batch" axis'
        raise SignatureError(where=where, found=found, advice=advice)
    return {n: ArrayOutput(f, n) for n, f in batched.items()}
