"""GraphQL: the schema that a signature gives, rows of aliases, subscriptions, limits, and what it can't say."""

import contextlib
import enum
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import graphql as library
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import headway as hw
from headway import plugins
from headway.errors import BadInput, CallerError, HeadwayError, ModelFailed, UnsupportedMedia
from headway.model.call import Call, Result
from headway.model.marks import Batch, Tensor
from headway.model.signature import read_signature
from headway.model.wire import Wire
from headway.protocols import Ask, Reply, _graphql_document, _graphql_execution
from headway.protocols._graphql_schema import names_of, schema_of

codec: Any = plugins.load("protocols", "graphql")
JSON = {"content-type": "application/json"}


class Size(enum.Enum):
    SMALL = "s"
    EXTRA_LARGE = "x-l"


class Tone(enum.Enum):
    LOUD = "loud"
    SOFT = "soft"


@dataclass
class Node:
    """A tree."""

    name: str
    kids: list["Node"] = field(default_factory=list)
    tone: Tone = Tone.SOFT
    weight: float | None = None


@dataclass
class Answer:
    tree: Node
    score: float
    counts: dict[str, int]
    raw: bytes
    tone: Tone | None = None


def rich(  # noqa: PLR0917
    node: Node,
    größe: int,  # noqa: PLC2401
    mode: Literal["a", "b"],
    size: Size = Size.SMALL,
    level: Annotated[int, hw.Meta(ge=0, le=9, description="How much.")] = 3,
    ratio: float = math.inf,
    tags: list[str] = ["x"],  # noqa: B006  (never changed)
    either: int | str | None = None,
    extra: dict[str, float] = {},  # noqa: B006
    data: bytes = b"",
) -> Answer:
    """Tell much."""
    return Answer(node, ratio, {mode: größe}, data or f"{size.value} {level}".encode(), node.tone)


RICH = '''type Query {
  """Tell much."""
  rich_1(
    node: NodeInput!
    gr__e: BigInt!
    mode: Rich1Mode!
    size: String! = "s"

    """How much."""
    level: Int! = 3
    ratio: Float
    tags: [String!]! = ["x"]
    either: JSON = null
    extra: JSON! = {  }
    data: Base64! = ""
  ): Answer

  """What is asked here."""
  _model: _Model!
}

type Answer {
  tree: Node!
  score: Float
  counts: JSON!
  raw: Base64!
  tone: Tone
}

"""A tree."""
type Node {
  name: String!
  kids: [Node!]
  tone: Tone
  weight: Float
}

enum Tone {
  loud
  soft
}

"""Any JSON value."""
scalar JSON

"""Bytes in base64 (RFC 4648 section 4)."""
scalar Base64

"""A tree."""
input NodeInput {
  name: String!
  kids: [NodeInput!]
  tone: Tone! = soft
  weight: Float = null
}

"""
An integer of 64 bits: a number, or as text where it is beyond 2^53 - 1; either is read.
"""
scalar BigInt

enum Rich1Mode {
  a
  b
}

type _Model {
  name: String!
  version: String!
  doc: String!
}'''


def texts(text: Batch[str]) -> Batch[str | hw.Reject]:
    return [hw.Reject("no") if t == "no" else t.upper() for t in text]


def numbers(number: Batch[int]) -> Batch[int]:
    return number


def nested(numbers: list[list[int]]) -> list[list[int]]:
    return numbers


def vectors(
    row: Annotated[NDArray[np.float64], Tensor("float64", "batch", None)],
) -> Annotated[NDArray[np.float64], Tensor("float64", "batch", None)]:
    return row / 0.0


def anything(value: Any) -> Any:
    return value


def count(upto: int) -> Iterator[int]:
    yield from range(upto)


class Once(hw.Predictor):
    idempotent = False

    def predict(self, text: Batch[str]) -> Batch[str]:
        return text


def wire_of(what: Callable[..., Any] | type, name: str = "it") -> Wire:
    return Wire(read_signature(what), name=name)


WIRES = {f: wire_of(f) for f in (texts, numbers, nested, vectors, anything, rich)}


def ask_of(query: Any, variables: Mapping[str, Any] | None = None, **headers: str) -> Ask:
    body = msgspec.json.encode({"query": query, "variables": variables})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask("graphql", "it", "", body, {**JSON, **named})


def answer_to(function: Callable[..., Any], ask: Ask) -> Reply:
    """What the engine would answer."""
    wire = WIRES[function]
    with np.errstate(all="ignore"):
        try:
            call = codec.decode(ask, wire)
            reply: Reply = codec.encode(ask, call, result_of(function, wire, call), wire)
        except HeadwayError as e:
            reply = codec.render(ask, e)
    return reply


def result_of(function: Callable[..., Any], wire: Wire, call: Call) -> Result:
    if not call.rows:
        return wire.empty()
    if wire.signature.is_batched:
        return wire.scatter(function(**wire.gather([(call, None)])), call.rows)
    return Result([wire.check_item(function(**wire.item(call, r))) for r in range(call.rows)])


def data_of(function: Callable[..., Any], query: str, **variables: Any) -> Any:
    reply = answer_to(function, ask_of(query, variables))
    body = msgspec.json.decode(reply.body)
    assert reply.status == 200, body
    assert "errors" not in body, body
    return body["data"]


def refusal_of(function: Callable[..., Any], query: Any, **variables: Any) -> str:
    """The only error of a request that is refused."""
    reply = answer_to(function, ask_of(query, variables))
    assert reply.status == 400
    body = msgspec.json.decode(reply.body)
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["extensions"] == {"code": "bad_input"}
    return str(error["message"])


# The schema


def test_a_signature_becomes_a_schema() -> None:
    schema = schema_of(wire_of(rich, "rich-1").description).schema
    assert library.validate_schema(schema) == []
    assert library.print_schema(schema) == RICH


def test_values_go_in_and_out_by_the_names_of_the_schema() -> None:
    data = data_of(
        rich,
        """query($tree: NodeInput!) {
          it(node: $tree, gr__e: "9223372036854775807", mode: b, either: "x", extra: {a: 2.5}, data: "eA==") {
            tree { kids { name tone } weight } score counts raw tone
          }
        }""",
        tree={"name": "a", "kids": [{"name": "b", "tone": "loud"}], "weight": 1},
    )
    assert data["it"] == {
        "tree": {"kids": [{"name": "b", "tone": "loud"}], "weight": 1.0},
        "score": None,
        "counts": {"b": 2**63 - 1},
        "raw": "eA==",
        "tone": "soft",
    }


def test_null_leaves_out_what_may_be_left_out() -> None:
    query = """query($r: Float) {
      it(node: {name: "a", kids: null}, gr__e: 1, mode: a, ratio: $r) { score tree { kids { name } } }
    }"""
    assert data_of(rich, query, r=None) == {"it": {"score": None, "tree": {"kids": []}}}
    tree = "query($t: NodeInput!) { it(node: $t, gr__e: 1, mode: a) { tree { kids { kids { name } } } } }"
    node = {"name": "a", "kids": [{"name": "b", "kids": None}]}
    assert data_of(rich, tree, t=node) == {"it": {"tree": {"kids": [{"kids": []}]}}}
    assert "of non-null type" in refusal_of(
        rich, query.replace("ratio: $r", "ratio: $r, level: null")
    )


def test_names_that_graphql_lacks_are_written_with_underscores_and_stay_apart() -> None:
    assert _graphql_document.name_of("my-model.v2") == "my_model_v2"
    assert _graphql_document.name_of("2nd") == "_2nd"
    assert _graphql_document.name_of("__it") == "_it"
    assert names_of(["a-b", "a.b", "a_b"]) == {"a-b": "a_b", "a.b": "a_b_2", "a_b": "a_b_3"}


def test_what_may_not_be_asked_twice_is_a_mutation_of_one_field() -> None:
    wire = wire_of(Once)
    schema = schema_of(wire.description)
    assert schema.kind == "mutation"
    call = codec.decode(ask_of('mutation { it(text: "a") }'), wire)
    assert call.columns == {"text": ["a"]}
    with pytest.raises(BadInput, match="expected one field in a mutation, found 2"):
        codec.decode(ask_of('mutation { a: it(text: "a") b: it(text: "b") }'), wire)
    with pytest.raises(BadInput, match="Cannot query field 'it' on type 'Query'"):
        codec.decode(ask_of('{ it(text: "a") }'), wire)


# Rows


def test_aliases_are_rows_of_one_call() -> None:
    ask = ask_of(
        '{ a: it(text: "x") ...F _model { name } } fragment F on Query { b: it(text: "y") }'
    )
    call = codec.decode(ask, WIRES[texts])
    assert (call.rows, call.columns) == (2, {"text": ["x", "y"]})


def test_an_alias_that_fails_leaves_the_others_their_answers() -> None:
    reply = answer_to(texts, ask_of('{ a: it(text: "x") b: it(text: "no") }'))
    assert msgspec.json.decode(reply.body) == {
        "data": {"a": "X", "b": None},
        "errors": [
            {
                "message": "no",
                "path": ["b"],
                "locations": [{"line": 1, "column": 20}],
                "extensions": {"code": "rejected"},
            }
        ],
    }


def test_where_every_alias_fails_each_has_its_own_error_and_none_tells_more_than_it_may() -> None:
    ask = ask_of('{ a: it(text: "x") b: it(text: "y") }')
    call = codec.decode(ask, WIRES[texts])
    failed = Result([], {0: ModelFailed("KeyError: password"), 1: ModelFailed("other")})
    body = codec.encode(ask, call, failed, WIRES[texts]).body
    assert b"password" not in body
    said = msgspec.json.decode(body)
    assert said["data"] == {"a": None, "b": None}
    assert [(e["path"], e["extensions"]["code"]) for e in said["errors"]] == [
        (["a"], "model_failed"),
        (["b"], "model_failed"),
    ]


def test_an_answer_that_breaks_its_schema_is_told_as_a_bad_output() -> None:
    ask = ask_of('{ it(node: {name: "a"}, gr__e: 1, mode: a) { tree { name } } }')
    call = codec.decode(ask, WIRES[rich])
    answered = call.memo.plan.answer({"it": {"tree": {"name": None}}})
    assert answered["data"] == {"it": None}
    assert [e["extensions"] for e in answered["errors"]] == [{"code": "bad_output"}]


def test_a_request_has_no_more_rows_than_the_server_takes() -> None:
    wire = wire_of(texts)
    wire.max_rows = 1
    with pytest.raises(BadInput, match="at most 1 rows"):
        codec.decode(ask_of('{ a: it(text: "x") b: it(text: "y") }'), wire)


# Values


@given(st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50)
def test_integers_of_64_bits_come_back_as_they_are(number: int) -> None:
    expected = number if abs(number) < 2**53 else str(number)
    assert data_of(numbers, f"{{ it(number: {number}) }}") == {"it": expected}
    assert data_of(numbers, "query($n: BigInt!) { it(number: $n) }", n=number) == {"it": expected}
    assert data_of(numbers, f'{{ it(number: "{number}") }}') == {"it": expected}
    assert data_of(nested, f"{{ it(numbers: [[{number}]]) }}") == {"it": [[expected]]}


@pytest.mark.parametrize(
    "number", ["1.0", "1e3", "true", '"1.5"', '""', "[1]", '"९"', "9" * 30, f'"{"9" * 5000}"']
)
def test_what_is_no_integer_of_64_bits_is_refused(number: str) -> None:
    assert "BigInt" in refusal_of(numbers, f"{{ it(number: {number}) }}")


def test_what_is_not_finite_is_null_in_an_answer_and_refused_in_a_question() -> None:
    assert data_of(vectors, "{ it(row: [0, 1, -1]) }") == {"it": [None, None, None]}
    assert "expected a number of 64 bits" in refusal_of(vectors, "{ it(row: [1e999]) }")
    assert "expected a number of 64 bits" in refusal_of(anything, "{ it(value: {a: -1e999}) }")
    body = b'{"query":"query($v:JSON){it(value:$v)}","variables":{"v":1e999}}'
    with pytest.raises(BadInput):
        codec.decode(Ask("graphql", "it", "", body, JSON), WIRES[anything])


def test_text_of_any_alphabet_comes_back_and_what_is_no_utf_8_is_refused() -> None:
    text = "größer 👋 \x00 \u2028"
    assert data_of(anything, "query($v: JSON) { it(value: $v) }", v=text) == {"it": text}
    assert data_of(anything, f"{{ it(value: {msgspec.json.encode(text).decode()}) }}") == {
        "it": text
    }
    for body in (b'{"query":"{it(value:\\"\xff\\")}"}', b'{"query":"{it(value:\\"\\ud800\\")}"}'):
        with pytest.raises(BadInput):
            codec.decode(Ask("graphql", "it", "", body, JSON), WIRES[anything])


def test_a_list_of_one_may_be_written_without_its_brackets() -> None:
    assert data_of(nested, "{ it(numbers: 7) }") == {"it": [[7]]}


# Subscriptions


def test_a_subscription_has_an_event_for_each_item_and_one_for_its_end() -> None:
    wire = wire_of(count)
    ask = ask_of("subscription { n: it(upto: 2) }", accept="text/event-stream")
    call = codec.decode(ask, wire)
    assert call.needs_model
    assert codec.stream_type(ask) == "text/event-stream; charset=utf-8"
    items = [codec.chunk(ask, call, wire.check_item(n), wire) for n in count(2)]
    assert items == [b'event: next\ndata: {"data":{"n":%d}}\n\n' % n for n in range(2)]
    assert codec.chunk_last(ask, call, wire) == b"event: complete\ndata:\n\n"
    last = codec.chunk_error(ask, ModelFailed())
    assert last.startswith(b'event: next\ndata: {"errors":[{"message":"The model raised')
    assert last.endswith(b"event: complete\ndata:\n\n")


def test_what_is_wrong_with_a_document_is_an_event_to_those_who_ask_for_events() -> None:
    reply = answer_to(texts, ask_of("{ it }", accept="text/event-stream"))
    assert (reply.status, reply.content_type) == (200, "text/event-stream; charset=utf-8")
    assert reply.body.startswith(b'event: next\ndata: {"errors":[{"message":"Argument')
    assert reply.body.endswith(b"\n\nevent: complete\ndata:\n\n")
    reply = answer_to(texts, ask_of('{ it(text: "a") }', accept="text/event-stream"))
    assert reply.body == b'event: next\ndata: {"data":{"it":"A"}}\n\nevent: complete\ndata:\n\n'
    reply = answer_to(texts, ask_of("{" * 40 + "}" * 40, accept="text/event-stream"))
    assert (reply.status, reply.content_type) == (400, "application/graphql-response+json")


def test_a_stream_is_asked_about_without_its_model() -> None:
    call = codec.decode(ask_of("{ _model { name } }"), wire_of(count))
    assert (call.rows, call.needs_model) == (0, False)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("subscription { it(upto: 2) }", "header accept: expected text/event-stream"),
        ("subscription { a: it(upto: 2) b: it(upto: 1) }", "must select only one top level field"),
        ("{ it(upto: 2) }", "Cannot query field 'it' on type 'Query'"),
        ("mutation { it(upto: 2) }", "mutation"),
    ],
)
def test_a_stream_is_asked_in_no_other_way(query: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        codec.decode(ask_of(query), wire_of(count))


# Errors and statuses


def test_only_what_is_wrong_with_a_document_is_told_in_a_200_and_only_to_those_who_ask_for_json() -> (
    None
):
    def status(query: str, accept: str) -> tuple[int, str]:
        reply = answer_to(texts, ask_of(query, accept=accept))
        return reply.status, reply.content_type

    new, old = "application/graphql-response+json", "application/json"
    assert status("{ it }", "") == status("{ it }", "*/*") == status("{ it }", new) == (400, new)
    assert status("{ it }", old) == (200, old)
    assert status("{ it }", f"{new}, {old};q=0.9") == (400, new)
    assert status("{ __typename }", old) == (200, old)
    assert (
        status("{ it(text: 7) }", old) == status('{ it(text: "\\u0000") a: it }', old) == (200, old)
    )
    assert status("{ __typename }", "text/html") == (200, new)
    assert status("{" + "__typename " * 200 + "}", old) == (400, old)  # over a limit


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=latin-1",
        "application/json;charset=utf-16",
    ],
)
def test_what_a_foreign_page_can_send_is_refused(kind: str) -> None:
    ask = Ask("graphql", "it", "", b'{"query":"{__typename}"}', {"content-type": kind})
    with pytest.raises(UnsupportedMedia):
        codec.decode(ask, WIRES[texts])
    with pytest.raises(UnsupportedMedia):
        codec.target(ask)


def test_a_schema_may_be_hidden() -> None:
    def refused(query: str) -> str:
        ask = ask_of(query)
        ask.headers = {**JSON, ":graphql-introspection": "off"}
        with pytest.raises(BadInput) as raised:
            codec.decode(ask, WIRES[texts])
        return raised.value.message

    assert "introspection has been disabled" in refused("{ __schema { types { name } } }")
    assert "Did you mean" not in refused("{ itt }")
    ask = ask_of("{ __typename _model { name } }")
    ask.headers = {**JSON, ":graphql-introspection": "off"}
    assert codec.decode(ask, WIRES[texts]).rows == 0


# Limits


def levels(depth: int) -> str:
    return (
        '{ it(node: {name: "a"}, gr__e: 1, mode: a) { tree { '
        + "kids { " * (depth - 3)
        + "name"
        + " }" * depth
    )


@pytest.mark.parametrize(
    ("fits", "exceeds", "told"),
    [
        (levels(10), levels(11), "at most 10 fields in each other"),
        (
            "{" + "".join(f"a{i}: __typename " for i in range(15)) + "}",
            "{" + "".join(f"a{i}: __typename " for i in range(16)) + "}",
            "at most 15 aliases",
        ),
        ("{" + "__typename " * 100 + "}", "{" + "__typename " * 101 + "}", "at most 100 fields"),
        (
            "{ ...A ...A } fragment A on Query { " + "__typename " * 50 + "}",
            "{ ...A ...A } fragment A on Query { " + "__typename " * 51 + "}",
            "at most 100 fields",
        ),
        (
            "{" + "...A " * 8 + "} fragment A on Query { a: __typename }",
            "{" + "...A " * 16 + "} fragment A on Query { a: __typename }",
            "at most 15 aliases",
        ),
        (
            "{" + "__typename @skip(if: false) " * 50 + "}",
            "{" + "__typename @skip(if: false) " * 51 + "}",
            "at most 50 directives",
        ),
        ("{" + "__typename " * 100 + "}", "{" + "__typename " * 999 + "}", "at most 1000 tokens"),
        ("{ __typename }", "{ __typename } #" + "x" * 2**17, "at most 131072 characters"),
    ],
    ids=[
        "depth",
        "aliases",
        "fields",
        "spread fields",
        "spread aliases",
        "directives",
        "tokens",
        "size",
    ],
)
def test_a_document_has_limits(fits: str, exceeds: str, told: str) -> None:
    answer = answer_to(rich, ask_of(fits))
    assert answer.status == 200, answer.body
    assert told in refusal_of(rich, exceeds)


def test_fragments_that_double_each_other_are_counted_and_not_spread() -> None:
    chain = "".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }} " for i in range(60))
    document = "{ ...F0 } " + chain + "fragment F60 on Query { __typename }"
    assert "at most 100 fields" in refusal_of(texts, document)


def test_fragments_in_a_circle_are_refused() -> None:
    circle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    assert "'A' in itself" in refusal_of(texts, circle)


def test_the_schema_as_tools_ask_for_it_is_within_the_limits() -> None:
    query = library.get_introspection_query(
        directive_is_repeatable=True, input_value_deprecation=True
    )
    client = library.build_client_schema(data_of(rich, query))
    assert library.print_schema(client) == library.print_schema(
        schema_of(WIRES[rich].description).schema
    )


def test_a_schema_is_not_asked_for_again_and_again_within_itself() -> None:
    deep = "{ __schema { types { " + "fields { type { " * 4 + "name" + " } }" * 4 + " } } }"
    assert "introspection depth" in refusal_of(texts, deep)


def test_variables_have_a_limit_that_commas_in_texts_do_not_count_for() -> None:
    most = codec.MAX_VALUES
    query = "query($v: JSON) { it(value: $v) }"
    assert data_of(anything, query, v=[0] * most)["it"][-1] == 0
    assert f"at most {most} values" in refusal_of(anything, query, v=[0] * (most + 2))
    text = '\\",' * (most + 2)
    assert data_of(anything, query, v=text) == {"it": text}
    assert "nested too deeply" in refusal_of_bytes(
        b'{"query":"{__typename}","variables":{"v":' + b"[" * 2000 + b"]" * 2000 + b"}}"
    )


def refusal_of_bytes(body: bytes) -> str:
    with pytest.raises(BadInput) as raised:
        codec.decode(Ask("graphql", "it", "", body, JSON), WIRES[anything])
    return raised.value.message


def test_the_page_tells_the_limits_as_they_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "ask-with-graphql.md").read_text()
    limits = {
        "characters of a document": _graphql_document.MAX_QUERY_CHARS,
        "tokens of a document": _graphql_document.MAX_TOKENS,
        "fields in each other": _graphql_execution.MAX_DEPTH,
        "fields": _graphql_execution.MAX_FIELDS,
        "aliases": _graphql_execution.MAX_ALIASES,
        "directives": _graphql_execution.MAX_DIRECTIVES,
        "values in the variables": codec.MAX_VALUES,
    }
    assert [what for what, most in limits.items() if f"| {what} | {most} |" not in page] == []


# Which model


def aimed(query: str, models: str = "it my-model 2nd", operation: str | None = None) -> str:
    body = msgspec.json.encode({"query": query, "operationName": operation})
    model, version = codec.target(Ask("graphql", "", "", body, {**JSON, ":models": models}))
    assert version == ""
    return str(model)


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ('{ it(text: "a") }', "it"),
        ('{ a: my_model(text: "{ it }") { it } }', "my-model"),
        ("query Q($a: In = {it: 1}) @d(it: 1) { _2nd(x: $a) { it } }", "2nd"),
        ("{ ...A } fragment A on Query { ... on Query @d { ... { it } } }", "it"),
        ("{ ...A ...A } fragment A on Query { ...A it }", "it"),
        ('subscription { it(x: """ " } """) # }\n }', "it"),
        ("{ on: it }", "it"),
        ("{ __schema { types { name } } _model { name } __typename }", ""),
        ("{ ...Missing }", ""),
    ],
)
def test_the_field_at_the_root_names_the_model(query: str, model: str) -> None:
    assert aimed(query) == model


def test_the_operation_that_is_chosen_names_the_model() -> None:
    document = "query A { it } query B { my_model }"
    assert aimed(document, operation="B") == "my-model"
    with pytest.raises(BadInput, match=r"the document's operations \(A, B\), found None"):
        aimed(document)
    with pytest.raises(BadInput, match="found 'C'"):
        aimed(document, operation="C")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ it my_model }", "expected fields of one model"),
        ("{ it ...F } fragment F on Query { my_model }", "expected fields of one model"),
        ("{ whisper }", "expected a field of _2nd, my_model, it, found 'whisper'"),
        ("{ it", "expected a }, found its end"),
        ("{ it(text: 'a') }", "expected a token"),
        ("{" + "it " * 1000 + "}", "at most 1000 tokens"),
        ("{" * 40 + "}" * 40, "at most 32 braces in each other"),
    ],
)
def test_a_document_that_names_no_one_model_is_refused(query: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        aimed(query)


def test_of_two_models_with_one_name_in_graphql_the_first_is_meant() -> None:
    assert aimed("{ a_b }", "a-b a.b") == "a-b"


MARKS = ["{", "}", "(", ")", "[", "]", "...", "on", "a", "b", "@", ":", "$", "query", "fragment"]


@given(st.lists(st.sampled_from([*MARKS, "=", '"x"', "1", "!", "|", '"', "é"]), max_size=12))
@settings(max_examples=400)
def test_the_reader_in_the_gateway_survives_whatever_comes(tokens: list[str]) -> None:
    with contextlib.suppress(CallerError):
        aimed(" ".join(tokens), "a b")


def test_a_server_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headway.protocols._graphql_execution", None)
    monkeypatch.delattr("headway.protocols._graphql_execution")
    with pytest.raises(CallerError, match=r"pip install 'headway\[graphql\]'"):
        codec.decode(ask_of("{ __typename }"), WIRES[texts])


def test_documents_are_kept_and_errors_are_not() -> None:
    read = _graphql_execution.read_document
    model = WIRES[texts].description
    assert read(model, "{ __typename }", is_hidden=False) is read(
        model, "{ __typename }", is_hidden=False
    )
    for _ in range(2):
        with pytest.raises(BadInput):
            read(model, "{ it }", is_hidden=False)
