"""A protocol of another package, with a bug: it fails at telling errors."""

from collections.abc import Sequence
from typing import Any

from headway.errors import HeadwayError
from headway.model.call import Call, Result
from headway.protocols import Ask, Facts, Reply, Route, Wire, row_error

ROUTES: Sequence[Route] = (
    Route("POST", "/sulky/{model}", "ask"),
    Route("GET", "/sulky/{model}", "look", is_local=True),
)
HEADERS: Sequence[str] = ()


def decode(ask: Ask, wire: Wire) -> Call:
    return wire.read_json(ask.body)


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    if result.errors:
        raise row_error(call, result)
    return Reply(200, wire.write_json(result, is_single=call.is_single))


def stream_type(ask: Ask) -> str:
    return "application/jsonl"


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    return wire.write_item(value) + b"\n"


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    raise ZeroDivisionError("a secret of chunk_error")


def answer(ask: Ask, facts: Facts) -> Reply:
    facts.check_ready(ask.model, ask.version)
    return Reply(200, b"{}")


def render(ask: Ask, error: HeadwayError) -> Reply:
    if "none" in ask.query:
        return None  # type: ignore[return-value]
    raise ZeroDivisionError("a secret of render")
