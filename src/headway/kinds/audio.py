"""Sounds by the mark `hw.Audio`: WAV, FLAC or Ogg on the wire, an array of float32 to the predictor.

A sound of another rate is resampled (soxr, high quality): clients record at what their device gives,
and a model that hears another rate than it was trained with is wrong without an error. Sounds have
free lengths, so that a batch of them is a list of arrays. Answers are WAV of 16 bits.
"""

import io
from collections.abc import Sequence
from typing import Any, get_origin

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from headway.errors import BadInput, BadOutput, SignatureError, TooLarge
from headway.model.marks import Audio
from headway.model.media import MAX_DECODED_BYTES, MediaField, Part
from headway.model.values import show

TYPES: Sequence[str] = ()
MARKS: Sequence[str] = ("Audio",)
REQUIRES: Sequence[str] = ("soundfile>=0.12", "soxr>=0.5")

_MAGIC = (b"RIFF", b"fLaC", b"OggS")
_STEP = 2**18
_MAX_CHANNELS = 8
_UNKNOWN_BYTES = 2**31 - 2**16
"""From this length on, a WAV's samples are as many as there are: who writes to a pipe can't know it."""
Sound = NDArray[np.float32]


class AudioField(MediaField):
    """One sound: float32[samples], or float32[samples, channels] for several."""

    what = "sound"
    media_types: Sequence[str] = ("audio/wav", "audio/flac", "audio/ogg", "audio/*")

    def __init__(self, mark: Audio) -> None:
        self._mark = mark

    def read(self, part: Part) -> Sound:
        """Decode a sound. Raises BadInput, TooLarge."""
        samples, rate = _decode(part.content, self._mark.max_s)
        samples = self._mixed(samples)
        if rate != self._mark.rate:
            seconds = len(samples) / rate
            if 4 * seconds * self._mark.rate * self._mark.channels > MAX_DECODED_BYTES:
                raise TooLarge(what="the sound, resampled,", limit_bytes=MAX_DECODED_BYTES)
            samples = soxr.resample(samples, rate, self._mark.rate, quality="HQ")
        if not np.isfinite(samples).all():  # as sent, or too large to be mixed and resampled
            raise BadInput(where="sound", expected="finite samples", found="others")
        sound: Sound = samples[:, 0] if self._mark.channels == 1 else samples
        return sound

    def _mixed(self, samples: Sound) -> Sound:
        found, wanted = samples.shape[1], self._mark.channels
        if found == wanted:
            return samples
        if wanted == 1:
            with np.errstate(over="ignore", invalid="ignore"):
                mixed: Sound = samples.mean(axis=1, keepdims=True, dtype=np.float32)
            return mixed
        if found == 1:
            return samples.repeat(wanted, axis=1)
        raise BadInput(where="sound", expected=f"1 or {wanted} channels", found=found)

    def checked(self, value: Any) -> Sound:
        """An array of the mark's channels. Raises BadOutput."""
        array = np.asarray(value)
        channels = () if self._mark.channels == 1 else (self._mark.channels,)
        if array.dtype.kind != "f" or array.ndim < 1 or array.shape[1:] != channels:
            expected = f"float32{['samples', *channels]}".replace("'", "")
            raise BadOutput(expected=expected, found=f"{array.dtype}{list(array.shape)}")
        if not np.isfinite(array).all():
            raise BadOutput(expected="finite samples", found="others")
        return np.array(array, np.float32)

    def write(self, value: Any) -> Part:
        """Encode a sound."""
        out = io.BytesIO()
        soundfile.write(out, np.clip(value, -1, 1), self._mark.rate, "PCM_16", format="WAV")
        return Part(out.getvalue(), "", self.media_types[0])


def _decode(content: bytes, max_s: float) -> tuple[Sound, int]:
    """The samples[n, channels] of a file and its rate; what it claims is believed only to refuse it."""
    if not content.startswith(_MAGIC):
        raise _damaged("other bytes")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            claimed = file.frames
            _check(claimed, file.samplerate, file.channels, max_s)
            pieces = []
            read = 0
            while len(piece := file.read(_STEP, dtype="float32", always_2d=True)):
                pieces.append(piece)
                read += len(piece)
                _check(read, file.samplerate, file.channels, max_s)
            samples = np.concatenate(pieces) if pieces else np.empty((0, file.channels), np.float32)
            rate = file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError, OSError) as e:
        raise _damaged("a damaged one") from e
    if read < claimed or _is_cut(content):
        raise _damaged("one that is cut short")
    return samples, rate


def _is_cut(wav: bytes) -> bool:
    """Whether a WAV's samples end before it says so: libsndfile takes what is there, and says nothing."""
    at = len(b"RIFF....WAVE")
    while wav.startswith(b"RIFF") and at + 8 <= len(wav):
        kind, size = wav[at : at + 4], int.from_bytes(wav[at + 4 : at + 8], "little")
        at += 8
        if kind == b"data":
            return len(wav) - at < size < _UNKNOWN_BYTES
        at += size + size % 2  # a chunk begins at an even byte
    return False


def _check(frames: int, rate: int, channels: int, max_s: float) -> None:
    if channels > _MAX_CHANNELS:
        raise BadInput(where="sound", expected=f"at most {_MAX_CHANNELS} channels", found=channels)
    if frames > max_s * rate or 4 * frames * channels > MAX_DECODED_BYTES:
        limit = f"{max_s:g} s and {MAX_DECODED_BYTES // 4} samples"
        raise TooLarge(f"sound: expected at most {limit}, found {frames} samples at {rate} Hz")


def _damaged(found: str) -> BadInput:
    return BadInput(where="sound", expected="a whole file in WAV, FLAC or Ogg", found=found)


def read_field(annotation: Any, marks: Sequence[Any]) -> AudioField:
    """Make the field of a sound.

    Raises:
        SignatureError: the mark stands on another type.
    """
    mark = next(m for m in marks if isinstance(m, Audio))
    if (get_origin(annotation) or annotation) is not np.ndarray:
        advice = "annotate NDArray[np.float32]"
        raise SignatureError(where="hw.Audio", found=show(annotation), advice=advice)
    return AudioField(mark)
