"""GraphQL over HTTP: a schema for each model, made of its signature; streams as subscriptions over server-sent events.

Specifications: GraphQL, September 2025; GraphQL over HTTP, the draft of 2025, below "HTTP"; the protocol of
graphql-sse, "distinct connections mode", below "SSE". The library is graphql-core, which only workers import, with
their first request of GraphQL.

`/graphql/{model}` has the schema of one model. `/graphql` finds the model by the field at the document's root, and
asks one model a request: a request goes to one worker. Several aliases of the field are rows of one call. POST only; no
batches of requests, no WebSocket, no uploads. What each limit is stands with `_graphql_document` and
`_graphql_execution`.

Chosen where the texts leave it open: limits are 400 whatever the client accepts; a request of which no field can be
asked is refused as a whole, before it is executed; `null` stands for NaN and infinity.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headway.errors import BadInput, CallerError, HeadwayError, UnknownPath
from headway.model.accepting import preferred
from headway.model.call import Call, Description, Result
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
from headway.protocols._graphql_document import (
    check_content_type,
    name_of,
    read_request,
    refused,
    root_fields,
)

REQUIRES = ("graphql-core>=3.3,<3.4",)
ROUTES: Sequence[Route] = (
    Route("POST", "/graphql/{model}", "graphql"),
    Route("POST", "/graphql/{model}/versions/{version}", "graphql"),
    Route("POST", "/graphql", "graphql", names_in_body=True),
)
HEADERS: Sequence[str] = ("accept", "content-type")
CHOICES: Mapping[str, Sequence[str]] = {"graphql-introspection": ("on", "off")}
"""Whether a schema may be asked for."""

MAX_VALUES = 10_000
"""Of the variables of a request; larger arrays have cheaper protocols."""
_RESPONSE = "application/graphql-response+json"
_EVENTS = "text/event-stream"
_EXTRA = "'headway[graphql]'"
_COMPLETE = b"event: complete\ndata:\n\n"
_PIECE = re.compile(rb'"(?:[^"\\]|\\.)*+"|,', re.DOTALL)


class _Plan(msgspec.Struct, frozen=True):
    """What a call has to remember."""

    plan: Any
    """`_graphql_execution.Plan`."""
    keys: Sequence[str] = ()
    """The name of each row in the answer."""
    failed: Mapping[str, CallerError] = {}
    """Of fields whose arguments were refused, by the same names."""


# Requests


def target(ask: Ask) -> tuple[str, str]:
    """The model whose field stands at the document's root. Raises CallerError."""
    check_content_type(ask.headers.get("content-type", ""))
    fields = root_fields(ask.body)
    if not fields:
        return "", ""  # of the schema, of which the only or the default model has one
    if len(fields) > 1:
        expected = "fields of one model, since a request goes to one (ask it again under aliases)"
        raise refused("document", expected, ", ".join(fields[:5])[:200])
    known = {name_of(model): model for model in reversed(ask.headers.get(":models", "").split())}
    if fields[0] not in known:
        raise refused("document", f"a field of {', '.join(known)}", repr(fields[0])[:80])
    return known[fields[0]], ""


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a document, and make a row of each field that asks the model. Raises CallerError."""
    check_content_type(ask.headers.get("content-type", ""))
    try:
        from headway.protocols import _graphql_execution as execution  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as e:
        advice = f"its operator adds it with: pip install {_EXTRA}"
        raise UnknownPath(f"GraphQL is not spoken here, for want of a library; {advice}") from e
    request = read_request(ask.body)
    is_hidden = ask.headers.get(":graphql-introspection") == "off"
    document = execution.read_document(wire.description, request.query, is_hidden=is_hidden)
    plan = execution.Plan(document, request.operationName, _variables(bytes(request.variables)))
    rows = plan.rows()
    if rows and wire.description.is_stream and _EVENTS not in ask.headers.get("accept", ""):
        raise BadInput(
            where="header accept", expected=f"{_EVENTS}, for a subscription", found="others"
        )
    call, memo = _read_rows(plan, rows, wire)
    call.memo = memo
    call.needs_model = bool(call.rows)
    return call


def _variables(raw: bytes) -> dict[str, Any]:
    """The variables of a request. Raises BadInput: they are no object, or hold too many values."""
    # Each value but the first of its list or object has a comma in front; those within texts are not meant.
    if raw.count(b",") > MAX_VALUES:
        count = 0
        for piece in _PIECE.finditer(raw):
            count += piece[0] == b","
            if count > MAX_VALUES:
                expected = f"at most {MAX_VALUES} values (V2 and plain JSON take larger arrays)"
                raise refused("variables", expected, "more")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any] | None) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"GraphQL variables: {told(e, raw)}") from None


def _read_rows(plan: Any, rows: Mapping[str, Mapping[str, Any]], wire: Wire) -> tuple[Call, _Plan]:
    """The fields' arguments as rows of one call. Raises CallerError: all of them are refused."""
    if not rows:
        return Call(0, {}), _Plan(plan)
    items = {key: msgspec.json.encode(arguments) for key, arguments in rows.items()}
    try:
        return _read_items(list(items.values()), wire), _Plan(plan, list(items))
    except CallerError as e:
        if len(items) > wire.max_rows:
            raise
        if len(items) == 1:
            raise _of_document(e) from None
    failed: dict[str, CallerError] = {}
    for key, item in items.items():
        try:
            wire.read_json(item)
        except CallerError as e:
            # Its frames hold all that was read, in a circle that only the collector would find.
            e.__traceback__ = e.__context__ = None
            failed[key] = e
    readable = [key for key in items if key not in failed]
    if not readable:
        raise _of_document(next(iter(failed.values())))
    return _read_items([items[key] for key in readable], wire), _Plan(plan, readable, failed)


def _of_document(error: CallerError) -> CallerError:
    """An error of what is asked, as those of graphql-core are."""
    error.fields["is_of_document"] = True
    return error


def _read_items(items: Sequence[bytes], wire: Wire) -> Call:
    return wire.read_json(items[0] if len(items) == 1 else b"[" + b",".join(items) + b"]")


# Answers


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer: the data, and beside it the errors of the fields that have none."""
    memo: _Plan = call.memo or _Plan(None)
    if result.errors and len(memo.keys) < call.rows:  # no field of the document stands for it
        raise row_error(call, result)
    outcomes: dict[str, Any] = dict(memo.failed)
    outcomes |= zip(memo.keys, _values(call, result, wire), strict=True)
    body = msgspec.json.encode(memo.plan.answer(outcomes))
    media = _media(ask)
    if media == _EVENTS:
        return Reply(200, _event(body) + _COMPLETE, f"{_EVENTS}; charset=utf-8")
    return Reply(200, body, media)


def _values(call: Call, result: Result, wire: Wire) -> list[Any]:
    """What was found for each row: an answer in its JSON form, or an error."""
    if not call.rows:
        return []
    if not result.errors:
        return msgspec.json.decode(wire.write_json(result, is_single=False), type=list[Any])
    if len(result.errors) == call.rows:
        return [result.errors[row] for row in range(call.rows)]
    parts = wire.split(Result(result.values), [1] * call.rows)
    return [
        result.errors.get(row) or msgspec.json.decode(wire.write_json(part, is_single=True))
        for row, part in enumerate(parts)
    ]


def stream_type(ask: Ask) -> str:
    """Server-sent events."""
    return f"{_EVENTS}; charset=utf-8"


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write one item of a stream: SSE, "next"."""
    memo: _Plan = call.memo
    outcomes = dict.fromkeys(memo.keys, msgspec.json.decode(wire.write_item(value)))
    return _event(msgspec.json.encode(memo.plan.answer(outcomes)))


def chunk_error(ask: Ask, error: HeadwayError) -> bytes:
    """Write the error that ends a stream."""
    return _event(_written(error)) + _COMPLETE


def chunk_last(ask: Ask, call: Call, wire: Wire) -> bytes:
    """Write what ends a stream: SSE, "complete"."""
    return _COMPLETE


def _event(body: bytes) -> bytes:
    return b"event: next\ndata: " + body + b"\n\n"


def render(ask: Ask, error: HeadwayError) -> Reply:
    """Write an error, with a status that says whose fault it is where the caller can take that."""
    media, status, body = _media(ask), status_of(error), _written(error)
    if "is_of_document" in error.fields and media == JSON:
        # HTTP: "The server SHOULD use the 200 status code for every response to a well-formed
        # GraphQL-over-HTTP request"; what is not the request's fault has its own status all the same.
        status = 200
    elif "is_of_document" in error.fields and media == _EVENTS:
        # SSE: errors of validation "MUST" be told "by emitting `next` events".
        return Reply(200, _event(body) + _COMPLETE, stream_type(ask))
    return Reply(status, body, _RESPONSE if media == _EVENTS else media, headers_of(error))


def _written(error: HeadwayError) -> bytes:
    """An error: GraphQL, section 7.1.6, with a stable `code` among its extensions."""
    said: dict[str, Any] = {"message": public_message(error), "extensions": {"code": error.code}}
    if error.fields.get("locations"):
        said["locations"] = error.fields["locations"]
    return msgspec.json.encode({"errors": [said]})


def _media(ask: Ask) -> str:
    """The content type of an answer."""
    accept = ask.headers.get("accept", "")
    found = preferred(accept, (_RESPONSE, _EVENTS))
    # HTTP: without an Accept header, the newer of the two.
    return found or (JSON if JSON in accept.lower() else _RESPONSE)


def answer(ask: Ask, facts: Facts) -> Reply:
    """Nothing here is answered by the gateway: no route is local."""
    raise UnknownPath()


# The other way round

WAYS: Sequence[str] = ("json",)


def ask(model: Description, items: Sequence[Mapping[str, Any]], way: str) -> Ask:
    """Write a field for each item, under an alias. Raises BadInput: there are too many, or no schema for them."""
    try:
        from headway.protocols import _graphql_asking as asking  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as e:
        raise BadInput(
            f"asking in GraphQL needs a library; add it with: pip install {_EXTRA}"
        ) from e
    return asking.write_ask(model, items)


def read(model: Description, reply: Reply, count: int) -> list[Any]:
    """The answers, one an item; of a stream, a list of its items. Raises BadOutput."""
    from headway.protocols import _graphql_asking as asking  # noqa: PLC0415  (an extra)

    return asking.read_reply(model, reply, count)
