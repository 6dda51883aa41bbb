"""A kind of another package: a colour travels as `#rrggbb`."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from headway.errors import BadInput
from headway.model.call import Block

TYPES: Sequence[str] = ("hw_extras.colour.Colour",)
MARKS: Sequence[str] = ("Grey",)
REQUIRES: Sequence[str] = ()


@dataclass(frozen=True)
class Colour:
    """Red, green and blue, 0 to 255 each."""

    red: int
    green: int
    blue: int


class Grey:
    """Marks a text as a shade of grey."""


class ColourField:
    """One colour a row; columns hold texts."""

    json_type = str
    dtype = "bytes"
    shape = ()
    is_json = False

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "colour"}

    def key(self, column: Any, row: int) -> Hashable:
        return None

    def share_key(self, value: Any) -> Hashable:
        return str(value)

    def gather(self, columns: Sequence[Any]) -> list[Colour]:
        return [_read(text) for column in columns for text in column]

    def from_block(self, block: Block) -> list[str]:
        return [v if isinstance(v, str) else bytes(v).decode() for v in block.data]

    def check(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def to_block(self, column: Any) -> Block:
        return Block("bytes", (len(column),), self.to_json(column))

    def to_json(self, column: Any) -> list[str]:
        return [f"#{c.red:02x}{c.green:02x}{c.blue:02x}" for c in column]


def _read(text: str) -> Colour:
    try:
        return Colour(*bytes.fromhex(text.removeprefix("#")))
    except (ValueError, TypeError):
        raise BadInput(where="colour", expected="#rrggbb", found=repr(text[:20])) from None


def read_field(annotation: Any, marks: Sequence[Any]) -> ColourField:
    """Make the field of a colour."""
    return ColourField()
