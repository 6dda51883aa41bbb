"""gRPC's own health check: the server's readiness, and that of each model by its name.

Specification: grpc.io, "GRPC Health Checking Protocol" (grpc/grpc, doc/health-checking.md), below "Health". A service
is the whole server for "" and for the name of a gRPC service that is served here, and a model for a model's name.
The gateway answers by itself; no worker is asked anything but for a sign of life.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headway.errors import GivenUp, HeadwayError, NotReady, UnknownModel
from headway.protocols import Ask, Facts, Reply, Route, _gateway_only
from headway.protocols._grpc import done, failed, schemas
from headway.protocols._protobuf import texts, write
from headway.protocols._schema import Schema

PROTO: Mapping[str, str] = {
    "grpc/health/v1/health.proto": """
        package grpc.health.v1;

        service Health {
          rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
          rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
        }
        message HealthCheckRequest { string service = 1; }
        message HealthCheckResponse {
          enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
          ServingStatus status = 1;
        }
    """
}
SCHEMA = Schema(PROTO)
_SERVICE = "/grpc.health.v1.Health/"
_LOCAL: Mapping[str, Any] = {"is_local": True, "needs_probe": True, "names_in_body": True}
ROUTES: Sequence[Route] = (
    Route("GRPC", _SERVICE + "Check", "check", **_LOCAL),
    Route("GRPC", _SERVICE + "Watch", "watch", **_LOCAL, is_watch=True),
)
HEADERS: Sequence[str] = ()
decode, encode = _gateway_only.decode, _gateway_only.encode
stream_type, chunk, chunk_error = (
    _gateway_only.stream_type,
    _gateway_only.chunk,
    _gateway_only.chunk_error,
)
_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3


def target(ask: Ask) -> tuple[str, str]:
    """The service that is asked about. Raises BadInput."""
    (service,) = texts(ask.body, 1)
    return service[:256], ""


def answer(ask: Ask, facts: Facts) -> Reply:
    """Whether a service can answer now. Raises UnknownModel, unless it is watched."""
    try:
        is_ready = _is_ready(ask.model, facts)
    except UnknownModel:
        # Health: "the server should send [...] SERVICE_UNKNOWN" to who watches, and NOT_FOUND to who checks.
        if ask.op != "watch":
            raise
        return _status(_SERVICE_UNKNOWN)
    return _status(_SERVING if is_ready else _NOT_SERVING)


def _is_ready(service: str, facts: Facts) -> bool:
    if not service or any(service in schema.services for schema in schemas()):
        return facts.is_server_ready
    try:
        facts.check_ready(service, "")
    except (NotReady, GivenUp):
        return False
    return True


def _status(status: int) -> Reply:
    return done(write(SCHEMA.message("grpc.health.v1.HealthCheckResponse"), {"status": status}))


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error as a status."""
    return failed(error)
