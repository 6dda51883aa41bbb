"""What of a model that is loaded here could run where there is no Python: its ONNX file, and how that is fed."""

import posixpath
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from headway.model import portable
from headway.model.call import TensorSpec
from headway.targets import Input, Net

_MAPS = "answers lists of maps; convert the model with zipmap=False"


def net_of_file(source: str, runtime: str, loaded: Any) -> Net | str:
    """A model file as a net; or why it is none that runs elsewhere."""
    model, described = loaded.opened.predict, loaded.description
    if runtime != "onnx":
        return f"{source} is opened by {runtime}, and only ONNX files run there"
    if model.no_tensors:
        return f"{source} {_MAPS}"
    inputs = [Input(spec, spec.name) for spec in described.inputs]
    return Net(source, model.beside, inputs, described.outputs)


def net_of_code(source: str, path: Path, loaded: Any) -> Net | str:
    """A predictor as a net, where its code is one call of one; or what of it is more."""
    file, _, name = source.partition(":")
    plan = portable.read_plan(path.read_text(encoding="utf-8"), name)
    if isinstance(plan, str):
        return f"{plan}; anything else is Python, which does not run there"
    predictor = loaded.opened.predict.__self__
    model = getattr(predictor, plan.attribute)
    labels = getattr(predictor, plan.labels, ()) if plan.labels else ()
    reason = _refusal(plan, model, labels, loaded.description.inputs)
    if reason:
        return f"{plan.file} {reason}"
    specs = {spec.name: spec for spec in loaded.description.inputs}
    has_rows = loaded.description.is_batched
    return Net(
        posixpath.normpath(PurePosixPath(file).parent / plan.file),
        model.beside,
        [
            Input(
                replace(specs[feed.parameter], has_rows=has_rows),
                _wanted(feed, model.inputs)[0].name,
                feed.steps,
            )
            for feed in plan.feeds
        ],
        [replace(o, has_rows=has_rows) for o in model.outputs if plan.output in ("", o.name)],
        [str(label) for label in labels],
    )


def _refusal(plan: portable.Plan, model: Any, labels: Any, inputs: list[TensorSpec]) -> str:
    """Why a plan can't be followed elsewhere; "" if it can."""
    if getattr(model, "platform", "") != "onnx_onnxv1":
        return "is opened as no ONNX file, and only those run there"
    if model.no_tensors:
        return _MAPS
    outputs = [spec for spec in model.outputs if plan.output in ("", spec.name)]
    if not outputs or (plan.labels and (len(outputs) > 1 or not labels)):
        return f"has no one output {plan.output!r} to be answered, or no names for it"
    asked = {spec.name: spec for spec in inputs}
    for feed in plan.feeds:
        given, wanted = asked[feed.parameter], _wanted(feed, model.inputs)
        if not wanted:
            return f"has no input {feed.to!r}"
        if given.dtype != wanted[0].dtype or given.is_json or given.is_optional:
            return f"takes {wanted[0].dtype}, and {given.name} is {given.dtype}, or has a default"
        if feed.steps and not given.dtype.startswith("float"):
            return f"is given {given.name} after a calculation, which is done with floats alone"
    return ""


def _wanted(feed: portable.Feed, known: list[TensorSpec]) -> list[TensorSpec]:
    """The model's input that a parameter goes into; none where there is none of this name or place."""
    return [one for at, one in enumerate(known) if feed.to in (at, one.name)]
