"""Files (`hw.File`) as they are, with the name and type that their sender gives: a data URL in JSON.

`Annotated[hw.File, hw.Meta(max_length=...)]` limits the bytes. Plain `bytes` do where only the content counts.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from msgspec import Meta

from headway.errors import BadOutput, TooLarge
from headway.model.marks import File
from headway.model.media import OCTETS, MediaField, Part, data_url

TYPES: Sequence[str] = ("headway.model.marks.File",)
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ()


class FileField(MediaField):
    """One file."""

    media_types: Sequence[str] = (OCTETS, "*/*")

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one file."""
        told = "base64, or a data URL with type and name; answered as a data URL"
        return {**super().schema(), "description": told}

    def read(self, part: Part) -> File:
        """The file. Raises TooLarge."""
        if self._max_bytes is not None and len(part.content) > self._max_bytes:
            raise TooLarge(what="the file", limit_bytes=self._max_bytes)
        return File(part.content, part.name, part.content_type or OCTETS)

    def told_by(self, part: Part) -> Hashable:
        """Its content, name and type, all of which the predictor gets."""
        return part.content, part.name, part.content_type

    def checked(self, value: Any) -> File:
        """A file. Raises BadOutput."""
        if not isinstance(value, File):
            raise BadOutput(expected="a hw.File", found=type(value).__name__)
        return value

    def write(self, value: File) -> Part:
        """Its content, name and type."""
        return Part(value.content, value.name, value.content_type)

    def to_json(self, column: Any) -> list[Any]:
        """Data URLs, which hold name and type too."""
        return [data_url(self.write(v)) for v in column]


def read_field(annotation: Any, marks: Sequence[Any]) -> FileField:
    """Make the field of a file."""
    lengths = [m.max_length for m in marks if isinstance(m, Meta) and m.max_length is not None]
    return FileField(lengths[0] if lengths else None)
