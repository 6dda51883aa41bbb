"""Headway: from a trained model to a fast, safe service with one definition.

Names are imported on first use, so that `import headway` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway import errors as errors
    from headway.client.asynchronous import AsyncClient as AsyncClient
    from headway.client.blocking import Client as Client
    from headway.engine.local import Loaded as Loaded
    from headway.engine.local import load as load
    from headway.model.marks import Audio as Audio
    from headway.model.marks import Batch as Batch
    from headway.model.marks import Context as Context
    from headway.model.marks import File as File
    from headway.model.marks import Image as Image
    from headway.model.marks import Length as Length
    from headway.model.marks import Meta as Meta
    from headway.model.marks import Reject as Reject
    from headway.model.marks import Rows as Rows
    from headway.model.marks import Tensor as Tensor
    from headway.model.predictor import Predictor as Predictor
    from headway.model.predictor import predictor as predictor
    from headway.model.weights import Model as Model

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Audio",
    "Batch",
    "Client",
    "Context",
    "File",
    "Image",
    "Length",
    "Loaded",
    "Meta",
    "Model",
    "Predictor",
    "Reject",
    "Rows",
    "Tensor",
    "__version__",
    "errors",
    "load",
    "predictor",
]

_HOMES = {
    "AsyncClient": "headway.client.asynchronous",
    "Audio": "headway.model.marks",
    "Batch": "headway.model.marks",
    "Client": "headway.client.blocking",
    "Context": "headway.model.marks",
    "Loaded": "headway.engine.local",
    "File": "headway.model.marks",
    "Image": "headway.model.marks",
    "Meta": "headway.model.marks",
    "Model": "headway.model.weights",
    "Predictor": "headway.model.predictor",
    "Reject": "headway.model.marks",
    "Rows": "headway.model.marks",
    "Length": "headway.model.marks",
    "Tensor": "headway.model.marks",
    "load": "headway.engine.local",
    "predictor": "headway.model.predictor",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name == "errors":
            return import_module("headway.errors")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'headway' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
