"""Vertex AI's PredictionService over gRPC: `Predict` and `Explain`, as an endpoint answers them.

Specification: googleapis, google/cloud/aiplatform/v1/prediction_service.proto, and google/protobuf/struct.proto of
protobuf, as of 2026-10. An endpoint's id is the model's name; instances and parameters are as over REST (`_instances`).

A `Value` has doubles and no integers: a whole number below 2^53 is read as an integer, and an answer that no double
holds is an error. NaN and infinities are refused, since JSON has no words for them, and are answered as null. A model
that streams is not asked here. Not here: RawPredict and its like, which REST has, and tensors, for which V2 is there.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput, BadOutput, HeadwayError, NotOffered, UnknownPath
from headway.model.call import EXPLAIN, Call, Result
from headway.protocols import Ask, Facts, Reply, Route, Wire, row_error
from headway.protocols._grpc import GRPC, done, failed
from headway.protocols._instances import read_rows, read_shared
from headway.protocols._protobuf import MAX_FIELDS, MAX_ITEMS, Buffer, malformed, read, texts, write
from headway.protocols._schema import Schema

_SERVICE = "/google.cloud.aiplatform.v1.PredictionService/"
ROUTES: Sequence[Route] = (
    Route("GRPC", _SERVICE + "Predict", "predict", names_in_body=True),
    Route("GRPC", _SERVICE + "Explain", EXPLAIN, names_in_body=True),
)
HEADERS: Sequence[str] = ()

PROTO: Mapping[str, str] = {
    "google/protobuf/struct.proto": """
        package google.protobuf;

        message Struct { map<string, Value> fields = 1; }
        message Value {
          oneof kind {
            NullValue null_value = 1;
            double number_value = 2;
            string string_value = 3;
            bool bool_value = 4;
            Struct struct_value = 5;
            ListValue list_value = 6;
          }
        }
        enum NullValue { NULL_VALUE = 0; }
        message ListValue { repeated Value values = 1; }
    """,
    "google/cloud/aiplatform/v1/prediction_service.proto": """
        package google.cloud.aiplatform.v1;

        service PredictionService {
          rpc Predict(PredictRequest) returns (PredictResponse);
          rpc Explain(ExplainRequest) returns (ExplainResponse);
        }
        message PredictRequest {
          string endpoint = 1;
          repeated google.protobuf.Value instances = 2;
          google.protobuf.Value parameters = 3;
        }
        message PredictResponse {
          repeated google.protobuf.Value predictions = 1;
          string deployed_model_id = 2;
          string model_display_name = 4;
          string model_version_id = 5;
        }
        message ExplainRequest {
          string endpoint = 1;
          repeated google.protobuf.Value instances = 2;
          string deployed_model_id = 3;
          google.protobuf.Value parameters = 4;
        }
        message ExplainResponse {
          repeated Explanation explanations = 1;
          string deployed_model_id = 2;
        }
        message Explanation { repeated Attribution attributions = 1; }
        message Attribution { google.protobuf.Value feature_attributions = 3; }
    """,
}
SCHEMA = Schema(
    PROTO,
    # A value is read when its depth is known, and the number of its elements.
    lazy=(
        *("FieldsEntry.value", "Value.struct_value", "Value.list_value", "ListValue.values"),
        *("PredictRequest.instances", "PredictRequest.parameters", "PredictResponse.predictions"),
        *("ExplainRequest.instances", "ExplainRequest.parameters"),
        "Attribution.feature_attributions",
    ),
)
_ENDPOINT = re.compile(r"projects/[^/]+/locations/[^/]+/endpoints/([^/]{1,256})")
_MAX_DEPTH = 100
_MAX_WHOLE = 2**53
_VALUE, _STRUCT, _LIST = (
    SCHEMA.message(f"google.protobuf.{name}") for name in ("Value", "Struct", "ListValue")
)
_KINDS: Mapping[str, str] = {"predict": "Predict", EXPLAIN: "Explain"}
Json = Any


# Requests


def target(ask: Ask) -> tuple[str, str]:
    """The model, which is what an endpoint's name ends with. Raises BadInput."""
    (endpoint,) = texts(ask.body, 1)
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        expected = "projects/P/locations/L/endpoints/MODEL"
        raise BadInput(where="endpoint", expected=expected, found=repr(endpoint[:80]))
    return found[1], ""


def decode(ask: Ask, wire: Wire) -> Call:
    """Read instances with their parameters. Raises CallerError."""
    if wire.description.is_stream:
        raise NotOffered(what="a stream", reason="a call of Predict has one answer")
    message = SCHEMA.message(f"google.cloud.aiplatform.v1.{_KINDS.get(ask.op, 'Predict')}Request")
    request = read(message, ask.body, MAX_FIELDS)
    rows = [_plain(piece) for piece in request.get("instances", ())]
    given = _plain(request["parameters"]) if "parameters" in request else None
    shared = None if given is None else read_shared(msgspec.json.encode(given))
    return read_rows(wire, msgspec.json.encode(rows), shared)


def _plain(piece: Buffer, depth: int = 0) -> Json:
    """A `Value` as JSON has it."""
    if depth > _MAX_DEPTH:
        raise malformed(f"values nested more than {_MAX_DEPTH} deep")
    found = read(_VALUE, piece)
    found.pop("kind", None)
    if len(found) != 1:
        raise malformed("a Value that is not of one kind")
    ((kind, value),) = found.items()
    if kind == "list_value":
        values = read(_LIST, value, MAX_ITEMS).get("values", ())
        return [_plain(each, depth + 1) for each in values]
    if kind == "struct_value":
        fields = read(_STRUCT, value).get("fields", {})
        return {name: _plain(each or b"", depth + 1) for name, each in fields.items()}
    if kind == "null_value":
        return None
    return _number(value) if kind == "number_value" else value


def _number(value: float) -> int | float:
    if not math.isfinite(value):
        raise BadInput(where="number_value", expected="a finite number", found=str(value))
    is_whole = value.is_integer() and abs(value) < _MAX_WHOLE
    return int(value) if is_whole and (value or math.copysign(1, value) > 0) else value


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answers of all rows, or what explains them. Raises a row's error, or BadOutput."""
    if result.errors:
        raise row_error(call, result)
    rows = msgspec.json.decode(wire.write_json(result, is_single=False))
    values = [_written(row) for row in rows]
    model = wire.description
    told: dict[str, Any] = {"deployed_model_id": model.name}
    if ask.op == EXPLAIN:
        told["explanations"] = [{"attributions": [{"feature_attributions": v}]} for v in values]
    else:
        about = {"model_display_name": model.name, "model_version_id": model.version}
        told |= {"predictions": values, **about}
    message = SCHEMA.message(f"google.cloud.aiplatform.v1.{_KINDS.get(ask.op, 'Predict')}Response")
    return done(write(message, told))


def _written(value: Json) -> bytes:
    """JSON as a `Value`. Raises BadOutput: an integer that no double holds."""
    if value is None:
        return write(_VALUE, {"null_value": 0})
    if isinstance(value, dict):
        fields = {name: _written(each) for name, each in value.items()}
        return write(_VALUE, {"struct_value": write(_STRUCT, {"fields": fields})})
    if isinstance(value, list):
        return write(_VALUE, {"list_value": write(_LIST, {"values": map(_written, value)})})
    if isinstance(value, bool):
        return write(_VALUE, {"bool_value": value})
    if isinstance(value, str):
        return write(_VALUE, {"string_value": value})
    if isinstance(value, int) and (abs(value) >= 2**1023 or int(float(value)) != value):
        raise BadOutput(expected="integers that a double holds; V2 has others", found=str(value)[:40])  # fmt: skip
    return write(_VALUE, {"number_value": float(value)})


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as a status."""
    return failed(error)


def stream_type(ask: Ask) -> str:
    """Nothing is answered in a stream."""
    return GRPC


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Nothing is answered in a stream: such a model is refused."""
    raise NotOffered(what="a stream", reason="a call of Predict has one answer")


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Nothing is answered in a stream: the call's status tells."""
    return b""


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing is answered by the gateway alone. Raises UnknownPath."""
    raise UnknownPath
