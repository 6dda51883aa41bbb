"""What a caller passes, as JSON that fits a model's schema: names and types checked, files and arrays written. Pure.

What is told here is what the schema decides at once; lengths, ranges and shapes are the server's to check.
"""

import base64
import dataclasses
import difflib
import io
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from headway.errors import BadInput

_SHOWN: Final = 60
"""Characters of a value that an error shows."""
_ALL: Final = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
_OF_TYPE: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        bool: frozenset({"boolean"}),
        int: frozenset({"integer", "number"}),
        float: frozenset({"number"}),
        str: frozenset({"string"}),
        type(None): frozenset({"null"}),
        list: frozenset({"array"}),
        tuple: frozenset({"array"}),
        dict: frozenset({"object"}),
    }
)
"""What a Python value is in JSON; a type that is not here is looked at by what it can do."""
_WORDS: Final = MappingProxyType({"string": "text", "null": "None", "array": "a list"})


@runtime_checkable
class Picture(Protocol):
    """A picture that can write itself: `PIL.Image.Image`."""

    def save(self, fp: Any, format: str | None = None) -> None:
        """Write the picture into a file."""
        ...


@runtime_checkable
class Array(Protocol):
    """What numpy can make an array of: its own, those of torch, a pandas column."""

    def __array__(self) -> Any:
        """The same as numpy's array."""
        ...


File = str | bytes | os.PathLike[str] | Picture
"""A file that a model takes: its bytes, its path, base64 as text, or a picture."""


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """One named input, as its schema tells it."""

    name: str
    types: frozenset[str]
    """JSON's names of what it may be."""
    choices: Sequence[Any] = ()
    """The only values that it may have; none for any."""
    is_file: bool = False
    is_required: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of a model."""

    model: str
    known: Mapping[str, Input]

    def check(self, given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        """One item, its values in a form that `encode` writes.

        Args:
            given: values by name.
            where: what stands before an input's name in errors ("row 3: ").

        Raises:
            BadInput: an unknown or missing name, or a value that is not of its input's type.
        """
        self.check_names(given, where)
        return {name: _fitted(self.known[name], value, where) for name, value in given.items()}

    def check_rows(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Many items. Raises BadInput, naming the first row that is wrong."""
        return [self.check(row, f"row {i}: ") for i, row in enumerate(rows)]

    def check_names(self, given: Mapping[str, Any], where: str = "") -> None:
        """Refuse a name that the model does not know, and one that it misses. Raises BadInput."""
        if not isinstance(given, Mapping):
            raise BadInput(where=f"{where}item", expected="inputs by name", found=_named(given))
        for name in given:
            if name not in self.known:
                raise self._unknown(name, where)
        missing = [i.name for i in self.known.values() if i.is_required and i.name not in given]
        if missing:
            raise BadInput(f"{where}{self.model} needs {_listed(missing)}; {self._takes()}")

    def _unknown(self, name: str, where: str) -> BadInput:
        near = difflib.get_close_matches(str(name), self.known, n=1, cutoff=0.6)
        hint = f"did you mean `{near[0]}`?" if near else self._takes()
        return BadInput(f"{where}{self.model} takes no `{name}`; {hint}")

    def _takes(self) -> str:
        return f"it takes {_listed(self.known)}"


def read_inputs(model: str, schema: Mapping[str, Any]) -> Inputs:
    """The inputs of a model, from the schema of one item."""
    schema = resolved(schema, schema)
    required = frozenset(schema.get("required", ()))
    known = {
        name: _input(name, resolved(part, schema), schema, is_required=name in required)
        for name, part in schema.get("properties", {}).items()
    }
    return Inputs(model, known)


def resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or the one that its `$ref` names, with what stands beside the reference."""
    ref = schema.get("$ref", "")
    if not ref.startswith("#/$defs/"):
        return schema
    key = ref.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
    beside = {k: v for k, v in schema.items() if k != "$ref"}
    found: Mapping[str, Any] = root["$defs"][key]
    return {**found, **beside}


def encode(value: Any) -> bytes:
    """A checked item, or a list of them, as the body of a request.

    Raises:
        BadInput: something within it can't be written as JSON.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, RuntimeError, OverflowError) as e:
        raise BadInput(f"the inputs can't be written as JSON: {e}") from e


def _input(
    name: str, schema: Mapping[str, Any], root: Mapping[str, Any], *, is_required: bool
) -> Input:
    types, choices, is_file = _allowed(schema, root)
    return Input(name, types, choices, is_file, is_required)


def _allowed(
    schema: Mapping[str, Any], root: Mapping[str, Any]
) -> tuple[frozenset[str], tuple[Any, ...], bool]:
    """The JSON types of a schema, its only values, and whether it is a file."""
    schema = resolved(schema, root)
    if "anyOf" in schema:
        found = [_allowed(part, root) for part in schema["anyOf"]]
        types = frozenset[str]().union(*(types for types, _, _ in found))
        return types, (), any(is_file for _, _, is_file in found)
    choices = tuple(schema.get("enum", [schema["const"]] if "const" in schema else ()))
    told = schema.get("type")
    types = frozenset([told] if isinstance(told, str) else told or ())
    if choices:
        types = frozenset[str]().union(*(_OF_TYPE.get(type(c), _ALL) for c in choices))
    return types or _ALL, choices, schema.get("contentEncoding") == "base64"


def _fitted(to: Input, value: Any, where: str) -> Any:
    """A value in its JSON form. Raises BadInput."""
    if to.is_file and not isinstance(value, str) and (content := _content(value)) is not None:
        return base64.b64encode(content).decode("ascii")
    if isinstance(value, os.PathLike):
        value = _read_text(value)
    if isinstance(value, Array) and not isinstance(value, Picture):
        value = _listed_array(value)
    types = _OF_TYPE.get(type(value))
    if types is None:
        types = _guessed(value)
    if not types & to.types:
        raise BadInput(where=f"{where}`{to.name}`", expected=_expected(to), found=_named(value))
    if to.choices and type(value) in (str, int, bool) and value not in to.choices:
        text = value if isinstance(value, str) else _shown(value)
        near = difflib.get_close_matches(text, [str(c) for c in to.choices], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = "one of " + ", ".join(map(repr, to.choices))
        raise BadInput(f"{where}`{to.name}`: expected {expected}, found {_shown(value)}{hint}")
    return value


def _content(value: Any) -> bytes | None:
    """The bytes of a file, as a caller may hold it; None where it is no file."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return _read(value)
    if isinstance(value, Picture):
        out = io.BytesIO()
        value.save(out, format="PNG")
        return out.getvalue()
    return None


def _read(path: "os.PathLike[str]") -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise BadInput(f"{os.fspath(path)!r} can't be read: {reason}") from e


def _read_text(path: "os.PathLike[str]") -> str:
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError as e:
        raise BadInput(f"{os.fspath(path)!r} holds no text in UTF-8") from e


def _listed_array(value: Any) -> Any:
    try:
        return value.tolist() if hasattr(value, "tolist") else value.__array__().tolist()
    except (TypeError, ValueError, RuntimeError) as e:  # as of a tensor on a device
        raise BadInput(f"a {type(value).__qualname__} can't be read as an array: {e}") from e


def _guessed(value: Any) -> frozenset[str]:
    """What a value of another type becomes in JSON; unknown ones may be anything."""
    if isinstance(value, bytes | bytearray | memoryview):
        return frozenset()  # text it is not, and a file it was not asked to be
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return frozenset({"object"})
    if isinstance(value, str | int | float):  # an enum's member, a number of numpy's
        return next(types for kind, types in _OF_TYPE.items() if isinstance(value, kind))
    return frozenset({"array"}) if isinstance(value, Iterable) else _ALL


def _plain(value: Any) -> Any:
    """What msgspec does not know, within a value."""
    if (content := _content(value)) is not None:
        return base64.b64encode(content).decode("ascii")
    if isinstance(value, Array):
        return _listed_array(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__qualname__} is not known")


def _expected(to: Input) -> str:
    if to.is_file:
        return "a file: its bytes, a Path, a picture or base64"
    return " or ".join(_WORDS.get(name, f"a {name}") for name in sorted(to.types))


def _named(value: Any) -> str:
    return "None" if value is None else f"{type(value).__qualname__} ({_shown(value)})"


def _shown(value: Any) -> str:
    """A value in short, however large or deep it is."""
    if isinstance(value, bytes | bytearray):
        value = bytes(value[:_SHOWN])
    try:
        return reprlib.repr(value)[:_SHOWN]
    except ValueError:  # an integer of thousands of digits
        return "..."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
