"""A GraphQL request as the gateway reads it: its document's tokens, and the fields at its root. No protocol by itself.

Specification: GraphQL, September 2025, below "GraphQL"; GraphQL over HTTP, the draft of 2025, below "HTTP".
Bounded, and without graphql-core, which workers alone import. Not here: whether the document is valid, which
graphql-core tells (`_graphql_execution`).
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from headway.errors import BadInput, UnsupportedMedia
from headway.model.wording import told
from headway.protocols import JSON, media_of

MAX_QUERY_CHARS = 2**17
"""Of a document; what is large belongs into variables."""
MAX_TOKENS = 1000
MAX_NESTING = 32
"""Braces, brackets and parentheses within each other."""

_OPERATIONS = ("query", "mutation", "subscription")
# GraphQL, section 2.1: what is ignored, names, punctuators, texts and numbers.
_TOKEN = re.compile(
    r"""
    (?P<ignored>(?: [\t\n\r ,\ufeff] | \#[^\n\r]* )++)
    | (?P<name>[_A-Za-z][_0-9A-Za-z]*+)
    | (?P<mark>\.\.\. | [!$&()=:@\[\]{|}])
    | (?P<text>\"\"\" (?: [^"\\] | \\\"\"\" | \\(?!\"\"\") | "{1,2}(?!") )*+ \"\"\"
        | "(?!"") (?: [^"\\\n\r] | \\. )*+ ")
    | (?P<number>-?[0-9][0-9.eE+-]*+)
    """,
    re.VERBOSE,
)
_PAIRS = {"{": "}", "[": "]", "(": ")"}
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*+")
_OUTSIDE = re.compile(r"[^_0-9A-Za-z]")


class Named(Struct):
    """The part of a request that tells which model it asks (HTTP, "Request Parameters")."""

    query: str
    operationName: str | None = None


class Request(Named):
    """A request; its variables are left raw."""

    variables: Raw = Raw(b"null")


_R = TypeVar("_R", bound=Named)
_named = msgspec.json.Decoder(Named)
_requests = msgspec.json.Decoder(Request)


class _Definition(NamedTuple):
    """An operation or a fragment."""

    kind: str
    name: str
    fields: list[str]
    """Those at its root, or in an inline fragment there."""
    spreads: list[str]


def check_content_type(content_type: str) -> None:
    """Refuse what a page of another site may send unasked: a form, a text, nothing. Raises UnsupportedMedia."""
    # HTTP: "A client MUST indicate the media type of a request body using the Content-Type header".
    _, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_of(content_type) != JSON or charset not in ("", "charset=utf-8"):
        found = content_type[:80] or "none"
        raise UnsupportedMedia(what="content type", found=found, expected=f"{JSON}, in UTF-8")


def read_request(body: bytes | memoryview) -> Request:
    """Read a request. Raises BadInput."""
    return _read(_requests, body)


def root_fields(body: bytes | memoryview) -> list[str]:
    """The fields at the root of the operation that a request chooses, each once, without those about a model.

    Raises:
        BadInput: it is no request, is over a limit, or chooses no operation.
    """
    request = _read(_named, body)
    definitions = list(_Reader(tokens_of(request.query)).definitions())
    fragments = {d.name: d for d in definitions if d.kind == "fragment"}
    found: dict[str, None] = {}
    waiting = [_chosen(definitions, request.operationName)]
    while waiting:
        definition = waiting.pop()
        found |= dict.fromkeys(definition.fields)
        waiting += [fragments.pop(name) for name in definition.spreads if name in fragments]
    return [name for name in found if not is_about(name)]


def is_about(field: str) -> bool:
    """Whether a field at the root tells of a model, or of the schema, and asks none: `_model`, `__schema`."""
    return field.startswith("_") and not field[1:2].isdigit()


def name_of(text: str) -> str:
    """Text as a GraphQL name; two underscores in front are introspection's."""
    name = _OUTSIDE.sub("_", text)
    if name[:1].isdigit() or not name:
        name = f"_{name}"
    return re.sub("^__+", "_", name)


def tokens_of(document: str) -> list[str]:
    """The tokens of a document. Raises BadInput: there are too many, nested too deeply, or something is none."""
    found: list[str] = []
    closing: list[str] = []
    at = 0
    while (match := _TOKEN.match(document, at)) is not None:
        at = match.end()
        if match.lastgroup == "ignored":
            continue
        token = match.group()
        found.append(token)
        if len(found) > MAX_TOKENS:
            raise refused("document", f"at most {MAX_TOKENS} tokens", "more")
        if token in _PAIRS:
            closing.append(_PAIRS[token])
            if len(closing) > MAX_NESTING:
                raise refused("document", f"at most {MAX_NESTING} braces in each other", "more")
        elif token in _PAIRS.values():
            wanted = closing.pop() if closing else "its end"
            if token != wanted:
                raise _misplaced(document, match.start(), wanted)
    if at < len(document):
        raise _misplaced(document, at, "a token")
    if closing:
        raise refused("document", f"a {closing[-1]}", "its end")
    return found


def refused(where: str, expected: str, found: str) -> BadInput:
    """The error of a request that can't be read."""
    return BadInput(where=f"GraphQL {where}", expected=expected, found=found)


def _read(decoder: "msgspec.json.Decoder[_R]", body: bytes | memoryview) -> _R:
    try:
        request = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"GraphQL request: {told(e, body)}") from None
    if len(request.query) > MAX_QUERY_CHARS:
        raise refused("document", f"at most {MAX_QUERY_CHARS} characters", str(len(request.query)))
    return request


def _misplaced(document: str, at: int, expected: str) -> BadInput:
    line, start = document.count("\n", 0, at) + 1, document.rfind("\n", 0, at)
    place = {"line": line, "column": at - start}
    error = refused("document", expected, repr(document[at : at + 10]))
    error.fields["locations"] = [place]
    return error


def _chosen(definitions: Sequence[_Definition], name: str | None) -> _Definition:
    """GraphQL, section 6.1, "GetOperation"."""
    operations = [d for d in definitions if d.kind != "fragment"]
    fitting = [d for d in operations if d.name == name] if name else operations
    if len(fitting) != 1:
        known = ", ".join(d.name or "one without a name" for d in operations) or "none"
        raise refused(
            "operationName", f"one of the document's operations ({known})", repr(name)[:80]
        )
    return fitting[0]


class _Reader:
    """Reads the definitions of a document whose brackets fit; of one that is malformed otherwise, something."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = [*tokens, "", ""]
        self._at = 0
        self._current = _Definition("query", "", [], [])
        self._roots: list[bool] = []
        """For each open brace, whether what stands in it stands at the root."""
        self._is_root = True
        """Whether what stands in the next brace does, as far as that depends on what is in front of it."""
        self._parentheses = 0

    def definitions(self) -> Iterator[_Definition]:
        """All of them, in order."""
        while mark := self._next():
            if mark in ("(", ")"):
                self._parentheses += 1 if mark == "(" else -1
            elif self._parentheses:
                continue
            elif mark == "{":
                self._roots.append(self._is_root and all(self._roots))
                self._is_root = False
            elif mark == "}":
                del self._roots[-1:]
                if not self._roots:
                    yield self._current
                    self._current, self._is_root = _Definition("query", "", [], []), True
            elif self._roots:
                self._read_selection(mark)
            elif mark in (*_OPERATIONS, "fragment"):
                self._current = _Definition(mark, self._name(), [], [])

    def _read_selection(self, mark: str) -> None:
        """A field, a spread or a directive."""
        if mark == "@":
            self._name()
        elif mark == "...":
            name = self._name()
            is_inline = name in ("on", "")
            if name == "on":
                self._name()
            if not is_inline and self._roots[-1]:
                self._current.spreads.append(name)
            self._is_root = is_inline and self._roots[-1]
        elif _NAME.fullmatch(mark):
            self._is_root = False
            if self._tokens[self._at] == ":":  # what was read is an alias
                self._next()
                mark = self._name()
            if self._roots[-1]:
                self._current.fields.append(mark)

    def _next(self) -> str:
        """The next token; "" at the end."""
        found = self._tokens[self._at]
        self._at += bool(found)
        return found

    def _name(self) -> str:
        """The next token where it is a name; "" where it is none."""
        return self._next() if _NAME.fullmatch(self._tokens[self._at]) else ""
