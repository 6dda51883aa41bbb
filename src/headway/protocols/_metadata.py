"""What V2 tells of a server and its models: health, metadata, configuration, statistics. Not a protocol by itself.

Specification: kserve/open-inference-protocol (2025-05), inference_rest.md, "Server Metadata" and
"Model Metadata", below "OIP"; triton-inference-server/server,
docs/protocol/extension_statistics.md, below "Statistics".
"""

from collections.abc import Mapping
from typing import Any

from headway.errors import NotReady
from headway.model.call import Description, TensorSpec
from headway.protocols import Ask, Facts, Stats
from headway.protocols._tensors import DATATYPES

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
    "logging",
    "trace",
)


def describe(ask: Ask, facts: Facts) -> Mapping[str, Any]:
    """The body that answers a local route. Raises CallerError, or NotReady."""
    match ask.op:
        case "live":
            return {"live": True}
        case "ready":
            if not facts.is_server_ready:
                raise NotReady("the server is not ready: not every model answers")
            return {"ready": True}
        case "model_ready":
            facts.check_ready(ask.model, ask.version)
            return {"name": ask.model, "ready": True}
        case "models":
            return {"models": list(facts.descriptions)}
        case "stats":
            return {"model_stats": _statistics(ask, facts)}
        case "config":
            return _config(facts.description(ask.model, ask.version), facts)
        case "model":
            return _metadata(facts.description(ask.model, ask.version), facts)
    return {"name": "headway", "version": facts.server_version, "extensions": EXTENSIONS}


def _metadata(model: Description, facts: Facts) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": list(facts.descriptions[model.name]),
        "platform": model.platform,
        "inputs": [_tensor(spec) for spec in model.inputs],
        "outputs": [_tensor(spec) for spec in model.outputs],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    """OIP: "Variable-size dimensions are specified as -1"; the rows are one."""
    shape = [-1, *spec.shape] if spec.has_rows else spec.shape
    tensor = {"name": spec.name, "datatype": DATATYPES.get(spec.dtype, spec.dtype), "shape": shape}
    return {**tensor, "parameters": {"content_type": "json"}} if spec.is_json else tensor


def _config(model: Description, facts: Facts) -> dict[str, Any]:
    """What is true here of a `ModelConfig` (model_config.proto), as its JSON form; rows are no dimension of it."""
    plan = facts.plans[model.name]
    has_rows = all(spec.has_rows for spec in (*model.inputs, *model.outputs))
    kind = "KIND_GPU" if plan.device.startswith("cuda") else "KIND_CPU"
    batching = {
        "preferred_batch_size": [plan.max_rows],
        "max_queue_delay_microseconds": round(plan.hold_s * 1e6),
    }
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "headway",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": plan.max_request_rows if has_rows else 0,
        "input": [{**_tensor_config(s), "optional": s.is_optional} for s in model.inputs],
        "output": [_tensor_config(spec) for spec in model.outputs],
        "instance_group": [{"name": model.name, "kind": kind, "count": plan.workers, "gpus": []}],
        **({"dynamic_batching": batching} if has_rows else {}),
        "model_transaction_policy": {"decoupled": model.is_stream},
    }


def _tensor_config(spec: TensorSpec) -> dict[str, Any]:
    datatype = DATATYPES.get(spec.dtype, spec.dtype)
    type_ = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return {"name": spec.name, "data_type": type_, "dims": spec.shape}


def _statistics(ask: Ask, facts: Facts) -> list[dict[str, Any]]:
    """Statistics: "if not provided Triton will return the statistics [...] of all models"."""
    if ask.model:
        facts.description(ask.model, ask.version)
    names = [ask.model] if ask.model else list(facts.descriptions)
    return [_statistic(name, ask.version, facts) for name in names]


def _statistic(name: str, version: str, facts: Facts) -> dict[str, Any]:
    """One model's, over all its versions, shown under the one that answers by default."""
    stats = facts.stats.get(name, Stats())
    return {
        "name": name,
        "version": version or (list(facts.descriptions[name]) or [""])[-1],
        "last_inference": stats.last_inference_ms,
        "inference_count": stats.inferences,
        "execution_count": stats.executions,
        "inference_stats": {
            "success": _duration(stats.successes, stats.success_s),
            "fail": _duration(stats.failures, stats.fail_s),
            "queue": _duration(stats.successes, stats.queue_s),
            "compute_input": _duration(stats.successes, stats.decode_s),
            "compute_infer": _duration(stats.executions, stats.compute_s),
            "compute_output": _duration(stats.successes, stats.encode_s),
            "cache_hit": _duration(stats.cache_hits, 0.0),
            "cache_miss": _duration(stats.cache_misses, 0.0),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
