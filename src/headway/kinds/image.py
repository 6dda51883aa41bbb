"""Pictures, as `PIL.Image.Image` or by the mark `hw.Image`: encoded files on the wire.

A picture is decoded whole before the predictor sees it, and turned upright as its EXIF says, as its
sender sees it. More pixels than the limit are refused by the picture's head; so are several frames,
since nobody said which is meant (of a phone's JPEG that carries others, such as a preview, the first one is).
It is not resized: how belongs to the model's training.
"""

import io
import struct
from collections.abc import Sequence
from typing import Any, get_args, get_origin

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from headway.errors import BadInput, BadOutput, SignatureError, TooLarge
from headway.model.marks import Image as Mark
from headway.model.media import MediaField, Part
from headway.model.values import show

TYPES: Sequence[str] = ("PIL.Image.Image",)
MARKS: Sequence[str] = ("Image",)
REQUIRES: Sequence[str] = ("pillow>=10",)

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64 * 2**20
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK_BYTES = 12
"""Of a chunk of a PNG all but its data: 4 of length and 4 of type before it, 4 of a sum behind it."""
_BANDS = {"L": (), "RGB": (3,), "RGBA": (4,)}
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, OverflowError),
    *(KeyError, IndexError, TypeError, Image.DecompressionBombWarning),
)
"""What Pillow raises for bytes that are no picture, or no whole one."""


class ImageField(MediaField):
    """One picture."""

    what = "picture"

    def __init__(self, mark: Mark | None = None, *, is_array: bool = False) -> None:
        self._mark = mark
        self._is_array = is_array
        self._format = mark.format if mark else "PNG"
        first = f"image/{self._format.lower()}"
        known = [f"image/{f.lower()}" for f in FORMATS]
        self.media_types = (first, *(k for k in known if k != first), "image/*")

    def read(self, part: Part) -> Any:
        """Decode a picture. Raises BadInput, TooLarge."""
        image = read_image(part.content, self._mark.max_pixels if self._mark else MAX_PIXELS)
        if self._mark is not None and image.mode != self._mark.mode:
            image = in_8_bits(image).convert(self._mark.mode)
        return np.array(image) if self._is_array else image

    def checked(self, value: Any) -> Any:
        """A picture, or an array of its mark's shape. Raises BadOutput."""
        if self._is_array:
            bands = _BANDS[self._mark.mode if self._mark else "RGB"]
            array = np.asarray(value)
            if array.dtype != np.uint8 or array.ndim < 2 or array.shape[2:] != bands:
                expected = f"uint8{['height', 'width', *bands]}".replace("'", "")
                raise BadOutput(expected=expected, found=f"{array.dtype}{list(array.shape)}")
            return array.copy()
        if not isinstance(value, Image.Image):
            raise BadOutput(expected="a PIL.Image.Image", found=type(value).__name__)
        return value

    def write(self, value: Any) -> Part:
        """Encode a picture. Raises BadOutput."""
        image = Image.fromarray(value) if self._is_array else value
        if self._format == "JPEG" and image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("RGB")
        out = io.BytesIO()
        try:
            image.save(out, self._format)
        except (OSError, ValueError) as e:
            raise BadOutput(expected=f"a picture that {self._format} can hold", found=str(e)) from e
        return Part(out.getvalue(), "", self.media_types[0])


def read_image(content: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture, upright.

    Raises:
        BadInput: it is no picture of a known format, or several.
        TooLarge: it has more pixels than the limit.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        pixels = image.width * image.height
        if pixels > max_pixels:
            raise _too_many(max_pixels, f"{image.width} x {image.height}")
        # CIPA DC-007: a JPEG with more of them behind it, of which the first is "the Baseline MP Primary Image".
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise BadInput(where="picture", expected="one frame", found="an animation")
        image.load()
        if image.format == "PNG" and not _has_end(content):
            raise BadInput(where="picture", expected="a whole PNG", found="one that is cut off")
        return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise _too_many(max_pixels, "its size") from e
    except _DAMAGE as e:
        found = "other bytes" if isinstance(e, UnidentifiedImageError) else "a damaged one"
        raise BadInput(
            where="picture", expected=f"a whole file in {', '.join(FORMATS)}", found=found
        ) from e


def in_8_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits scaled to 8, as other modes have them; Pillow would cut off what is above 255."""
    if not image.mode.startswith("I"):
        return image
    grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _has_end(png: bytes) -> bool:
    """Whether a PNG has its last chunk, which Pillow does not ask for."""
    at = len(_PNG)
    while at + _CHUNK_BYTES <= len(png):
        kind = png[at + 4 : at + 8]
        at += _CHUNK_BYTES + int.from_bytes(png[at : at + 4], "big")
        if kind == b"IEND":
            return at <= len(png)
    return False


def _too_many(limit: int, found: str) -> TooLarge:
    return TooLarge(f"picture: expected at most {limit} pixels, found {found}")


def read_field(annotation: Any, marks: Sequence[Any]) -> ImageField:
    """Make the field of a picture.

    Raises:
        SignatureError: the mark stands on another type.
    """
    mark = next((m for m in marks if isinstance(m, Mark)), None)
    is_picture = isinstance(annotation, type) and issubclass(annotation, Image.Image)
    if mark is None or is_picture:
        return ImageField(mark)
    if (get_origin(annotation) or annotation) is np.ndarray and "uint8" in str(
        get_args(annotation)
    ):
        return ImageField(mark, is_array=True)
    advice = "annotate PIL.Image.Image or NDArray[np.uint8]"
    raise SignatureError(where="hw.Image", found=show(annotation), advice=advice)
