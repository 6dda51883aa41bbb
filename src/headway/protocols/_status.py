"""What V1 tells of models: one answer for the clients of KServe, TensorFlow Serving and OpenAI. Not a protocol.

They share `/v1/models` and `/v1/models/{model}`, and skip members that they do not know, so that each finds its own:
KServe `models`, `name` and `ready`, TensorFlow Serving `model_version_status`, OpenAI `data`, `id` and `object`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headway.model.call import Description, TensorSpec
from headway.protocols import Ask, Facts

LABELS = ("latest", "stable")
"""Both are the version that answers by default."""
SIGNATURE = "serving_default"
_DTYPES: Mapping[str, str] = {
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "bool": "DT_BOOL",
    "bytes": "DT_STRING",
}
"""TensorFlow's names of dtypes; of integers it is `DT_` and numpy's."""


def describe(ask: Ask, facts: Facts) -> Mapping[str, Any]:
    """The body that answers a local route. Raises CallerError, or NotReady."""
    if ask.op == "list":
        names = list(facts.descriptions)
        return {"models": names, "object": "list", "data": [_listed(name) for name in names]}
    model = facts.description(ask.model, ask.version)
    if ask.op == "metadata":
        return _metadata(model)
    facts.check_ready(ask.model, ask.version)
    versions = (
        [ask.version or model.version] if _is_one(ask) else list(facts.descriptions[ask.model])
    )
    return {
        "name": ask.model,
        "ready": True,
        "model_version_status": [_state(version) for version in reversed(versions)],
        **_listed(ask.model),
    }


def _is_one(ask: Ask) -> bool:
    """One version is asked for, and not all."""
    return bool(ask.version) or ":label" in ask.headers


def _listed(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "headway"}


def _state(version: str) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"version": version, "state": "AVAILABLE", "status": status}


def _metadata(model: Description) -> dict[str, Any]:
    signature = {
        "inputs": _tensors(model.inputs),
        "outputs": _tensors(model.outputs),
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensors(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    return {
        spec.name: {
            "dtype": _DTYPES.get(spec.dtype, f"DT_{spec.dtype.upper()}"),
            "tensor_shape": {
                "dim": [{"size": str(n), "name": ""} for n in _shape(spec)],
                "unknown_rank": False,
            },
            "name": f"{spec.name}:0",
        }
        for spec in specs
    }


def _shape(spec: TensorSpec) -> Sequence[int]:
    return (-1, *spec.shape) if spec.has_rows else spec.shape
