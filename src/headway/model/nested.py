"""Kinds inside of other types: in structs, lists, dicts, tuples, Optional and unions.

Theory of operation. A type that holds kinds has a twin of which msgspec knows every part: each kind is
its JSON form there. JSON is read into the twin, so that shapes, limits and tags are checked at once;
files are decoded when a batch is made, like those of kinds that are inputs by themselves. Answers go the
other way. A type without kinds has no twin and is none of this module's business.
"""

import enum
import types
import typing
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta

from headway.errors import BadInput, BadOutput, SignatureError
from headway.model.call import Block
from headway.model.field import Field
from headway.model.integers import held
from headway.model.kind import field_of_mark, field_of_type
from headway.model.media import Fetch, MediaField, Part, Room
from headway.model.values import (
    ValueField,
    bare,
    marks_of,
    plain,
    read_plain,
    schema_hook,
    struct_fields,
    struct_optional,
    wrong_answer,
)

_LISTS = (list, Sequence)
_DICTS = (dict, Mapping)


@dataclass(frozen=True, slots=True)
class Twin:
    """A type as msgspec reads it, and the way to the real one and back."""

    kind: Any
    reads: tuple[type, ...]
    """Of values that msgspec made of it: tells the members of a union apart."""
    read: Callable[[Any, Room], Any]
    write: Callable[[Any], Any]
    """Raises BadOutput for what is no such value."""
    fields: tuple[Field, ...]


def _identity(value: Any, _: Room) -> Any:
    return value


def twin_of(annotation: Any, where: str, above: tuple[Any, ...] = ()) -> Twin | None:
    """The twin of a type; None where it holds no kind.

    Raises:
        SignatureError: it holds one that has no place there.
    """
    kind, marks = bare(annotation), marks_of(annotation)
    if field := field_of_mark(kind, marks) or field_of_type(kind, marks):
        # What msgspec reads by itself, with a hook of ours, needs no twin.
        return None if hasattr(field, "from_plain") else _leaf(field, where)
    if kind in above:
        return None
    origin, parts = get_origin(kind), get_args(kind)
    twins = [twin_of(p, where, above) for p in parts if p is not ...]
    hints = _hints(kind)
    if hints is not None:
        inner = {n: twin_of(h, f"{where}: {n}", (*above, kind)) for n, h in hints.items()}
        found = _struct(kind, hints, inner) if any(inner.values()) else None
    elif not any(twins):
        return None
    elif origin in (Union, types.UnionType):
        found = _union(parts, twins, where)
    elif origin in _LISTS:
        found = _list(twins[0])
    elif origin in _DICTS and twins[0] is None:
        found = _dict(parts[0], twins[1])
    elif origin is tuple:
        found = _tuple(parts, twins)
    else:
        advice = "put it into a struct, list, dict or tuple"
        raise SignatureError(where=where, found="a kind at such a place", advice=advice)
    if found is None or not marks:
        return found
    limits = tuple(m for m in marks if isinstance(m, Meta))
    wrapped = Annotated[(found.kind, *limits)] if limits else found.kind
    return Twin(wrapped, found.reads, found.read, found.write, found.fields)


def _leaf(field: Field, where: str) -> Twin:
    if getattr(field, "has_batch", False):
        advice = "give it a parameter of its own"
        found = 'a table, or a "batch" axis, inside of another type'
        raise SignatureError(where=where, found=found, advice=advice)

    def read(value: Any, room: Room) -> Any:
        return room.take(field.gather([[value]])[0])

    def write(value: Any) -> Any:
        return field.to_json(field.check([value]))[0]

    json_type: Any = field.json_type
    kind = Annotated[json_type, Meta(extra_json_schema=field.schema())]
    made: tuple[type, ...] = (str, Part) if field.json_type is str else (list, dict)
    return Twin(kind, made, read, write, (field,))


def _fields(twins: Sequence[Twin | None]) -> tuple[Field, ...]:
    return tuple(f for t in twins if t is not None for f in t.fields)


def _union(parts: Sequence[Any], twins: Sequence[Twin | None], where: str) -> Twin:
    members = [t for t in twins if t is not None]
    plain_texts = [p for p, t in zip(parts, twins, strict=True) if t is None and _is_text(p)]
    reads = tuple(r for t in members for r in t.reads)
    if len(set(reads)) < len(reads) or (str in reads and plain_texts):
        advice = (
            "let at most one member of a union be text, a list or an object, or tag its structs"
        )
        found = "a union that JSON can't tell apart"
        raise SignatureError(where=where, found=found, advice=advice)

    def read(value: Any, room: Room) -> Any:
        member = next((t for t in members if isinstance(value, t.reads)), None)
        return value if member is None else member.read(value, room)

    def write(value: Any) -> Any:
        for member in members:
            try:
                return member.write(value)
            except BadOutput:
                continue
        return value  # one that msgspec knows, or none at all: it will say

    kinds = tuple(held(p) if t is None else t.kind for p, t in zip(parts, twins, strict=True))
    return Twin(Union[kinds], reads, read, write, _fields(members))  # noqa: UP007  (of a tuple)


def _is_text(annotation: Any) -> bool:
    kind = bare(annotation)
    is_enum = isinstance(kind, type) and issubclass(kind, enum.Enum)
    return kind in (str, bytes) or is_enum or get_origin(kind) is Literal


def _list(inner: Twin | None) -> Twin:
    assert inner is not None

    def write(values: Any) -> Any:
        return [inner.write(v) for v in _of(values, (list, tuple))]

    def read(values: Any, room: Room) -> Any:
        return [inner.read(v, room) for v in values]

    return Twin(list[inner.kind], (list,), read, write, inner.fields)  # type: ignore[name-defined]


def _dict(key: Any, inner: Twin | None) -> Twin:
    assert inner is not None

    def write(values: Any) -> Any:
        return {k: inner.write(v) for k, v in _of(values, dict).items()}

    def read(values: Any, room: Room) -> Any:
        return {k: inner.read(v, room) for k, v in values.items()}

    return Twin(dict[held(key), inner.kind], (dict,), read, write, inner.fields)  # type: ignore[misc]


def _tuple(parts: Sequence[Any], twins: Sequence[Twin | None]) -> Twin:
    is_open = parts[-1] is ...
    ways = [t or Twin(held(p), (), _identity, lambda v: v, ()) for p, t in zip(parts, twins)]  # noqa: B905

    def each(values: Any) -> Iterator[tuple[Any, Twin]]:
        return zip(values, ways * len(values) if is_open else ways, strict=not is_open)

    def write(values: Any) -> Any:
        if not is_open and len(_of(values, (list, tuple))) != len(ways):
            raise BadOutput(expected=f"a tuple of {len(ways)}", found=len(values))
        return tuple(way.write(v) for v, way in each(_of(values, (list, tuple))))

    def read(values: Any, room: Room) -> Any:
        return tuple(way.read(v, room) for v, way in each(values))

    kinds = (*(way.kind for way in ways), *([...] if is_open else []))
    return Twin(types.GenericAlias(tuple, kinds), (tuple,), read, write, _fields(twins))


def _of(value: Any, wanted: Any) -> Any:
    if not isinstance(value, wanted):
        names = wanted if isinstance(wanted, tuple) else (wanted,)
        expected = " or ".join(t.__name__ for t in names)
        raise BadOutput(expected=expected, found=type(value).__name__)
    return value


# Structs


def _hints(kind: Any) -> dict[str, Any] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {n: hints[n] for n in kind.__struct_fields__}
    return struct_fields(kind)


def _struct(kind: Any, hints: Mapping[str, Any], inner: Mapping[str, Twin | None]) -> Twin:
    shadow = _shadow(kind, hints, inner)
    is_dict = typing.is_typeddict(kind)

    def read(value: Any, room: Room) -> Any:
        given = {n: v for n in inner if (v := getattr(value, n)) is not UNSET}
        made = {n: t.read(v, room) if (t := inner[n]) else v for n, v in given.items()}
        try:
            return made if is_dict else kind(**made)
        except (ValueError, TypeError) as e:  # its author's __post_init__ checks more
            raise BadInput(str(e)) from e

    def write(value: Any) -> Any:
        if not is_dict:
            _of(value, kind)
        held_by = _of(value, dict) if is_dict else {n: getattr(value, n, UNSET) for n in inner}
        given = {n: held_by[n] for n in inner if held_by.get(n, UNSET) is not UNSET}
        made = {n: t.write(v) if (t := inner[n]) else v for n, v in given.items()}
        try:
            return shadow(**made)
        except TypeError as e:
            raise wrong_answer(e) from e

    return Twin(shadow, (shadow,), read, write, _fields(list(inner.values())))


def _shadow(kind: Any, hints: Mapping[str, Any], inner: Mapping[str, Twin | None]) -> Any:
    optional = struct_optional(kind)
    fields: list[Any] = []
    for name, hint in hints.items():
        twin = inner[name]
        part = held(hint) if twin is None else twin.kind
        if name in optional:
            fields.append((name, part | msgspec.UnsetType, UNSET))
        else:
            fields.append((name, part))
    options: dict[str, Any] = {}
    if issubclass(kind, msgspec.Struct):
        config = kind.__struct_config__
        options = {
            "tag": config.tag,
            "tag_field": config.tag_field,
            "array_like": config.array_like,
            "forbid_unknown_fields": config.forbid_unknown_fields,
            "rename": dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)),
        }
    doc = {"__doc__": kind.__doc__} if kind.__doc__ else {}
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, namespace=doc, **options)


# The fields


class NestedField(ValueField):
    """A value with kinds inside."""

    is_told_encoded = True

    def __init__(self, annotation: Any, twin: Twin) -> None:
        super().__init__(twin.kind)
        self.default_type = annotation
        self._twin = twin
        self.is_repeated = bool(
            get_origin(bare(annotation)) in _LISTS and isinstance(twin.fields[0], MediaField)
        )
        """A form may hold a part for each element."""

    def fetch_with(self, fetch: Fetch) -> None:
        """Let the kinds inside get URLs."""
        for field in self._twin.fields:
            fetch_with(field, fetch)

    def gather(self, columns: Sequence[Any]) -> list[Any]:
        """Decode the values of several calls; a default is as its author wrote it."""
        room = Room()
        return [self._twin.read(v, room) for column in columns for v in column]

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check what a predictor answered, and encode its kinds. Raises BadOutput."""
        simple = [self._twin.write(v) for v in values]
        try:
            simple = msgspec.to_builtins(simple, enc_hook=plain, builtin_types=(bytes,))
            return msgspec.convert(simple, self._column_type, dec_hook=read_plain)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as e:
            raise wrong_answer(e) from e


class OptionalField:
    """A file, or None."""

    is_json = False
    is_told_encoded = True
    dtype = "bytes"
    shape: tuple[int, ...] = ()

    def __init__(self, field: MediaField) -> None:
        self._field = field
        self.json_type: Any = field.json_type | None
        self.default_type = type(None)
        self.media_types = field.media_types
        self.key, self.from_media, self.from_file = field.key, field.from_media, field.from_file

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this file, or none. Raises BadInput."""
        return None if value is None else self._field.share_key(value)

    def fetch_with(self, fetch: Fetch) -> None:
        """Let the file be got by its URL."""
        self._field.fetch = fetch

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one value."""
        return {"anyOf": [self._field.schema(), {"type": "null"}]}

    def gather(self, columns: Sequence[Any]) -> list[Any]:
        """Decode the files of several calls."""
        values = [v for column in columns for v in column]
        read = iter(self._field.gather([[v for v in values if v is not None]]))
        return [None if v is None else next(read) for v in values]

    def from_block(self, block: Block) -> list[Any]:
        """A column of encoded files."""
        return self._field.from_block(block)

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check what a predictor answered. Raises BadOutput."""
        return [None if v is None else self._field.checked(v) for v in values]

    def to_block(self, column: Any) -> Block:
        """A tensor of encoded files; None is an empty one."""
        data = [b"" if v is None else self._field.write(v).content for v in column]
        return Block("bytes", (len(data),), data)

    def to_json(self, column: Any) -> list[Any]:
        """Encoded files, or None."""
        return [None if v is None else self._field.to_json([v])[0] for v in column]


def fetch_with(field: Field, fetch: Fetch) -> None:
    """Let a field's files be got by their URLs."""
    if isinstance(field, MediaField):
        field.fetch = fetch
    elif isinstance(field, NestedField | OptionalField):
        field.fetch_with(fetch)


def _schema_of_read(kind: type) -> dict[str, Any]:
    """The schema of what msgspec reads with a hook of ours; of a kind without a twin there is none."""
    if not hasattr(field_of_type(kind), "from_plain"):
        raise NotImplementedError
    return schema_hook(kind)


def nested_field(annotation: Any, where: str) -> Field | None:
    """Make the field of a type with kinds inside; None where there are none.

    Raises:
        SignatureError: it can't be served.
    """
    twin = twin_of(annotation, where)
    if twin is None:
        return None
    parts = set(get_args(bare(annotation)))
    is_union = get_origin(bare(annotation)) in (Union, types.UnionType)
    if is_union and len(parts) == 2 and type(None) in parts and len(twin.fields) == 1:
        (field,) = twin.fields
        if isinstance(field, MediaField) and str in twin.reads:
            return OptionalField(field)
    try:
        msgspec.json.schema_components([twin.kind], schema_hook=_schema_of_read)
        msgspec.json.Decoder(twin.kind)
    except (TypeError, NameError) as e:
        advice = "tag the structs of a union; a type that holds itself can't hold a file"
        found = f"this type ({str(e).splitlines()[0]})"
        raise SignatureError(where=where, found=found, advice=advice) from e
    return NestedField(annotation, twin)
