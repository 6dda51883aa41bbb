"""A strict reader of `headway.yaml`: text in, a tree of values with their places out.

It takes the part of YAML that every reader understands alike: no tags, anchors, aliases, merge
keys or second documents; no key twice; bounded in size and depth. A plain scalar that YAML 1.1 and
1.2 read differently (`on`, `1e3`, `0o7`, `12:30`) is refused rather than guessed. Not here: what
the keys mean (`project`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from headway.errors import ConfigError

LIMIT_BYTES: Final = 128 * 2**10
LIMIT_DEPTH: Final = 16

_EXPECTED: Final = "`key: value` lines, such as `predictor: file.py:Name`"
_NULLS: Final = ("", "~", "null", "Null", "NULL")
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_AMBIGUOUS: Final = re.compile(
    r"(?ix) on|off|yes|no|y|n|=|<<"
    r"|[-+]?\.(inf|nan)"
    r"|[-+]?0(x[0-9a-f_]+|o[0-7_]+|b[01_]+)"  # other bases
    r"|[-+]?[._]*[0-9][0-9._]*(e[-+]?[0-9]+)?"  # 1e3, 1_000, 007, +1, .5, 1.
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # 12:30 is 750 to YAML 1.1
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t\s].*)?"  # a date
)
_DOTTED: Final = re.compile(r"[0-9]+(\.[0-9]+){2,}([-+.a-z0-9]*)")
"""A version such as 1.2.3 is text to every reader."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the document and the line where it, or the key before it, stands."""

    value: Any
    """None, bool, int, float, str, a tuple of nodes, or a dict of nodes by key."""
    line: int

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        return self.value


def parse(data: bytes, name: str) -> Node:
    """Read a document.

    Args:
        data: the file's bytes.
        name: what the file is called in errors.

    Returns:
        The root: a mapping.

    Raises:
        ConfigError: with the line and column of what is not allowed; the document is empty.
    """
    if len(data) > LIMIT_BYTES:
        raise ConfigError(where=name, problem=f"is larger than {LIMIT_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ConfigError(where=name, problem=f"is not UTF-8 (byte {e.start})") from e
    try:
        return _Reader(text, name).read()
    except yaml.YAMLError as e:
        where = _place(name, getattr(e, "problem_mark", None))
        problem = getattr(e, "problem", None) or getattr(e, "reason", None) or "is not YAML"
        raise ConfigError(where=where, problem=problem) from e


class _Reader:
    """Builds the tree from the parser's events, so that nothing is built before it was allowed."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._refuse(event, "a second document begins here; one is allowed")
                root = self._node(next(self.events), 0)
        if root is None or root.value is None:
            # Perhaps a file that was cut off: what it said of keys and limits would be forgotten.
            raise ConfigError(
                where=self.name, problem=f"is empty; expected {_EXPECTED}, or no file"
            )
        if not isinstance(root.value, dict):
            raise ConfigError(where=self.name, problem=f"expected {_EXPECTED}")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        self._check(event, depth)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event), line)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(tuple(self._items(depth + 1)), line)
        return Node(self._pairs(depth + 1), line)

    def _check(self, event: yaml.Event, depth: int) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refuse(event, "anchors and aliases (& and *) are not allowed; write it out")
        if getattr(event, "tag", None):
            raise self._refuse(event, "tags (!) are not allowed")
        if depth > LIMIT_DEPTH:
            raise self._refuse(event, f"is nested deeper than {LIMIT_DEPTH} levels")

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self._node(event, depth)

    def _pairs(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth)
            if not isinstance(key.value, str):
                raise self._refuse(event, "a key must be text; put it in quotes")
            if not key.value.isprintable():  # it will stand in errors, on somebody's terminal
                raise self._refuse(event, "a key may hold no control characters")
            if key.value in found:
                line = found[key.value].line
                raise self._refuse(event, f"`{key.value}` stands here twice (also in line {line})")
            found[key.value] = Node(self._node(next(self.events), depth).value, key.line)
        return found

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if event.style is not None:  # quoted, or a block: always text
            return text
        if text in _NULLS:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text):
            return float(text)
        if _AMBIGUOUS.fullmatch(text) and not _DOTTED.fullmatch(text):
            raise self._refuse(event, _advice(text))
        return text

    def _refuse(self, event: yaml.Event, problem: str) -> ConfigError:
        return ConfigError(where=_place(self.name, event.start_mark), problem=problem)


def _place(name: str, mark: Any) -> str:
    return f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name


def _advice(text: str) -> str:
    is_number = text[0] in "+-.0123456789"
    instead = "a plain decimal number" if is_number else "true or false"
    return (
        f"`{text:.40}` is read differently by different YAML readers; "
        f"write {instead}, or put it in quotes if it is text"
    )
