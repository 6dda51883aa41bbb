"""What a column of a table may hold, told by its type alone and never by the values that happen to meet.

Checking is msgspec's, by the rules of JSON; the place is told as `row 3, column age`. How a library
keeps a column is its own kind's business.
"""

import datetime
import enum
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from headway.errors import BadInput, BadOutput
from headway.model.integers import held
from headway.model.values import bare, marks_of, plain, without_none
from headway.model.wording import told

DIGITS, PLACES = 38, 9
"""Of a decimal column: digits in all, and of them after the point."""
_KINDS: Mapping[Any, str] = MappingProxyType(
    {
        bool: "bool",
        int: "int",
        float: "float",
        str: "text",
        bytes: "bytes",
        datetime.date: "date",
        datetime.time: "time",
        datetime.timedelta: "duration",
        Decimal: "decimal",
        uuid.UUID: "uuid",
    }
)
_ROW = re.compile(r"\$\[(\d+)\](.*?): (.*)", re.S)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    `kind` is what libraries choose its dtype by: "bool", "int", "float", "text", "bytes", "choice" (text of a
    closed set), "datetime" (without a time zone), "instant" (with one, kept in UTC), "date", "time",
    "duration", "decimal", "uuid", "list" (of one of these), or "any".
    """

    name: str
    type: Any
    """What msgspec reads one value into, None included where it may be lacking."""
    kind: str
    may_lack: bool = False
    choices: tuple[str, ...] = ()
    item: "Column | None" = None
    """Of a list: what its values are."""

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check a caller's values. Raises BadInput with the place."""
        try:
            checked: list[Any] = msgspec.convert(values, list[self.type])  # type: ignore[name-defined]
        except (msgspec.ValidationError, RecursionError) as e:
            raise BadInput(self._placed(told(e))) from None
        return checked

    def check_answer(self, values: Sequence[Any]) -> list[Any]:
        """Check a predictor's values. Raises BadOutput with the place."""
        wanted: Any = list[self.type]  # type: ignore[name-defined]
        try:
            return msgspec.convert(values, wanted)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError):
            pass
        try:
            simple = msgspec.to_builtins(values, enc_hook=plain, builtin_types=(bytes,))
            return msgspec.convert(simple, wanted)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as e:
            said = self._placed(told(e))
            raise BadOutput(f"the model's answer is not what its signature promises: {said}") from e

    def _placed(self, said: str) -> str:
        found = _ROW.fullmatch(said)
        return f"row {found[1]}, column {self.name}{found[2]}: {found[3]}" if found else said

    def simple(self, values: list[Any]) -> list[Any]:
        """Checked values as libraries take them: no Enum, no UUID, instants in UTC. Raises BadInput."""
        if self.kind in ("choice", "int") and any(isinstance(v, enum.Enum) for v in values):
            return [v.value if isinstance(v, enum.Enum) else v for v in values]
        if self.kind == "uuid":
            return [None if v is None else str(v) for v in values]
        if self.kind == "instant":
            return [None if v is None else v.astimezone(datetime.UTC) for v in values]
        if self.kind == "decimal":
            for value in values:
                self._check_decimal(value)
        if self.kind == "list" and self.item is not None and self.item.kind not in _AS_THEY_ARE:
            return [None if v is None else self.item.simple(v) for v in values]
        return msgspec.to_builtins(values) if self.kind == "any" else values

    def _check_decimal(self, value: Decimal | None) -> None:
        if value is None:
            return
        places = value.as_tuple().exponent
        if not isinstance(places, int) or -places > PLACES or value.adjusted() >= DIGITS - PLACES:
            expected = f"a decimal of {DIGITS - PLACES} digits and {PLACES} places"
            raise BadInput(where=f"column {self.name}", expected=expected, found=str(value)[:60])


_AS_THEY_ARE = frozenset({"bool", "float", "text", "bytes", "datetime", "date", "time", "duration"})


def column_of(name: str, hint: Any) -> Column:
    """The column of a field of a row, by its type."""
    inner, may_lack = without_none(hint)
    kind, choices, item = _kind_of(name, inner)
    if kind == "datetime" and _tz_of(inner) is None:
        inner = Annotated[inner, Meta(tz=False)]
        hint = inner | None if may_lack else inner
    return Column(name, held(hint), kind, may_lack, choices, item)


def _kind_of(name: str, annotation: Any) -> tuple[str, tuple[str, ...], Column | None]:
    kind = bare(annotation)
    if kind is datetime.datetime:
        return ("instant" if _tz_of(annotation) else "datetime"), (), None
    if get_origin(kind) is list:
        return "list", (), column_of(name, *get_args(kind))
    options: tuple[Any, ...] = ()
    if get_origin(kind) is Literal:
        options = get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        options = tuple(m.value for m in kind)
    if options and all(type(o) is str for o in options):
        return "choice", options, None
    if options and all(type(o) is int for o in options):
        return "int", (), None
    return _KINDS.get(kind, "any"), (), None


def _tz_of(annotation: Any) -> bool | None:
    said = [m.tz for m in marks_of(annotation) if isinstance(m, Meta) and m.tz is not None]
    return said[-1] if said else None
