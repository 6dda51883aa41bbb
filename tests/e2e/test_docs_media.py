"""docs/how-to/take-pictures-sound-and-files.md: its predictors run as they stand there."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import headway as hw

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "take-pictures-sound-and-files.md"


def test_the_predictors_of_the_page_answer(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "media.py"
    file.write_text(code)
    out = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(out, "PNG")
    with hw.load(f"{file}:Negative") as ask:
        picture = ask(photo=base64.b64encode(out.getvalue()).decode())
        assert Image.open(io.BytesIO(base64.b64decode(picture))).getpixel((0, 0)) == (0, 255, 255)
    out = io.BytesIO()
    soundfile.write(out, np.full(1600, 0.5, np.float32), 16000, format="WAV")
    with hw.load(f"{file}:Loudness") as ask:
        assert abs(ask(sound=base64.b64encode(out.getvalue()).decode()) - 0.5) < 1e-3
    with hw.load(f"{file}:Size") as ask:
        assert ask(file="data:text/plain;name=a.txt;base64,Zm91cg==", unit=2) == "a.txt: 2"
