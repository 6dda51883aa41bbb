"""The OpenAPI 3.1 description of a server: pure, from what is known of its models.

Each model has paths and schemas of its own, so that a generated client has its types; the names of
its components begin with the model's name. The paths are those of the native dialect and of V2 in
full; of other protocols, their routes as they are.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from headway.model.call import EXPLAIN, Description, TensorSpec
from headway.protocols import Route

Json = dict[str, Any]

_OUTSIDE_NAMES = re.compile(r"[^A-Za-z0-9_]")
_HOLE = re.compile(r"\{(\w+)\}")
_DESCRIBED = frozenset({"native", "v2"})
_REFS = "#/components/schemas/"
_FAILURES: Mapping[str, str] = {
    "400": "The input is malformed, or not what the model takes.",
    "404": "There is no such model, version or path.",
    "413": "The body is larger than the limit.",
    "415": "The content type or coding is not understood.",
    "429": "This model's queue is full; try again after `retry-after`.",
    "500": "The model failed.",
    "503": "The server can't answer now; try again after `retry-after`.",
    "504": "The answer was not ready in time.",
}
_READY = "The server has started, is not draining, and a model answers."
_UNAUTHORIZED = "A valid API key is needed."
_MESSAGES = (
    "Each message to the server is an item of `{name}`: JSON as text, or its bytes; an empty text says that there "
    "are no more. Each message from it is an answer, as JSON text."
)
_INT64: Json = {"format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
_BASE64: Json = {"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}
_SECONDS: Json = {
    "type": "string",
    "pattern": r"^([1-9][0-9]{0,8}(\.[0-9]{1,9})?|0\.[0-9]{0,8}[1-9])$",
}
_ASYNC: Sequence[tuple[str, str, Json]] = (
    (
        "prefer",
        "`respond-async`: answer 202 at once, with where to look; `wait=5` besides: unless it takes less (RFC 7240).",
        {"enum": ["respond-async", "respond-async, wait=1"]},
    ),
    (
        "headway-webhook",
        "A URL, of those that the operator allows, that is told when the job has ended.",
        {"type": "string"},
    ),
)
_JOB: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "model": {"type": "string"},
        "status": {"enum": ["queued", "running", "succeeded", "failed", "canceled"]},
        "created_at": {"type": "string"},
        "started_at": {"type": ["string", "null"]},
        "ended_at": {"type": ["string", "null"]},
        "result": {"type": "string", "description": "Where the answer is, once it has ended."},
        "result_status": {"type": "integer", "description": "The status of that answer."},
    },
    "required": ["id", "model", "status", "created_at"],
}
_HEADERS: Sequence[tuple[str, str, Json]] = (
    ("headway-timeout", "Seconds within which the answer is wanted.", _SECONDS),
    ("headway-priority", "What waits longer than others.", {"enum": ["high", "normal", "low"]}),
    ("x-request-id", "Returned with the answer, and in the log.", {"type": "string"}),
)


def openapi(
    models: Iterable[Description],
    routes: Mapping[str, Iterable[Route]] = MappingProxyType({}),
    *,
    has_keys: bool = False,
    root_path: str = "",
) -> Json:
    """Describe a server that serves these models.

    Args:
        models: what is known of each.
        routes: by protocol, its routes; those of the protocols above are described without them.
        has_keys: requests need an API key.
        root_path: before all paths, where a proxy shows the server below one.

    Returns:
        An OpenAPI 3.1 document, as JSON values.
    """
    schemas: Json = {"Error": _ERROR, "Job": _JOB, "V2.Error": _V2_ERROR, "V2.Tensor": _V2_TENSOR}
    paths: Json = dict(_server_paths())
    explaining: list[str] = []
    for model in models:
        schemas.update(_model_schemas(model))
        if explained := _explained(model):
            schemas.update(_item_schemas(explained))
            explaining.append(model.name)
        paths.update(_native_paths(model))
        paths.update(_v2_paths(model))
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": "Headway", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas, "responses": _failures(has_keys=has_keys)},
    }
    if root_path:
        document["servers"] = [{"url": root_path}]
    if has_keys:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
        _add_unauthorized(paths)
    _add_routes(paths, routes, explaining, has_keys=has_keys)
    return document


_ERROR: Json = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What happened, and what to do."},
        "code": {"type": "string", "description": "Stable, for programs."},
        "request_id": {"type": "string"},
    },
    "required": ["error", "code", "request_id"],
}
_V2_ERROR: Json = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_V2_TENSOR: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "parameters": {"type": "object"},
        "data": {"type": "array", "description": "Flat, or nested as the shape says."},
    },
    "required": ["name", "datatype", "shape"],
}


# What belongs to no model


def _server_paths() -> Json:
    models = {"type": "array", "items": {"type": "object"}}
    listing = {"type": "object", "properties": {"models": models}, "required": ["models"]}
    return {
        "/models": _get("listModels", "The models that are served.", listing),
        "/health/live": _get("live", "The server runs."),
        "/health/ready": _get("ready", _READY, {"type": "object"}, "503"),
        "/jobs/{id}": {
            "get": _about_job("job", "What has become of a job.", {"200": _job("The job.")}),
            "delete": _about_job(
                "cancelJob",
                "Cancel a job, or forget one that has ended.",
                {"200": _job("It had ended."), "202": _job("It will be cancelled.")},
            ),
        },
        "/jobs/{id}/result": {
            "get": _about_job(
                "jobResult",
                "The answer of a job: with the status, content type and body that it would have had.",
                {
                    "202": _job("It has not ended."),
                    "default": {"description": "The answer, which may be an error."},
                },
            ),
        },
        "/v2": _get("v2Server", "Name, version and extensions (V2).", {"type": "object"}),
        "/v2/health/live": _get("v2Live", "The server runs (V2)."),
        "/v2/health/ready": _get("v2Ready", f"{_READY} (V2)", None, "503"),
    }


def _about_job(name: str, summary: str, answers: Json) -> Json:
    hole = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [hole],
        "responses": {**answers, **_refused("", ["404"])},
    }


def _job(text: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"{_REFS}Job"}}}
    return {"description": text, "content": content}


def _get(name: str, summary: str, schema: Json | None = None, *failures: str) -> Json:
    answer: Json = {"description": summary}
    if schema is not None:
        answer["content"] = {"application/json": {"schema": schema}}
    responses = {"200": answer, **_refused("", failures)}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _failures(*, has_keys: bool) -> Json:
    told = {**_FAILURES, **({"401": _UNAUTHORIZED} if has_keys else {})}
    native = {status: _failure(text, "Error") for status, text in told.items()}
    v2 = {f"V2.{status}": _failure(text, "V2.Error") for status, text in told.items()}
    return {**native, **v2}


def _failure(text: str, schema: str) -> Json:
    content = {"application/json": {"schema": {"$ref": _REFS + schema}}}
    return {"description": text, "content": content}


def _refused(dialect: str, statuses: Iterable[str]) -> Json:
    return {s: {"$ref": f"#/components/responses/{dialect}{s}"} for s in statuses}


def _add_unauthorized(paths: Json) -> None:
    for path, operations in paths.items():
        for operation in operations.values():
            if path in {"/health/live", "/health/ready"}:
                operation["security"] = []
            else:
                dialect = "V2." if path.startswith("/v2") else ""
                operation["responses"].update(_refused(dialect, ["401"]))


def _add_routes(
    paths: Json,
    routes: Mapping[str, Iterable[Route]],
    explaining: Sequence[str],
    *,
    has_keys: bool,
) -> None:
    """Add the routes of protocols of which no more is known here; those that explain, for the models that can."""
    responses = {
        "200": {"description": "The answer, in the protocol's own form."},
        **({"401": {"description": _UNAUTHORIZED}} if has_keys else {}),
        "default": {"description": "An error, in the protocol's own form."},
    }
    for protocol in sorted(routes.keys() - _DESCRIBED):
        for route in routes[protocol]:
            if route.op == EXPLAIN and not explaining:
                continue
            models: Json = {"enum": explaining} if route.op == EXPLAIN else {"type": "string"}
            place, path = _OUTSIDE_NAMES.sub("_", route.path), _same_path(paths, route.path)
            operation = {
                "operationId": f"{protocol}.{route.method.lower()}{place}",
                "summary": f"{route.op} ({protocol})",
                "parameters": [
                    {
                        "name": name,
                        "in": "path",
                        "required": True,
                        "schema": models if own == "model" else {"type": "string"},
                    }
                    for name, own in zip(
                        _HOLE.findall(path), _HOLE.findall(route.path), strict=True
                    )
                ],
                "responses": responses,
            }
            paths.setdefault(path, {}).setdefault(route.method.lower(), operation)


def _same_path(paths: Json, path: str) -> str:
    """OpenAPI 3.1 section 4.8.8.1: paths that differ in the names of their holes alone are one, and stand once."""
    shape = _HOLE.sub("{}", path)
    return next((known for known in paths if _HOLE.sub("{}", known) == shape), path)


# A model's schemas


def _explained(model: Description) -> Description | None:
    """What answers `explain`, under a name that no model can have."""
    return model.explain and replace(model.explain, name=f"{model.name}..Explain")


def _item_schemas(model: Description) -> Json:
    return {
        **_lifted(_exact(model.input_schema), f"{model.name}.Input"),
        **_lifted(model.output_schema, f"{model.name}.Output"),
    }


def _model_schemas(model: Description) -> Json:
    return {
        **_item_schemas(model),
        f"{model.name}.V2.Request": _v2_body(model.inputs, "inputs"),
        f"{model.name}.V2.Response": _v2_body(model.outputs, "outputs"),
    }


def _exact(schema: Mapping[str, Any]) -> Json:
    """An input's schema with what its author leaves open: an integer's 64 bits, base64's letters."""
    found = {
        name: {
            **(_INT64 if value.get("type") == "integer" else {}),
            **(_BASE64 if value.get("contentEncoding") == "base64" else {}),
            **value,
        }
        for name, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": found} if found else dict(schema)


def _lifted(schema: Mapping[str, Any], name: str) -> Json:
    """Make components of a schema and its `$defs`: a document has one place for both."""
    defs: Mapping[str, Any] = schema.get("$defs", {})
    names: dict[str, str] = {}
    for key in defs:
        wanted = f"{name}-{_OUTSIDE_NAMES.sub('_', key)}"
        while wanted in names.values():
            wanted += "_"
        names[key] = wanted
    refs = {f"#/$defs/{_escaped(key)}": _REFS + lifted for key, lifted in names.items()}
    body = {key: value for key, value in schema.items() if key != "$defs"}
    return {
        name: _rewritten(body, refs),
        **{names[key]: _rewritten(value, refs) for key, value in defs.items()},
    }


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _rewritten(value: Any, refs: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: refs.get(item, item)
            if key == "$ref" and isinstance(item, str)
            else _rewritten(item, refs)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_rewritten(item, refs) for item in value]
    return value


# The native dialect


def _native_paths(model: Description) -> Json:
    at = f"/models/{model.name}"
    details = {"type": "object", "description": "Schemas, examples and state."}
    return {
        at: _get(f"describe.{model.name}", "What is known of the model.", details, "404"),
        f"{at}/ready": _get(
            f"ready.{model.name}", "Whether the model answers.", {"type": "object"}, "503"
        ),
        f"{at}/predict": {"post": _predict(model)},
        **({f"{at}/explain": {"post": _explain(model, why)}} if (why := _explained(model)) else {}),
        **({f"{at}/stream": {"get": _socket(model)}} if model.is_fed else {}),
    }


def _predict(model: Description) -> Json:
    item = {"$ref": f"{_REFS}{model.name}.Input"}
    many = {"anyOf": [item, {"type": "array", "items": item}]}
    body: Json = {"schema": item if model.is_stream else many}
    if model.examples:
        body["examples"] = {
            f"example{i}": {"value": example} for i, example in enumerate(model.examples, 1)
        }
    errors = {
        "name": "errors",
        "in": "query",
        "description": "`item`: a bad row gets its own error, and the others their answers.",
        "schema": {"enum": ["item"]},
    }
    return {
        "operationId": f"predict.{model.name}",
        "summary": _first_line(model),
        "description": model.doc,
        "tags": [model.name],
        "parameters": [errors, *_parameters(), *_parameters(_ASYNC)],
        "requestBody": {"required": True, "content": {"application/json": body, **_files(model)}},
        "responses": {
            "200": _answer(model),
            "202": _job("A job was taken; `location` tells where to look."),
            **_refused("", _FAILURES),
        },
    }


def _explain(model: Description, explained: Description) -> Json:
    """As predict, with schemas of its own."""
    about = {
        "operationId": f"explain.{model.name}",
        "summary": model.doc.partition("\n")[0] or f"Why {model.name} answers so.",
        "tags": [model.name],
    }
    return {**_predict(explained), **about}


def _socket(model: Description) -> Json:
    """The WebSocket of a model that takes a stream: OpenAPI has no words for its messages but these."""
    known = model.input_schema.get("properties", {})
    needed = model.input_schema.get("required", ())
    query = [
        {
            "name": name,
            "in": "query",
            "required": name in needed,
            "schema": _input(model, name),
        }
        for name in known
        if name != model.fed
    ]
    refused = {
        status: _failure(text, "Error")
        for status, text in (
            ("403", "A page of another site asks."),
            ("426", "The request is no handshake of a WebSocket."),
        )
    }
    return {
        "operationId": f"stream.{model.name}",
        "summary": f"{_first_line(model)} (WebSocket)",
        "description": _MESSAGES.format(name=model.fed),
        "tags": [model.name],
        "parameters": [*query, *_parameters()],
        "responses": {
            "101": {"description": "A slot has begun: messages go both ways (RFC 6455)."},
            **refused,
            **_refused("", _FAILURES),
        },
    }


def _files(model: Description) -> Json:
    """Other bodies: a form of the inputs where one is a file, or the only required input bare."""
    known = model.input_schema.get("properties", {})
    texts = [name for name, value in known.items() if value.get("type") == "string"]
    is_text = len(texts) == 1
    bare: Json = {
        media: {"schema": _input(model, texts[0]) if media == "text/plain" and is_text else {}}
        for media in model.media_types
    }
    if "contentMediaType" not in str(model.input_schema):
        return bare
    properties = {
        name: {} if value.get("contentEncoding") else _input(model, name)
        for name, value in known.items()
    }
    form = {"type": "object", "properties": properties}
    return {"multipart/form-data": {"schema": form}, **bare}


def _input(model: Description, name: str) -> Json:
    """The schema of one input, where it stands among the model's own."""
    return {"$ref": f"{_REFS}{model.name}.Input/properties/{_escaped(name)}"}


def _answer(model: Description) -> Json:
    item = {"$ref": f"{_REFS}{model.name}.Output"}
    if model.is_stream:
        types = ("application/jsonl", "text/event-stream")
        return {
            "description": "The items of the answer, one after another.",
            "content": {type_: {"schema": item} for type_ in types},
        }
    kinds = (item, _own_answer(item))
    schema = {"anyOf": [*kinds, *({"type": "array", "items": kind} for kind in kinds)]}
    return {
        "description": "One answer for an object, a list of answers for a list.",
        "content": {
            "application/json": {"schema": schema},
            **{media: {"schema": {}} for media in model.answer_types},
        },
    }


def _own_answer(item: Json) -> Json:
    """What stands for a row where `errors=item` was asked: its answer, or its own error."""
    error = {name: {"type": "string"} for name in ("error", "code")}
    return {
        "anyOf": [
            {"type": "object", "properties": {"output": item}, "required": ["output"]},
            {"type": "object", "properties": error, "required": ["error", "code"]},
        ]
    }


def _parameters(headers: Sequence[tuple[str, str, Json]] = _HEADERS) -> list[Json]:
    return [
        {"name": name, "in": "header", "description": text, "schema": schema}
        for name, text, schema in headers
    ]


def _first_line(model: Description) -> str:
    return model.doc.strip().partition("\n")[0] or f"Ask {model.name}."


# V2


def _v2_paths(model: Description) -> Json:
    at = f"/v2/models/{model.name}"
    metadata = {"type": "object", "description": "Names, types and shapes of the tensors."}
    body: Json = {"schema": {"$ref": f"{_REFS}{model.name}.V2.Request"}}
    if example := _v2_example(model):
        body["examples"] = {"example1": {"value": example}}
    answer = {"schema": {"$ref": f"{_REFS}{model.name}.V2.Response"}}
    kind = "text/event-stream" if model.is_stream else "application/json"
    infer = {
        "operationId": f"v2Infer.{model.name}",
        "summary": f"{_first_line(model)} (V2)",
        "tags": [model.name],
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": "The output tensors.",
                "content": {kind: answer},
            },
            **_refused("V2.", _FAILURES),
        },
    }
    return {
        at: _get(f"v2Model.{model.name}", "The model's metadata (V2).", metadata, "404"),
        f"{at}/ready": _get(f"v2Ready.{model.name}", "Whether the model answers (V2)."),
        f"{at}/{'infer_stream' if model.is_stream else 'infer'}": {"post": infer},
    }


def _v2_body(specs: Sequence[TensorSpec], key: str) -> Json:
    tensors: Json = {"type": "array", "minItems": 1, "items": {"$ref": f"{_REFS}V2.Tensor"}}
    if specs:
        tensors["items"] = {"anyOf": [_v2_tensor(spec) for spec in specs]}
    properties: Json = {"id": {"type": "string"}, "parameters": {"type": "object"}, key: tensors}
    if key == "inputs":
        properties["outputs"] = {"type": "array", "items": {"type": "object"}}
        return {"type": "object", "properties": properties, "required": [key]}
    for name in ("model_name", "model_version"):
        properties[name] = {"type": "string"}
    return {"type": "object", "properties": properties, "required": ["model_name", key]}


def _v2_tensor(spec: TensorSpec) -> Json:
    shape = list(spec.shape) if not spec.has_rows else [-1, *spec.shape]
    told = "holding JSON, " if spec.is_json else ""
    return {
        "allOf": [{"$ref": f"{_REFS}V2.Tensor"}],
        "description": f"{told}shape {shape}; -1 is free",
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": _datatype(spec.dtype)},
            "shape": {"minItems": len(shape), "maxItems": len(shape)},
        },
    }


def _datatype(dtype: str) -> str:
    """V2's name of a dtype (OIP, "Tensor Data Types")."""
    return dtype.upper().replace("FLOAT", "FP")


def _v2_example(model: Description) -> Json | None:
    """The model's first example as tensors, where each of its inputs is one plain value."""
    example = next(iter(model.examples), {})
    wanted = [spec for spec in model.inputs if spec.name in example]
    if not wanted or len(wanted) != len(example):
        return None
    if any(spec.shape or spec.is_json or not spec.has_rows for spec in wanted):
        return None
    return {
        "inputs": [
            {
                "name": spec.name,
                "datatype": _datatype(spec.dtype),
                "shape": [1],
                "data": [example[spec.name]],
            }
            for spec in wanted
        ]
    }
