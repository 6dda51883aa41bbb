"""Which protocol, model and operation a request's path asks for. Pure; its answers are remembered by head.

A segment is percent-decoded once and checked: what is no name of a model or version is found nowhere.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from headway.errors import MethodNotAllowed, UnknownPath
from headway.protocols import Route

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HOLES = ("{model}", "{version}")


@dataclass(frozen=True, slots=True)
class Found:
    """A route that a path fits, with what its holes hold."""

    codec: str
    route: Route
    model: str = ""
    version: str = ""


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    hole: tuple[str, "_Node"] | None = None
    routes: dict[str, tuple[str, Route]] = field(default_factory=dict)


class Routes:
    """The route tables of all protocols, as one tree of path segments.

    Args:
        tables: by protocol, its routes.

    Raises:
        ValueError: two protocols claim the same method and path.
    """

    def __init__(self, tables: Mapping[str, Iterable[Route]]) -> None:
        self._root = _Node()
        self._owners: dict[str, str] = {}
        for codec, routes in tables.items():
            for route in routes:
                self._add(codec, route)

    def find(self, method: str, path: str) -> Found:
        """Find the route for a request.

        Args:
            method: as sent; HEAD finds what GET would.
            path: as sent, still percent-encoded.

        Raises:
            UnknownPath: no route fits the path.
            MethodNotAllowed: one does, but not with this method.
        """
        nodes = [found for found in self._walk(self._root, _segments(path), {})]
        wanted = "GET" if method == "HEAD" else method
        for node, held in nodes:
            if wanted in node.routes:
                codec, route = node.routes[wanted]
                return Found(codec, route, held.get("{model}", ""), held.get("{version}", ""))
        allowed = sorted({m for node, _ in nodes for m in node.routes})
        if not allowed:
            raise UnknownPath()
        raise MethodNotAllowed(allow=", ".join(allowed))

    def dialect(self, path: str, default: str) -> str:
        """The protocol in whose words an error on this path is told: that of the path's first segment."""
        first = path.split("/", 2)[1:2]
        return self._owners.get(first[0] if first else "", default)

    def _add(self, codec: str, route: Route) -> None:
        node = self._root
        segments = route.path[1:].split("/")
        self._owners.setdefault(segments[0], codec)
        for segment in segments:
            if segment in _HOLES:
                if node.hole is None:
                    node.hole = (segment, _Node())
                node = node.hole[1]
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is claimed by two protocols")
        node.routes[route.method] = (codec, route)

    def _walk(
        self, node: _Node, segments: list[str], held: dict[str, str]
    ) -> list[tuple[_Node, dict[str, str]]]:
        """All nodes that the segments lead to, literal ones first."""
        if not segments:
            return [(node, held)] if node.routes else []
        first, rest = segments[0], segments[1:]
        found = []
        if first in node.literals:
            found += self._walk(node.literals[first], rest, held)
        if node.hole is not None and is_name(first):
            hole, below = node.hole
            found += self._walk(below, rest, {**held, hole: first})
        return found


def is_name(text: str) -> bool:
    """Whether this can be the name of a model or a version."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def _segments(path: str) -> list[str]:
    """The decoded segments of a path.

    Raises:
        UnknownPath: the path does not begin with a slash, or a segment is no text.
    """
    if not path.startswith("/"):
        raise UnknownPath()
    try:
        return [unquote_to_bytes(s).decode() if "%" in s else s for s in path[1:].split("/")]
    except UnicodeDecodeError as e:
        raise UnknownPath() from e
