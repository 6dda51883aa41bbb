"""What the author tests."""

import base64
import io

from flowers import Flowers
from PIL import Image

import headway as hw


def test_a_batch_is_a_list_of_pictures() -> None:
    flowers = Flowers()
    flowers.load()
    red, blue = flowers.predict([Image.new("RGB", (9, 9), c) for c in ("red", "blue")])
    assert next(iter(red)) == "rose"
    assert next(iter(blue)) == "cornflower"


def test_a_client_sends_base64() -> None:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "green").save(out, "PNG")
    with hw.load(Flowers) as flowers:
        answer = flowers(photo=base64.b64encode(out.getvalue()).decode())
        assert max(answer, key=answer.get) == "leaf"
        [example] = flowers.description.examples
        assert max(flowers(**example).items(), key=lambda item: item[1])[0] == "rose"
