"""Take the network of Silero VAD (MIT) out of its source archive, and the first seconds of its test recording.

Run by `examples/prepare.py`.
"""

import io
import wave
from collections.abc import Callable
from pathlib import Path

from packages import download, publish, read_tar

REQUIREMENT = "silero-vad==6.2.3"
SDIST_SHA256 = "d7a23b09202be4953915cb9173089bb307eed0418a9bd4794d9ec5af07fa1996"
NETWORK, SPEECH = "silero_vad.onnx", "test.wav"
SHA256 = {
    NETWORK: "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    SPEECH: "89f17d9c94c4b31eb320f424628bcbc920abaddbee6e2760fd868bfb1d9a2e47",
}
SPEECH_S = 10


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `voice.onnx` and `speech.wav`.

    Raises:
        PrepareError: the archive could not be had, or does not hold what was expected.
    """
    say(f"downloading {REQUIREMENT}")
    found = dict(read_tar(download(REQUIREMENT, scratch, sdist_sha256=SDIST_SHA256), SHA256))
    publish(folder / "speech.wav", beginning(found[SPEECH], SPEECH_S))
    publish(folder / "voice.onnx", found[NETWORK])


def beginning(recording: bytes, seconds: int) -> bytes:
    """The first seconds of a WAV file, as one."""
    content = io.BytesIO()
    with wave.open(io.BytesIO(recording)) as source, wave.open(content, "wb") as cut:
        cut.setparams(source.getparams())
        cut.writeframes(source.readframes(seconds * source.getframerate()))
    return content.getvalue()
