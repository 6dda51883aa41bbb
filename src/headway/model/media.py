"""Values that travel as encoded files: base64 or a data URL in JSON, a part of a form, a bare body, BYTES.

What a file holds is a kind's to read and write. Not here: pictures, sounds, sockets.
"""

import base64
import binascii
from collections.abc import Callable, Hashable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from msgspec import Struct

from headway.errors import BadInput, CallerError, TooLarge
from headway.model.call import Block, Shape

MAX_DECODED_BYTES = 2**28
"""What the files of one model call may be when they are decoded; rows beyond it are called apart."""
OCTETS = "application/octet-stream"
_URLS = ("http:", "https:")
_MAX_NAME = 255

Fetch = Callable[[str], "Part"]


class Part(Struct, frozen=True):
    """An encoded file and what its sender says of it."""

    content: bytes
    name: str = ""
    content_type: str = ""


class Room:
    """The memory that one model call has for decoded files."""

    def __init__(self) -> None:
        self._left = MAX_DECODED_BYTES

    def take(self, value: Any) -> Any:
        """Count a value, and hand it on. Raises TooLarge."""
        self._left -= _bytes_of(value)
        if self._left < 0:
            raise TooLarge(what="what was sent, decoded,", limit_bytes=MAX_DECODED_BYTES)
        return value


def _bytes_of(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    return 4 * getattr(value, "width", 0) * getattr(value, "height", 0)  # as Pillow holds pixels


class MediaField:
    """A field of encoded files; a kind says what is in them."""

    json_type: Any = str
    dtype = "bytes"
    shape: Shape = ()
    is_json = False
    is_told_encoded = True
    """Files are told apart (`share_key`) as they came, so that none is decoded for it."""
    what = "file"
    media_types: Sequence[str] = (OCTETS,)
    """Of a bare body; the first is that of answers."""
    fetch: Fetch | None = None
    """Gets a file by its URL, where the configuration allows any."""

    def read(self, part: Part) -> Any:
        """What predict gets. Raises BadInput, TooLarge."""
        raise NotImplementedError

    def checked(self, value: Any) -> Any:
        """What predict answered, if it can be written. Raises BadOutput."""
        raise NotImplementedError

    def write(self, value: Any) -> Part:
        """What is answered. Raises BadOutput."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one file."""
        return {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": self.media_types[0],
        }

    def key(self, column: Any, row: int) -> Hashable:
        """Nothing need be equal for two rows to meet."""
        return None

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this file, as it came. Raises BadInput."""
        if isinstance(value, str) and is_url(value):
            return value
        return self.told_by(self._part(value))

    def told_by(self, part: Part) -> Hashable:
        """What of a file tells it from others: here its content, whatever its sender calls it."""
        return part.content

    def gather(self, columns: Sequence[Any]) -> list[Any]:
        """Decode the files of several calls."""
        room = Room()
        return [room.take(self.read(self._part(v))) for column in columns for v in column]

    def _part(self, value: Any) -> Part:
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return read_text(value, self.what, self.fetch)
        return Part(bytes(value))

    def from_block(self, block: Block) -> list[Any]:
        """A column of encoded files."""
        if block.dtype != "bytes" or len(block.shape) != 1 or len(block.data) != block.shape[0]:
            found = f"{block.dtype}{list(block.shape)}"
            raise BadInput(where="tensor", expected="bytes[rows]", found=found)
        return list(block.data)

    def from_media(self, body: bytes | memoryview, content_type: str = "") -> Part:
        """One value from a bare body."""
        return Part(bytes(body), "", content_type)

    def from_file(self, content: bytes) -> str:
        """The JSON form of a file, for an example."""
        return base64.b64encode(content).decode()

    def check(self, values: Sequence[Any]) -> list[Any]:
        """Check what a predictor answered. Raises BadOutput."""
        return [self.checked(v) for v in values]

    def to_block(self, column: Any) -> Block:
        """A tensor of encoded files."""
        return Block("bytes", (len(column),), [self.write(v).content for v in column])

    def to_json(self, column: Any) -> list[Any]:
        """Encoded files as base64."""
        return [base64.b64encode(self.write(v).content).decode() for v in column]


def read_text(text: str, what: str, fetch: Fetch | None = None) -> Part:
    """Read base64 or a data URL (RFC 2397), or get a URL where that is allowed.

    Raises:
        BadInput: it is none of these.
    """
    if is_url(text):
        if fetch is None:
            raise BadInput(where=what, expected="base64 or a data URL", found="another URL")
        return fetch(text)
    head = ""
    if text[:5].lower() == "data:":
        head, comma, text = text[5:].partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise BadInput(where=what, expected="a data URL in base64", found=f"data:{head[:40]}")
        head = head[: -len(";base64")]
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadInput(where=what, expected="base64 or a data URL", found="other text") from e
    content_type, *rest = head.split(";")
    names = [unquote(p[5:]) for p in rest if p.startswith("name=")]
    return Part(content, safe_name(names[0], what) if names else "", content_type.lower())


def is_url(text: str) -> bool:
    """Whether a text names a file instead of holding it."""
    return text[:6].lower().startswith(_URLS)


def data_url(part: Part) -> str:
    """A file as a data URL, with its name as a parameter where it has one."""
    name = f";name={quote(part.name, safe='')}" if part.name else ""
    return f"data:{part.content_type}{name};base64,{base64.b64encode(part.content).decode()}"


def safe_name(name: str, what: str) -> str:
    """A file's name, if it is no more than that. Raises BadInput."""
    is_odd = any(c in "/\\" or not c.isprintable() for c in name)
    if is_odd or name in (".", "..") or len(name.encode(errors="replace")) > _MAX_NAME:
        expected = f"a file's name of at most {_MAX_NAME} bytes, without folders"
        raise BadInput(where=what, expected=expected, found=repr(name[:40]))
    return name


def takes(media: str, media_types: Sequence[str]) -> bool:
    """Whether a content type is one of these, of which some say image/* or */*."""
    wide = f"{media.partition('/')[0]}/*"
    return media in media_types or wide in media_types or "*/*" in media_types


def placed(error: CallerError, name: str) -> CallerError:
    """An error of one input, naming it."""
    told = type(error)(f"input {name!r}: {error.message}", **error.fields)
    told.__cause__ = error.__cause__
    return told
