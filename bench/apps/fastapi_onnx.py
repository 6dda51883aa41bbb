"""A FastAPI service around an ONNX file, as one is written by hand: one session a process."""

import os

import numpy as np
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from session import Session

session = Session()
app = FastAPI()


class Tiny(BaseModel):
    """The 30 features of one cell nucleus."""

    x: list[float]


class TinyAnswer(BaseModel):
    """Its class and how sure the model is."""

    label: int
    probabilities: list[float]


class Text(BaseModel):
    """One tokenised sentence."""

    input_ids: list[int]
    attention_mask: list[int]


class TextAnswer(BaseModel):
    """Its vector."""

    sentence: list[float]


class Image(BaseModel):
    """One normalised image: channels, rows, columns."""

    image: list[list[list[float]]]


class ImageAnswer(BaseModel):
    """A score for each class."""

    logits: list[float]


def tiny(row: Tiny) -> TinyAnswer:
    """Classify one row."""
    found = session({"x": np.array([row.x], np.float32)})
    probabilities = found["probabilities"][0].tolist()
    return TinyAnswer(label=int(found["label"][0]), probabilities=probabilities)


def minilm(text: Text) -> TextAnswer:
    """Embed one sentence."""
    ids = np.array([text.input_ids], np.int64)
    mask = np.array([text.attention_mask], np.int64)
    found = session({"input_ids": ids, "attention_mask": mask})
    return TextAnswer(sentence=found["sentence"][0].tolist())


def mobilenet(body: Image) -> ImageAnswer:
    """Score one image."""
    found = session({"image": np.array([body.image], np.float32)})
    return ImageAnswer(logits=found["logits"][0].tolist())


async def tiny_async(row: Tiny) -> TinyAnswer:
    """The same on the event loop: right where the model is quicker than a thread's hop."""
    return tiny(row)


async def minilm_async(text: Text) -> TextAnswer:
    """The same on the event loop."""
    return minilm(text)


async def mobilenet_async(body: Image) -> ImageAnswer:
    """The same on the event loop."""
    return mobilenet(body)


suffix = "_async" if os.environ["BENCH_STYLE"] == "async" else ""
app.post("/predict")(globals()[os.environ["BENCH_MODEL"] + suffix])


@app.post("/predict_binary")
async def predict_binary(request: Request) -> Response:
    """Raw float32 in and out, for those who cannot afford JSON."""
    image = np.frombuffer(await request.body(), np.float32).reshape(1, 3, 224, 224)
    return Response(
        session({"image": image})["logits"].tobytes(), media_type="application/octet-stream"
    )
