"""A KServe model around an ONNX file; its server has no batching of its own."""

import logging
import os
from functools import cached_property

from kserve import InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.protocol.infer_type import InferOutput
from session import Session

logging.getLogger("uvicorn.access").disabled = True  # no flag turns its line a request off
NAME = os.environ["BENCH_MODEL"]
STYLE = os.environ["BENCH_STYLE"]
DATATYPES = {"float32": "FP32", "int64": "INT64"}


class Onnx(Model):
    """One session a process."""

    @cached_property
    def session(self) -> Session:
        """Opened by the first request: the model is pickled on its way to the workers."""
        return Session()

    def answer(self, payload: InferRequest) -> InferResponse:
        """Tensors in, tensors out; binary ones where they were asked for."""
        found = self.session({tensor.name: tensor.as_numpy() for tensor in payload.inputs})
        binary = payload.use_binary_outputs
        outputs = []
        for name, column in found.items():
            output = InferOutput(name, list(column.shape), DATATYPES[str(column.dtype)])
            output.set_data_from_numpy(column, binary_data=binary)
            outputs.append(output)
        return InferResponse(payload.id or "", NAME, outputs, use_binary_outputs=binary)


class Threaded(Onnx):
    """In the server's threads."""

    def predict(self, payload: InferRequest, headers: dict | None = None) -> InferResponse:
        """Answer."""
        return self.answer(payload)


class Async(Onnx):
    """On the event loop: right where the model is quicker than a thread's hop."""

    async def predict(self, payload: InferRequest, headers: dict | None = None) -> InferResponse:
        """Answer."""
        return self.answer(payload)


if __name__ == "__main__":
    model = (Async if STYLE == "async" else Threaded)(NAME)
    model.ready = True
    ModelServer(
        http_port=model_server.args.http_port,
        workers=model_server.args.workers,
        enable_grpc=False,
        enable_latency_logging=False,
    ).start([model])
