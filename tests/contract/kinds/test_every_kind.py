"""What every kind must be: found by its literals, served, described, and refused for bad bytes as the caller's."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

import headway as hw
from headway import plugins
from headway.errors import BadInput, CallerError
from headway.model.kind import field_of_mark, field_of_type
from headway.model.signature import read_signature
from headway.model.values import bare, marks_of
from headway.model.wire import Wire

KINDS = plugins.names("kinds")


@dataclass
class Row:
    x: float


class Model(pydantic.BaseModel):
    x: float


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(out, "PNG")
    return out.getvalue()


def _wav() -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(16, np.float32), 16000, "PCM_16", format="WAV")
    return out.getvalue()


SUBJECTS: dict[str, tuple[Any, Any]] = {
    "array": (Annotated[NDArray[np.float32], hw.Tensor("float32", 2)], [1.0, 2.0]),
    "audio": (Annotated[NDArray[np.float32], hw.Audio(rate=16000)], _wav()),
    "file": (hw.File, b"content"),
    "image": (Image.Image, _png()),
    "arrow": (Annotated[pa.Table, hw.Rows(Row)], {"x": 1.0}),
    "pandas": (Annotated[pd.DataFrame, hw.Rows(Row)], {"x": 1.0}),
    "polars": (Annotated[pl.DataFrame, hw.Rows(Row)], {"x": 1.0}),
    "pydantic": (Model, {"x": 1.0}),
}
TABLES = ("arrow", "pandas", "polars")
MEDIA = [k for k in SUBJECTS if isinstance(SUBJECTS[k][1], bytes)]


def wire_of(kind: str) -> Wire:
    def predict(value: Any) -> int:
        raise NotImplementedError

    predict.__annotations__["value"] = SUBJECTS[kind][0]
    if kind in TABLES:
        predict.__annotations__["return"] = hw.Batch[int]
    return Wire(read_signature(predict))


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_found_by_its_literals_and_has_a_subject_here(kind: str) -> None:
    annotation = SUBJECTS[kind][0]
    kind_of = bare(annotation)
    found = field_of_mark(kind_of, marks_of(annotation)) or field_of_type(
        kind_of, marks_of(annotation)
    )
    made_by = getattr(
        found, "_library", found
    )  # of a table the field is the same, the library its own
    assert type(made_by).__module__ == f"headway.kinds.{kind}"


@pytest.mark.parametrize("kind", sorted(SUBJECTS))
def test_kind_describes_itself(kind: str) -> None:
    description = wire_of(kind).description
    assert msgspec.json.encode(description.input_schema)
    assert description.inputs


def ways(wire: Wire, content: bytes) -> dict[str, Callable[[], Any]]:
    return {
        "JSON": lambda: wire.read_json(msgspec.json.encode({"value": content})),
        "a data URL": lambda: wire.read_json(
            b'{"value":"data:a/b;base64,%b"}' % msgspec.json.encode(content).strip(b'"')
        ),
        "a body": lambda: wire.read_media(wire.description.media_types[0], content),
        "a tensor": lambda: wire.read_blocks(
            {"value": hw_block(content)},
        ),
    }


def hw_block(content: bytes) -> Any:
    from headway.model.call import Block

    return Block("bytes", (1,), [content])


@pytest.mark.parametrize("kind", MEDIA)
def test_every_way_of_a_file_gives_the_same(kind: str) -> None:
    wire = wire_of(kind)
    values = [wire.item(way(), 0)["value"] for way in ways(wire, SUBJECTS[kind][1]).values()]
    shown = [getattr(v, "content", None) or np.asarray(v).tobytes() for v in values]
    assert len(set(shown)) == 1


@pytest.mark.parametrize("kind", [k for k in MEDIA if k != "file"])
@pytest.mark.parametrize("step", [1, 7])
def test_cut_and_changed_files_are_the_callers_mistake_or_read(kind: str, step: int) -> None:
    wire = wire_of(kind)
    good = SUBJECTS[kind][1]
    damaged = [good[:n] for n in range(0, len(good), step)]
    damaged += [
        good[:n] + bytes([good[n] ^ 0xFF]) + good[n + 1 :] for n in range(0, len(good), step)
    ]
    refused = []
    for content in damaged:
        call = wire.read_media(wire.description.media_types[0], content)
        try:
            wire.item(call, 0)
        except CallerError as e:
            refused.append(e.message)
    assert all(said.startswith("input 'value': ") for said in refused)
    assert len(refused) > len(damaged) // 4


@pytest.mark.parametrize("kind", MEDIA)
@pytest.mark.parametrize(
    "text", ["%%%", "data:,x", "data:image/png;base64", "http://127.0.0.1/", "a"]
)
def test_other_texts_are_refused(kind: str, text: str) -> None:
    wire = wire_of(kind)
    with pytest.raises(BadInput, match="input 'value'"):
        wire.item(wire.read_json(msgspec.json.encode({"value": text})), 0)
