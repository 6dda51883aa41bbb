"""What each type costs over raw bytes: `python -m bench.kinds` prints microseconds an item, as a table.

In process: from a body to what predict gets, one item a call; no socket, no model. Needs Headway, Pillow, soundfile.
"""

import base64
import io
import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

import headway as hw
from headway import plugins
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask

Pixels = Annotated[NDArray[np.uint8], hw.Image()]
Speech = Annotated[NDArray[np.float32], hw.Audio(rate=16000)]
ROUND_S = 0.3
ROUNDS = 3


def text(value: str) -> int:
    raise NotImplementedError


def octets(value: bytes) -> int:
    raise NotImplementedError


def file(value: hw.File) -> int:
    raise NotImplementedError


def picture(value: Image.Image) -> int:
    raise NotImplementedError


def pixels(value: Pixels) -> int:
    raise NotImplementedError


def speech(value: Speech) -> int:
    raise NotImplementedError


def image(form: str, side: int) -> bytes:
    """A picture with as much detail as a photograph's: a smooth field and some noise."""
    rng = np.random.default_rng(7)
    smooth = np.add.outer(np.arange(side), np.arange(side))[..., None] * [0.1, 0.15, 0.05]
    noisy = (smooth + rng.normal(0, 6, (side, side, 3)) + 60).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, form)
    return out.getvalue()


def sound(form: str, rate: int) -> bytes:
    """Five seconds of tone and noise."""
    noise = np.random.default_rng(7).normal(0, 0.05, 5 * rate)
    wave = np.sin(2 * np.pi * 220 / rate * np.arange(5 * rate)) / 3 + noise
    out = io.BytesIO()
    soundfile.write(out, wave.astype(np.float32), rate, "PCM_16", format=form)
    return out.getvalue()


SUBJECTS: list[tuple[str, Callable[..., int], bytes]] = [
    ("text, 1 KB", text, b"a" * 1000),
    ("bytes, 100 KB", octets, bytes(100_000)),
    ("file, 100 KB", file, bytes(100_000)),
    *(
        (f"{kind.__name__}, {form} {side} x {side}", kind, image(form, side))
        for kind in (picture, pixels)
        for side in (224, 1024)
        for form in ("PNG", "JPEG")
    ),
    ("sound, WAV, 5 s", speech, sound("WAV", 16000)),
    ("sound, FLAC, 5 s", speech, sound("FLAC", 16000)),
    ("sound, WAV at 44.1 kHz, 5 s", speech, sound("WAV", 44100)),
]


def asks(wire: Wire, content: bytes) -> dict[str, tuple[str, Ask]]:
    """The same item in each way: its protocol and its request."""
    is_text = wire.signature.parameters[0].field.json_type is str and b"a" * 9 in content
    value = content.decode() if is_text else base64.b64encode(content).decode()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="value"\r\n\r\n' + content + b"\r\n--b--\r\n"
    )
    tensor = {"name": "value", "shape": [1], "datatype": "BYTES"}
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": len(content) + 4}}]}
    ).encode()
    binary = head + len(content).to_bytes(4, "little") + content
    length = {"inference-header-content-length": str(len(head))}
    return {
        "raw body": ("native", ask(content, {"content-type": wire.description.media_types[0]})),
        "JSON": ("native", ask(json.dumps({"value": value}).encode(), {})),
        "form": ("native", ask(form, {"content-type": "multipart/form-data; boundary=b"})),
        "V2 binary": ("v2", ask(binary, length)),
    }


def ask(body: bytes, headers: dict[str, str]) -> Ask:
    """A request."""
    return Ask(
        "infer" if headers.keys() == {"inference-header-content-length"} else "predict",
        "m",
        "",
        body,
        headers,
    )


def cost_us(codec: Any, request: Ask, wire: Wire) -> float:
    """Microseconds from body to argument: the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        count, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < ROUND_S:
            wire.item(codec.decode(request, wire), 0)
            count += 1
        best = min(best, spent / count)
    return best * 1e6


def main() -> None:
    """Print the table."""
    print("| type | KB | raw body | JSON | form | V2 binary |\n|---|---|---|---|---|---|")
    for name, function, content in SUBJECTS:
        wire = Wire(read_signature(function))
        costs = [
            cost_us(plugins.load("protocols", protocol), request, wire)
            for protocol, request in asks(wire, content).values()
        ]
        shown = " | ".join(f"{cost:,.0f}" if cost >= 10 else f"{cost:.1f}" for cost in costs)
        print(f"| {name} | {len(content) / 1000:,.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
