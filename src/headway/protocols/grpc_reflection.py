"""gRPC's server reflection, v1 and v1alpha: what is served here, for grpcurl and its like.

Specification: grpc/grpc-proto, grpc/reflection/v1/reflection.proto, and doc/server-reflection.md of grpc/grpc, below
"Reflection". The files are made from the schemas of the gRPC codecs, with what is served of them and no more.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from headway.errors import HeadwayError
from headway.protocols import Ask, Facts, Reply, Route, _gateway_only
from headway.protocols._grpc import INVALID_ARGUMENT, NOT_FOUND, done, failed, schemas
from headway.protocols._protobuf import read, write
from headway.protocols._schema import Schema

PROTO: Mapping[str, str] = {
    f"grpc/reflection/{version}/reflection.proto": f"package grpc.reflection.{version};"
    + """
        service ServerReflection {
          rpc ServerReflectionInfo(stream ServerReflectionRequest)
            returns (stream ServerReflectionResponse);
        }
        message ServerReflectionRequest {
          string host = 1;
          oneof message_request {
            string file_by_filename = 3;
            string file_containing_symbol = 4;
            ExtensionRequest file_containing_extension = 5;
            string all_extension_numbers_of_type = 6;
            string list_services = 7;
          }
        }
        message ExtensionRequest { string containing_type = 1; int32 extension_number = 2; }
        message ServerReflectionResponse {
          string valid_host = 1;
          ServerReflectionRequest original_request = 2;
          oneof message_response {
            FileDescriptorResponse file_descriptor_response = 4;
            ExtensionNumberResponse all_extension_numbers_response = 5;
            ListServiceResponse list_services_response = 6;
            ErrorResponse error_response = 7;
          }
        }
        message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
        message ExtensionNumberResponse {
          string base_type_name = 1;
          repeated int32 extension_number = 2;
        }
        message ListServiceResponse { repeated ServiceResponse service = 1; }
        message ServiceResponse { string name = 1; }
        message ErrorResponse { int32 error_code = 1; string error_message = 2; }
    """
    for version in ("v1", "v1alpha")
}
SCHEMA = Schema(PROTO)
ROUTES: Sequence[Route] = tuple(
    Route(
        *("GRPC", f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", "reflect"),
        is_local=True,
        is_bidi=True,
    )
    for version in ("v1", "v1alpha")
)
HEADERS: Sequence[str] = ()
decode, encode = _gateway_only.decode, _gateway_only.encode
stream_type, chunk, chunk_error = (
    _gateway_only.stream_type,
    _gateway_only.chunk,
    _gateway_only.chunk_error,
)
# Both versions have the same messages.
_REQUEST = SCHEMA.message("grpc.reflection.v1.ServerReflectionRequest")
_RESPONSE = SCHEMA.message("grpc.reflection.v1.ServerReflectionResponse")


@functools.cache
def _files() -> Mapping[str, bytes]:
    return {name: file for schema in schemas() for name, file in schema.descriptors().items()}


@functools.cache
def _symbols() -> Mapping[str, str]:
    return {symbol: file for schema in schemas() for symbol, file in schema.symbols().items()}


def answer(ask: Ask, facts: Facts) -> Reply:
    """Answer one question about what is served. Raises BadInput."""
    request = read(_REQUEST, ask.body)
    told = {
        "valid_host": request.get("host", ""),
        "original_request": {k: v for k, v in request.items() if k != "message_request"},
    }
    return done(write(_RESPONSE, told | _response(request)))


def _response(request: Mapping[str, Any]) -> dict[str, Any]:
    match request.get("message_request"):
        case "list_services":
            names = sorted(name for schema in schemas() for name in schema.services)
            return {"list_services_response": {"service": [{"name": name} for name in names]}}
        case "file_by_filename":
            return _descriptors(request["file_by_filename"])
        case "file_containing_symbol":
            return _descriptors(_symbols().get(request["file_containing_symbol"], ""))
        case "all_extension_numbers_of_type" if (
            request["all_extension_numbers_of_type"] in _symbols()
        ):
            name = request["all_extension_numbers_of_type"]
            return {"all_extension_numbers_response": {"base_type_name": name}}
        case None:
            return _error(INVALID_ARGUMENT, "the request asks nothing")
    return _error(NOT_FOUND, "there is no such thing here")  # as there are no extensions


def _descriptors(name: str) -> dict[str, Any]:
    """Reflection: the file and those that it depends on."""
    files = _files()
    if name not in files:
        return _error(NOT_FOUND, "there is no such file or symbol")
    wanted = next({name, *s.descriptors()} for s in schemas() if name in s.descriptors())
    others = [files[other] for other in sorted(wanted - {name})]
    return {"file_descriptor_response": {"file_descriptor_proto": [files[name], *others]}}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_response": {"error_code": code, "error_message": message}}


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as a status; it ends the call."""
    return failed(error)
