"""Take the three networks of PP-OCR out of RapidOCR's wheel.

RapidOCR and the networks are Apache-2.0. Our own code stands before, between and behind the networks (`ocr.py`); it
needs no OpenCV. Run by `examples/prepare.py`.
"""

from collections.abc import Callable
from pathlib import Path

import onnx
from packages import download, publish, read_wheel

REQUIREMENT = "rapidocr==3.10.0"
NETWORKS = {
    "find.onnx": "PP-OCRv6_det_small.onnx",
    "turn.onnx": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "read.onnx": "PP-OCRv6_rec_small.onnx",
}
SHA256 = {
    "find.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "turn.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    "read.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}


def make(folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write the networks and `alphabet.txt`.

    Raises:
        PrepareError: the wheel could not be had, or does not hold what was expected.
    """
    say(f"downloading {REQUIREMENT}")
    wheel = download(REQUIREMENT, scratch)
    for name, member in NETWORKS.items():
        content = read_wheel(wheel, f"rapidocr/models/{member}", SHA256[name])
        if name == "read.onnx":
            publish(folder / "alphabet.txt", alphabet(content).encode())
        publish(folder / name, content)


def alphabet(network: bytes) -> str:
    """The characters that a network knows, a line each, as its file tells."""
    (found,) = (
        p.value for p in onnx.load_from_string(network).metadata_props if p.key == "character"
    )
    return str(found)
