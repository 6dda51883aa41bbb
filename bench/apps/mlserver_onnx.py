"""An MLServer runtime around an ONNX file; MLServer itself joins the rows of a batch."""

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from session import Session

DATATYPES = {"float32": "FP32", "int64": "INT64"}


class Onnx(MLModel):
    """One session a process that holds the model."""

    async def load(self) -> bool:
        """Open the model."""
        self.session = Session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Tensors in, tensors out."""
        feed = {
            tensor.name: np.asarray(tensor.data.root, self.session.dtypes[tensor.name]).reshape(
                tensor.shape
            )
            for tensor in payload.inputs
        }
        outputs = [
            ResponseOutput(
                name=name,
                shape=list(column.shape),
                datatype=DATATYPES[str(column.dtype)],
                data=column.ravel().tolist(),
            )
            for name, column in self.session(feed).items()
        ]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
