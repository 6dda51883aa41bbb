"""A BentoML service around an ONNX file: arrays in and out, batched where it has one input."""

import os
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from numpy.typing import NDArray
from session import Session

MODEL = os.environ["BENCH_MODEL"]
WORKERS = int(os.environ["BENCH_WORKERS"])
THREADS = int(os.environ["BENCH_SERVICE_THREADS"])
BATCH = int(os.environ["BENCH_BATCH"])
LATENCY_MS = int(os.environ["BENCH_LATENCY_MS"])

OFF = {"enabled": False}
service = bentoml.service(
    workers=WORKERS,
    threads=THREADS,
    traffic={"timeout": 30},
    logging={"access": OFF},
    metrics=OFF,
)
batching = {"batchable": True, "max_batch_size": BATCH, "max_latency_ms": LATENCY_MS}
api = bentoml.api(**batching if BATCH > 1 else {})
Row = Annotated[NDArray[np.float32], DType("float32"), Shape((-1, 30))]
Image = Annotated[NDArray[np.float32], DType("float32"), Shape((-1, 3, 224, 224))]
Ids = Annotated[NDArray[np.int64], DType("int64"), Shape((-1, 128))]


@service
class Tiny:
    """The 30 features of one cell nucleus a row."""

    def __init__(self) -> None:
        self.session = Session()

    @api
    def predict(self, x: Row) -> NDArray[np.float32]:
        """How sure the model is of each class; a batch answers one array alone."""
        return self.session({"x": x})["probabilities"]


@service
class Minilm:
    """One tokenised sentence a row; a batch takes one input alone, so there is none."""

    def __init__(self) -> None:
        self.session = Session()

    @bentoml.api
    def predict(self, input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
        """Its vector."""
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        return self.session(feed)["sentence"]


@service
class Mobilenet:
    """One normalised image a row."""

    def __init__(self) -> None:
        self.session = Session()

    @api
    def predict(self, image: Image) -> NDArray[np.float32]:
        """A score for each class."""
        return self.session({"image": image})["logits"]


Service = {"tiny": Tiny, "minilm": Minilm, "mobilenet": Mobilenet}[MODEL]
