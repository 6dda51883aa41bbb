"""Which protocol, model and operation a request's path asks for. Pure; its answers are remembered by head.

A segment is percent-decoded once and checked: what is no name of a model, a version or whatever else a hole takes
is found nowhere.
"""

import contextlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from headway.errors import CallerError, MethodNotAllowed, UnknownPath
from headway.protocols import Route

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HOLE = re.compile(r"\{(\w+)\}(:\w+)?")


@dataclass(frozen=True, slots=True)
class Found:
    """A route that a path fits, with what its holes hold."""

    codec: str
    route: Route
    model: str = ""
    version: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    """What the other holes of the route's path hold, by name."""


@dataclass(slots=True)
class _Node:
    owner: str = ""
    """The protocol that was the first to have a path through here."""
    literals: dict[str, "_Node"] = field(default_factory=dict)
    holes: dict[tuple[str, str], "_Node"] = field(default_factory=dict)
    """By name and verb (":predict", or "")."""
    routes: dict[str, tuple[str, Route]] = field(default_factory=dict)

    def fitting(self, segment: str) -> Iterator[tuple[str, str, "_Node"]]:
        """What a segment leads to, the literal first: the hole that takes it ("" for none), what it holds, the node."""
        if segment in self.literals:
            yield "", "", self.literals[segment]
        for (hole, verb), node in self.holes.items():
            held = segment.removesuffix(verb) if verb else segment
            if segment.endswith(verb) and is_name(held):
                yield hole, held, node

    def hide_admin(self) -> None:
        """Forget the operators' methods, here and below, where there are others."""
        others = {m: found for m, found in self.routes.items() if not found[1].is_admin}
        self.routes = others or self.routes
        for node in (*self.literals.values(), *self.holes.values()):
            node.hide_admin()


class Routes:
    """The route tables of all protocols, as one tree of path segments.

    Args:
        tables: by protocol, its routes. An error on a path that is none is told by the first that owns a part of it.
        has_admin: operators ask here. Where they do not, their methods are none of a path that others ask, too.

    Raises:
        ValueError: two protocols claim the same method and path.
    """

    def __init__(self, tables: Mapping[str, Iterable[Route]], *, has_admin: bool = True) -> None:
        self._root = _Node()
        for codec, routes in tables.items():
            for route in routes:
                self._add(codec, route)
        if not has_admin:
            self._root.hide_admin()

    def find(self, method: str, path: str, models: Container[str] = ()) -> Found:
        """Find the route for a request: of several that fit, the one with the fewest holes.

        Args:
            method: as sent; HEAD finds what GET would.
            path: as sent, still percent-encoded.
            models: that are served; of two with as many holes, the one whose `{model}` is served wins.

        Raises:
            UnknownPath: no route fits the path.
            MethodNotAllowed: one does, but not with this method.
        """
        nodes = [found for found in self._walk(self._root, _segments(path), {})]
        wanted = "GET" if method == "HEAD" else method
        fitting = [(node, held) for node, held in nodes if wanted in node.routes]
        if fitting:
            node, held = min(fitting, key=lambda f: (len(f[1]), f[1].get("model") not in models))
            codec, route = node.routes[wanted]
            others = {k: v for k, v in held.items() if k not in ("model", "version")}
            return Found(codec, route, held.get("model", ""), held.get("version", ""), others)
        if not nodes:
            raise UnknownPath()
        fewest = min(len(held) for _, held in nodes)
        allowed = sorted({m for node, held in nodes if len(held) == fewest for m in node.routes})
        raise MethodNotAllowed(allow=", ".join(allowed))

    def dialect(
        self, path: str, default: str, method: str = "", models: Container[str] = ()
    ) -> str:
        """The protocol in whose words an error on this path is told: its route's, or the owner of as much as fits."""
        with contextlib.suppress(CallerError):
            return self.find(method, path, models).codec
        node, owner = self._root, default
        for segment in path[1:].split("/"):
            below = next(node.fitting(segment), None)
            if below is None:
                break
            node = below[2]
            owner = node.owner
        return owner

    def _add(self, codec: str, route: Route) -> None:
        node = self._root
        for segment in route.path[1:].split("/"):
            hole = _HOLE.fullmatch(segment)
            if hole is None:
                node = node.literals.setdefault(segment, _Node(codec))
            else:
                node = node.holes.setdefault((hole[1], hole[2] or ""), _Node(codec))
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is claimed by two protocols")
        node.routes[route.method] = (codec, route)

    def _walk(
        self, node: _Node, segments: list[str], held: dict[str, str]
    ) -> list[tuple[_Node, dict[str, str]]]:
        """All nodes that the segments lead to, literal ones first."""
        if not segments:
            return [(node, held)] if node.routes else []
        found = []
        for hole, value, below in node.fitting(segments[0]):
            found += self._walk(below, segments[1:], {**held, hole: value} if hole else held)
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
