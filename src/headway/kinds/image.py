"""Pictures (`PIL.Image.Image`): base64 or a data URL in JSON, an encoded file elsewhere.

The picture is decoded whole before the predictor sees it, and never above a limit of pixels.
"""

import base64
import binascii
import io
import warnings
from collections.abc import Hashable, Sequence
from typing import Any

from PIL import Image

from headway.errors import BadInput, BadOutput, TooLarge
from headway.model.call import Block, Shape

TYPES: Sequence[str] = ("PIL.Image.Image",)
MARKS: Sequence[str] = ()
REQUIRES: Sequence[str] = ("pillow>=10",)

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64 * 2**20


class ImageField:
    """One picture."""

    json_type: Any = str
    dtype = "bytes"
    shape: Shape = ()
    is_json = False
    media_types: Sequence[str] = ("image/png", "image/jpeg", "image/webp")

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one picture."""
        return {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}

    def key(self, column: Any, row: int) -> Hashable:
        """Nothing need be equal for two rows to meet."""
        return None

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this picture."""
        return value if isinstance(value, (str, bytes)) else bytes(value)

    def gather(self, columns: Sequence[Any]) -> list[Image.Image]:
        """Decode the pictures of several calls."""
        return [read_image(v) for column in columns for v in column]

    def from_block(self, block: Block) -> list[Any]:
        """A column of encoded files."""
        if block.dtype != "bytes" or len(block.shape) != 1 or len(block.data) != block.shape[0]:
            raise BadInput(
                where="tensor", expected="bytes[rows]", found=f"{block.dtype}{list(block.shape)}"
            )
        return list(block.data)

    def from_media(self, body: bytes | memoryview) -> bytes:
        """One value from a bare body."""
        return bytes(body)

    def from_file(self, content: bytes) -> str:
        """The JSON form of a file, for an example."""
        return base64.b64encode(content).decode()

    def check(self, values: Sequence[Any]) -> list[Image.Image]:
        """Check that a predictor answered pictures."""
        for value in values:
            if not isinstance(value, Image.Image):
                raise BadOutput(expected="a PIL.Image.Image", found=type(value).__name__)
        return list(values)

    def to_block(self, column: Any) -> Block:
        """A tensor of PNG files."""
        return Block("bytes", (len(column),), [_png(v) for v in column])

    def to_json(self, column: Any) -> list[Any]:
        """PNG files as base64."""
        return [base64.b64encode(_png(v)).decode() for v in column]


def read_image(value: str | bytes | memoryview) -> Image.Image:
    """Decode a picture.

    Args:
        value: base64 or a data URL as text, or an encoded file as bytes.

    Raises:
        BadInput: it is no picture of a known format.
        TooLarge: it has more pixels than the limit.
    """
    content = _from_text(value) if isinstance(value, str) else bytes(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise TooLarge(
                f"a picture of {image.width} x {image.height} has more than {MAX_PIXELS} pixels"
            )
        image.load()
    except Image.DecompressionBombError as e:
        raise TooLarge(f"a picture has more than {MAX_PIXELS} pixels") from e
    except (OSError, ValueError, SyntaxError, EOFError) as e:
        raise BadInput(
            where="picture", expected=f"a file in {', '.join(FORMATS)}", found="other bytes"
        ) from e
    return image


def _from_text(text: str) -> bytes:
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadInput(where="picture", expected="a data URL in base64", found=head[:40])
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadInput(where="picture", expected="base64", found="other text") from e


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def read_field(annotation: Any, marks: Sequence[Any]) -> ImageField:
    """Make the field of a picture."""
    return ImageField()
