"""A Triton Python-backend model around an ONNX file: the requests of a batch in one call."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb
from session import Session


class TritonPythonModel:
    """One instance, in a stub process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model."""
        self.session = Session()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Join the rows, call once, cut the rows apart."""
        parts = {
            name: [pb.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self.session.dtypes
        }
        sizes = [len(part) for part in next(iter(parts.values()))]
        feed = {name: np.concatenate(p) if len(p) > 1 else p[0] for name, p in parts.items()}
        outputs = self.session(feed)
        responses, start = [], 0
        for size in sizes:
            rows = {name: column[start : start + size] for name, column in outputs.items()}
            tensors = [pb.Tensor(name, _rows(column)) for name, column in rows.items()]
            responses.append(pb.InferenceResponse(tensors))
            start += size
        return responses


def _rows(column: np.ndarray) -> np.ndarray:
    """A scalar a row needs an axis of its own here."""
    return column[:, None] if column.ndim == 1 else column
