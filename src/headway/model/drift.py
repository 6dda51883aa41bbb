"""What has changed between two schemas of a model, in words, and whether clients break by it.

What a model takes may be widened: who asked before may go on. What it answers may be narrowed: who reads it has read
that before. The other way round clients break. Pure; it knows as much JSON Schema as signatures are written in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headway.model.call import Description, TensorSpec

Schema = Mapping[str, Any]
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FIXED: Final = ("pattern", "contentEncoding", "format")
_NAMES: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_MOST_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    text: str
    is_breaking: bool


def schema_of(model: Description) -> dict[str, Any]:
    """All of a model that clients rely on, as JSON can hold it."""
    return {
        "input": dict(model.input_schema),
        "output": dict(model.output_schema),
        "stream": model.is_stream,
        "inputs": [_tensor(spec) for spec in model.inputs],
        "outputs": [_tensor(spec) for spec in model.outputs],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1, *spec.shape] if spec.has_rows else list(spec.shape)
    return {"name": spec.name, "dtype": "json" if spec.is_json else spec.dtype, "shape": shape}


def changes(before: Schema, after: Schema) -> list[Change]:
    """What is different in what `schema_of` makes, in the order of the schema; nothing twice."""
    found: list[Change] = []
    if bool(before.get("stream")) != bool(after.get("stream")):
        now = "a stream" if after.get("stream") else "one piece, no stream"
        found.append(Change(f"the answer is now {now}: every client breaks", True))
    for side, is_input in (("input", True), ("output", False)):
        walk = _Walk(before.get(side, {}), after.get(side, {}), is_input=is_input)
        found += walk.between(walk.before, walk.after, side, 0)
    for side in ("inputs", "outputs"):
        found += _tensors(before.get(side, ()), after.get(side, ()), side.removesuffix("s"))
    return list(dict.fromkeys(found))


def resolved(schema: Schema, root: Schema) -> Schema:
    """A schema, or what its `$ref` stands for."""
    for _ in range(_MOST_DEPTH):
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if not name:
            return schema
        schema = root.get("$defs", {}).get(name, {})
    return schema


class _Walk:
    """A comparison under way."""

    def __init__(self, before: Schema, after: Schema, *, is_input: bool) -> None:
        self.before = before
        self.after = after
        self.is_input = is_input

    def between(self, before: Schema, after: Schema, place: str, depth: int) -> Iterator[Change]:
        """The changes of one value and of all within it."""
        if depth > _MOST_DEPTH:  # a type that holds itself
            return
        before, after = resolved(before, self.before), resolved(after, self.after)
        if before == after and self.before.get("$defs") == self.after.get("$defs"):
            return
        olds, news = self._variants(before, self.before), self._variants(after, self.after)
        gone, come = _less(olds, news), _less(news, olds)
        if gone:
            yield self._change(place, narrowed=True, words=f"no longer {_either(gone)}")
        if come:
            yield self._change(place, narrowed=False, words=f"now also {_either(come)}")
        for name in olds:
            if name in news:
                yield from self._same(olds[name], news[name], place, depth)

    def _variants(self, schema: Schema, root: Schema) -> dict[str, Schema]:
        """The schema of each type that a value may have; a type that is there twice is told by its text."""
        variants: dict[str, Schema] = {}
        for part in schema.get("anyOf") or schema.get("oneOf") or [schema]:
            one = resolved(part, root)
            if "anyOf" in one:
                variants.update(self._variants(one, root))
                continue
            name = _type_of(one)
            tag = next(iter(one.get("required", ())), "") if name in variants else ""
            variants[f"{name} with {tag}" if tag else name] = one
        return variants

    def _change(self, place: str, *, narrowed: bool, words: str) -> Change:
        is_breaking = narrowed if self.is_input else not narrowed
        who = ""
        if is_breaking:
            who = (
                ": clients that send it are refused"
                if self.is_input
                else ": clients may not expect that"
            )
        return Change(f"{place}: {words}{who}", is_breaking)

    def _same(self, before: Schema, after: Schema, place: str, depth: int) -> Iterator[Change]:
        """Two schemas of one type."""
        yield from self._choices(before, after, place)
        yield from self._bounds(before, after, place)
        for key in _FIXED:
            if before.get(key) != after.get(key):
                text = f"{place}: {key} was {before.get(key)!r}, is {after.get(key)!r}: clients of the old one break"
                yield Change(text, True)
        if "properties" in before or "properties" in after:
            yield from self._members(before, after, place, depth)
        for key, inner in (("items", f"{place}[]"), ("additionalProperties", f"{place}.*")):
            old, new = before.get(key), after.get(key)
            if isinstance(old, Mapping) and isinstance(new, Mapping):
                yield from self.between(old, new, inner, depth + 1)
        old, new = before.get("prefixItems", ()), after.get("prefixItems", ())
        for i, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from self.between(a, b, f"{place}[{i}]", depth + 1)

    def _choices(self, before: Schema, after: Schema, place: str) -> Iterator[Change]:
        old, new = _choices_of(before), _choices_of(after)
        if old is None and new is None:
            return
        if old is None or new is None:
            words = f"only {_either(new)}" if new is not None else "any value, not a choice of some"
            yield self._change(place, narrowed=new is not None, words=words)
            return
        if gone := [c for c in old if c not in new]:
            yield self._change(place, narrowed=True, words=f"no longer {_either(gone)}")
        if come := [c for c in new if c not in old]:
            yield self._change(place, narrowed=False, words=f"now also {_either(come)}")

    def _bounds(self, before: Schema, after: Schema, place: str) -> Iterator[Change]:
        for keys, sign in ((_LOWER, 1), (_UPPER, -1)):
            for key in keys:
                old, new = before.get(key), after.get(key)
                if old == new:
                    continue
                low = float("-inf")
                is_narrower = (low if new is None else sign * new) > (
                    low if old is None else sign * old
                )
                words = f"{key} was {_none(old)}, is {_none(new)}"
                yield self._change(place, narrowed=is_narrower, words=words)

    def _members(self, before: Schema, after: Schema, place: str, depth: int) -> Iterator[Change]:
        old, new = before.get("properties", {}), after.get("properties", {})
        for name in old:
            if name not in new:
                yield self._gone(f"{place}.{name}")
        for name in new:
            inner = f"{place}.{name}"
            is_needed = name in after.get("required", ())
            if name not in old:
                yield self._added(inner, is_needed=is_needed)
                continue
            was_needed = name in before.get("required", ())
            if is_needed != was_needed:
                words = "now always there" if is_needed else "may now be left out"
                yield self._needed(inner, words, is_needed=is_needed)
            if (
                old[name].get("default") != new[name].get("default")
                and not is_needed
                and not was_needed
            ):
                told = f"{old[name].get('default')!r}, is {new[name].get('default')!r}"
                yield Change(
                    f"{inner}: its default was {told}: who leaves it out gets another answer", False
                )
            yield from self.between(old[name], new[name], inner, depth + 1)

    def _gone(self, place: str) -> Change:
        who = "send it are refused" if self.is_input else "read it break"
        return Change(f"{place}: is gone: clients that {who}", True)

    def _added(self, place: str, *, is_needed: bool) -> Change:
        if self.is_input and is_needed:
            return Change(
                f"{place}: is new and required: clients that do not send it are refused", True
            )
        return Change(
            f"{place}: is new" + (", and may be left out" if self.is_input else ""), False
        )

    def _needed(self, place: str, words: str, *, is_needed: bool) -> Change:
        if self.is_input:
            who = "is now required: clients that leave it out are refused" if is_needed else words
            return Change(f"{place}: {who}", is_needed)
        who = "" if is_needed else ": clients that rely on it break"
        return Change(f"{place}: {words}{who}", not is_needed)


def _type_of(schema: Schema) -> str:
    if "type" in schema:
        return str(schema["type"])
    choices = _choices_of(schema)
    names = {_NAMES.get(type(c), "object") for c in choices or ()}
    return " or ".join(sorted(names)) if names else "anything"


def _choices_of(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _less(some: Mapping[str, Schema], others: Mapping[str, Schema]) -> list[str]:
    """Types that the others do not have; an integer is a number, and all is anything."""
    if "anything" in others:
        return []
    return [n for n in some if n not in others and not (n == "integer" and "number" in others)]


def _either(values: list[Any]) -> str:
    return " or ".join(v if isinstance(v, str) else repr(v) for v in values)


def _none(value: Any) -> str:
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _tensors(before: Any, after: Any, side: str) -> Iterator[Change]:
    """Tensors are what V2's clients see; one that came or went is told by the schema."""
    new = {tensor["name"]: tensor for tensor in after}
    for tensor in before:
        other = new.get(tensor["name"])
        if other is None or other == tensor:
            continue
        was, now = (f"{t['dtype']}{t['shape']}" for t in (tensor, other))
        yield Change(
            f"{side} tensor {tensor['name']!r} was {was}, is {now}: clients of V2 break", True
        )
