"""Schemas of protocol buffers, from the text that a codec has as its `PROTO`. Not a protocol by itself.

Specification: protobuf.dev, "Protocol Buffers Version 3 Language Specification", of which this reads `package`,
`message`, `enum`, `service`, `oneof`, `map` and `repeated`: what interfaces of inference servers are made of. From one
text follow how messages are read (`_protobuf`) and what reflection tells of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headway.protocols._protobuf import WIRES, Field, Message, sized, varint

_TOKEN = re.compile(r"[A-Za-z_][\w.]*|-?\d+|\"[^\"]*\"|[^\s\w]")
_TYPES: Mapping[str, int] = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "fixed64": 6,
    "fixed32": 7,
    "bool": 8,
    "string": 9,
    "message": 11,
    "bytes": 12,
    "uint32": 13,
    "enum": 14,
    "sfixed32": 15,
    "sfixed64": 16,
}
"""descriptor.proto, FieldDescriptorProto.Type."""


@dataclass(slots=True)
class _Enum:
    name: str
    values: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Type:
    """A message as it is written."""

    name: str
    fields: list[Field] = field(default_factory=list)
    types: list["_Type"] = field(default_factory=list)
    enums: list[_Enum] = field(default_factory=list)
    oneofs: list[str] = field(default_factory=list)
    is_entry: bool = False
    """Of a map."""


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    takes: str
    gives: str
    is_fed: bool
    is_stream: bool


@dataclass(slots=True)
class _File:
    name: str
    package: str = ""
    types: list[_Type] = field(default_factory=list)
    enums: list[_Enum] = field(default_factory=list)
    services: dict[str, list[_Method]] = field(default_factory=dict)


class Schema:
    """The messages of some files, and the files as reflection describes them.

    Args:
        texts: by file name, its text.
        lazy: names of fields that are left unread, as "Message.field".
    """

    def __init__(self, texts: Mapping[str, str], lazy: Sequence[str] = ()) -> None:
        self._files = [_Reader(name, text).file() for name, text in texts.items()]
        self._kinds: dict[str, str] = {}
        for file in self._files:
            self._kinds |= {_join(file.package, e.name): "enum" for e in file.enums}
            for scope, type_ in _walk(file.package, file.types):
                full = _join(scope, type_.name)
                self._kinds[full] = "message"
                self._kinds |= {_join(full, e.name): "enum" for e in type_.enums}
        self._messages = {n: Message(n, [], {}) for n, k in self._kinds.items() if k == "message"}
        for file in self._files:
            for scope, type_ in _walk(file.package, file.types):
                full = _join(scope, type_.name)
                fields = [self._resolved(full, f) for f in type_.fields]
                is_lazy = [f"{type_.name}.{f.name}" in lazy for f in fields]
                fields = [f._replace(is_lazy=z) for f, z in zip(fields, is_lazy, strict=True)]
                self._messages[full].fill(fields, self._messages)

    def message(self, name: str) -> Message:
        """A message by its full name."""
        return self._messages[name]

    def _resolved(self, scope: str, field_: Field) -> Field:
        if field_.type in WIRES:
            return field_
        while True:
            full = _join(scope, field_.type)
            if full in self._kinds:
                return field_._replace(type=self._kinds[full], of=full)
            if not scope:
                raise ValueError(f"there is no type {field_.type}")
            scope = scope.rpartition(".")[0]

    # What reflection tells

    @property
    def services(self) -> list[str]:
        """The full names of the services."""
        return [_join(f.package, name) for f in self._files for name in f.services]

    def symbols(self) -> dict[str, str]:
        """By the full name of a service, method, message or enum, the file that declares it."""
        found: dict[str, str] = {}
        for file in self._files:
            found |= {_join(file.package, e.name): file.name for e in file.enums}
            for scope, type_ in _walk(file.package, file.types):
                full = _join(scope, type_.name)
                found[full] = file.name
                found |= {_join(full, e.name): file.name for e in type_.enums}
            for name, methods in file.services.items():
                service = _join(file.package, name)
                found[service] = file.name
                found |= {_join(service, method.name): file.name for method in methods}
        return found

    def descriptors(self) -> dict[str, bytes]:
        """By file name, its FileDescriptorProto."""
        return {file.name: self._file(file) for file in self._files}

    def _file(self, file: _File) -> bytes:
        homes = self.symbols()
        used = {
            homes[f.of]
            for scope, type_ in _walk(file.package, file.types)
            for f in (self._resolved(_join(scope, type_.name), f) for f in type_.fields)
            if f.of
        }
        for methods in file.services.values():
            used |= {homes[self._named(file, n)] for m in methods for n in (m.takes, m.gives)}
        return b"".join(
            (
                sized(1, file.name.encode()),
                sized(2, file.package.encode()),
                *(sized(3, other.encode()) for other in sorted(used - {file.name})),
                *(sized(4, self._type(file.package, type_)) for type_ in file.types),
                *(sized(5, _enum(enum)) for enum in file.enums),
                *(sized(6, self._service(file, name)) for name in file.services),
                sized(12, b"proto3"),
            )
        )

    def _named(self, file: _File, name: str) -> str:
        return self._resolved(file.package, Field("", 0, name)).of

    def _type(self, scope: str, type_: _Type) -> bytes:
        full = _join(scope, type_.name)
        fields = [self._resolved(full, f) for f in type_.fields]
        pieces = [sized(1, type_.name.encode())]
        pieces += [sized(2, _field(f, type_.oneofs)) for f in fields]
        pieces += [sized(3, self._type(full, inner)) for inner in type_.types]
        pieces += [sized(4, _enum(enum)) for enum in type_.enums]
        if type_.is_entry:
            pieces.append(sized(7, _number(7, 1)))
        pieces += [sized(8, sized(1, name.encode())) for name in type_.oneofs]
        return b"".join(pieces)

    def _service(self, file: _File, name: str) -> bytes:
        methods = (
            sized(1, m.name.encode())
            + sized(2, f".{self._named(file, m.takes)}".encode())
            + sized(3, f".{self._named(file, m.gives)}".encode())
            + (_number(5, 1) if m.is_fed else b"")
            + (_number(6, 1) if m.is_stream else b"")
            for m in file.services[name]
        )
        return sized(1, name.encode()) + b"".join(sized(2, method) for method in methods)


def _field(field_: Field, oneofs: Sequence[str]) -> bytes:
    return b"".join(
        (
            sized(1, field_.name.encode()),
            _number(3, field_.number),
            _number(4, 3 if field_.is_repeated or field_.is_map else 1),
            _number(5, _TYPES[field_.type]),
            sized(6, f".{field_.of}".encode()) if field_.of else b"",
            _number(9, oneofs.index(field_.oneof)) if field_.oneof else b"",
            sized(10, _in_json(field_.name).encode()),
        )
    )


def _enum(enum: _Enum) -> bytes:
    values = (sized(1, name.encode()) + _number(2, n) for name, n in enum.values.items())
    return sized(1, enum.name.encode()) + b"".join(sized(2, value) for value in values)


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def _in_json(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _walk(scope: str, types: Sequence[_Type]) -> Iterator[tuple[str, _Type]]:
    """Each message with the scope that it is in."""
    for type_ in types:
        yield scope, type_
        yield from _walk(_join(scope, type_.name), type_.types)


class _Reader:
    """Reads one file's text."""

    def __init__(self, name: str, text: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(re.sub(r"//.*", "", text))
        self._at = 0
        self._file = _File(name)

    def file(self) -> _File:
        while self._at < len(self._tokens):
            word = self._next()
            if word == "message":
                self._file.types.append(self._message())
            elif word == "enum":
                self._file.enums.append(self._enum())
            elif word == "service":
                name = self._next()
                self._file.services[name] = list(self._methods())
            elif word == "package":
                self._file.package = self._next()
                self._expect(";")
            else:
                raise ValueError(f"{self._file.name}: {word!r} is not understood")
        return self._file

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, token: str) -> bool:
        is_next = self._tokens[self._at] == token
        self._at += is_next
        return is_next

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if not self._takes(token):
                raise ValueError(f"{self._file.name}: {self._tokens[self._at]!r}, not {token!r}")

    def _message(self) -> _Type:
        type_ = _Type(self._next())
        self._expect("{")
        while not self._takes("}"):
            word = self._next()
            if word == "message":
                type_.types.append(self._message())
            elif word == "enum":
                type_.enums.append(self._enum())
            elif word == "oneof":
                self._oneof(type_)
            else:
                type_.fields.append(self._field(word, type_))
        return type_

    def _oneof(self, type_: _Type) -> None:
        name = self._next()
        type_.oneofs.append(name)
        self._expect("{")
        while not self._takes("}"):
            type_.fields.append(self._field(self._next(), type_)._replace(oneof=name))

    def _field(self, word: str, type_: _Type) -> Field:
        is_repeated = word == "repeated"
        kind = self._next() if is_repeated else word
        entry: _Type | None = None
        if kind == "map":
            self._expect("<")
            key = self._next()
            self._expect(",")
            value = self._next()
            self._expect(">")
            entry = _Type("", [Field("key", 1, key), Field("value", 2, value)], is_entry=True)
        name = self._next()
        self._expect("=")
        number = int(self._next())
        self._expect(";")
        if entry is not None:
            entry.name = kind = "".join(w.capitalize() for w in name.split("_")) + "Entry"
            type_.types.append(entry)
        return Field(name, number, kind, is_repeated=is_repeated, is_map=entry is not None)

    def _enum(self) -> _Enum:
        enum = _Enum(self._next())
        self._expect("{")
        while not self._takes("}"):
            name = self._next()
            self._expect("=")
            enum.values[name] = int(self._next())
            self._expect(";")
        return enum

    def _methods(self) -> Iterator[_Method]:
        self._expect("{")
        while not self._takes("}"):
            self._expect("rpc")
            name = self._next()
            self._expect("(")
            is_fed = self._takes("stream")
            takes = self._next()
            self._expect(")", "returns", "(")
            is_stream = self._takes("stream")
            gives = self._next()
            self._expect(")")
            if not self._takes(";"):
                self._expect("{", "}")
            yield _Method(name, takes, gives, is_fed, is_stream)
