"""TorchServe's management of models, and that of SageMaker's multi-model endpoints: both began as Multi Model Server's.

Specifications: pytorch/serve (62c4d6a), docs/management_api.md ("TorchServe"); awslabs/multi-model-server,
docs/management_api.md, and AWS's container contract for multi-model endpoints ("SageMaker"). The two share their paths
and the form of their errors; a load is told apart by its query or its body. Both lists of models are native's.

Chosen where they leave no room for a server whose models are configured: a load names such a model, and its URL serves
for the name at most; one that is loaded is 409; numbers of workers are headway.yaml's, so that others are 501.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from headway.errors import (
    AlreadyLoaded,
    BadInput,
    HeadwayError,
    UnknownModel,
    UnknownPath,
    UnknownVersion,
    Unsupported,
)
from headway.model.call import Call, Order, Result
from headway.model.wording import told
from headway.protocols import (
    JSON,
    Ask,
    Facts,
    Reply,
    Route,
    Wire,
    headers_of,
    public_message,
    row_error,
    status_of,
)

ROUTES: Sequence[Route] = (
    Route("POST", "/models", "register", is_admin=True, takes_body=True),
    Route("PUT", "/models/{model}", "scale", is_admin=True),
    Route("DELETE", "/models/{model}", "unregister", is_admin=True),
)
HEADERS: Sequence[str] = ()


class _Model(msgspec.Struct):
    """SageMaker: "model_name" and "url" of a load."""

    model_name: str
    url: str = ""


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a request of a worker: there is none."""
    raise UnknownPath


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer of a worker: there is none."""
    raise row_error(call, result) if result.errors else UnknownPath()


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write an item of a stream: there is none."""
    return b""


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream: there is none."""
    return render(ask, error).body


def stream_type(ask: Ask) -> str:
    """There is no stream."""
    return JSON


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered from facts alone."""
    raise UnknownPath


def order(ask: Ask, facts: Facts) -> Order:
    """Read what an operator wants. Raises CallerError."""
    if ask.op == "unregister":
        return Order("unload", ask.model)
    if ask.op == "scale":
        advice = "the setting `workers` in headway.yaml does it, with a load of the model"
        raise Unsupported(what="a change of a model's workers", advice=advice)
    name = _name(ask)
    if facts.state(name).state in ("READY", "LOADING"):
        raise AlreadyLoaded(model=name)
    return Order("load", name)


def obeyed(ask: Ask, facts: Facts) -> Reply:
    """Say so in TorchServe's words; SageMaker reads the status alone."""
    name = ask.model or _name(ask)
    done = "unregistered" if ask.op == "unregister" else "registered"
    return Reply(200, msgspec.json.encode({"status": f'Model "{name}" {done}'}))


def _name(ask: Ask) -> str:
    """The model that a load names: by its own name, or else by its archive's. Raises BadInput."""
    if bytes(ask.body).strip():
        try:
            given = msgspec.json.decode(ask.body, type=_Model)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise BadInput(f"body: {told(e, ask.body)}") from e
        return given.model_name
    try:
        fields = parse_qs(ask.query, max_num_fields=20)
    except ValueError as e:
        raise BadInput(where="query", expected="at most 20 fields", found="more") from e
    if names := fields.get("model_name"):
        return names[-1]
    try:
        place = urlsplit(fields.get("url", [""])[-1]).path
    except ValueError:  # brackets that are none of an address
        place = ""
    # TorchServe: "model_name: if not provided, the modelName in the MANIFEST is used"; ours is the archive's own.
    name = place.rpartition("/")[2].removesuffix(".mar").removesuffix(".tar.gz")
    if not name:
        raise BadInput(
            where="request", expected="model_name or url in the query or in JSON", found="none"
        )
    return name


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as `{"code", "type", "message"}`."""
    status = status_of(error)
    body = {"code": status, "type": _type(error, status), "message": public_message(error)}
    return Reply(status, msgspec.json.encode(body), JSON, headers_of(error))


def _type(error: HeadwayError, status: int) -> str:
    """The name of the exception that the others have for it."""
    if isinstance(error, UnknownVersion):
        return "ModelVersionNotFoundException"
    if isinstance(error, UnknownModel):
        return "ModelNotFoundException"
    return {
        400: "BadRequestException",
        404: "ResourceNotFoundException",
        405: "MethodNotAllowedException",
        409: "ConflictStatusException",
        503: "ServiceUnavailableException",
    }.get(status, "InternalServerException" if status >= 500 else "BadRequestException")
