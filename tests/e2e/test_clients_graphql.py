"""GraphQL as its own clients speak it, to a real server: gql with the schema that it asks for, events, schemathesis."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import subjects
from gql import Client, GraphQLRequest, gql
from gql.dsl import DSLMutation, DSLQuery, DSLSchema, dsl_gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.requests import RequestsHTTPTransport
from serving import Server, serving

pytestmark = pytest.mark.timeout(120)

TYPED = '''
"""Predictors whose inputs GraphQL can type to the end, so that whatever is of those types has an answer."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

import headway as hw


class Tone(enum.Enum):
    LOUD = "loud"
    SOFT = "soft"


@dataclass
class Node:
    name: str
    kids: list["Node"] = field(default_factory=list)
    tone: Tone = Tone.SOFT
    weight: float | None = None


def tree(node: Node, depth: int = 1, mode: Tone = Tone.LOUD, ids: list[int] | None = None) -> Node:
    return node


def load(data: bytes, extra: dict[str, float], flags: list[bool]) -> dict[str, float]:
    return {**extra, "size": float(len(data)), "flags": float(sum(flags))}


class Note(hw.Predictor):
    idempotent = False

    def predict(self, text: hw.Batch[str]) -> hw.Batch[int]:
        return [len(t) for t in text]


def echo(text: str, ratio: float) -> Iterator[float]:
    yield ratio
'''
HOOKS = """
import base64

import schemathesis
from graphql import ObjectFieldNode, NameNode
from hypothesis import strategies as st
from schemathesis.graphql import nodes

texts = st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode())
schemathesis.graphql.scalar("Base64", texts.map(nodes.String))
numbers = st.floats(allow_nan=False, allow_infinity=False).map(nodes.Float)
named = numbers.map(lambda n: nodes.Object([ObjectFieldNode(name=NameNode(value="a"), value=n)]))
schemathesis.graphql.scalar("JSON", named)
schemathesis.graphql.scalar("BigInt", st.integers(-(2**63), 2**63 - 1).map(nodes.Int))
"""
MODELS = """
models:
  mix: {predictor: "subjects.py:Mix", workers: 1}
  gate-1: {predictor: "subjects.py:Gate", workers: 1}
  once: {predictor: "subjects.py:Once", workers: 1}
  count: {predictor: "subjects.py:Count", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("graphql")
    shutil.copy(subjects.__file__, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log, server.log


def client_of(server: Server, path: str, **options: Any) -> Client:
    url = f"http://127.0.0.1:{server.port}{path}"
    return Client(transport=RequestsHTTPTransport(url=url), **options)


def test_a_client_builds_its_queries_from_the_schema_that_it_has_asked_for(server: Server) -> None:
    client = client_of(server, "/graphql/gate-1", fetch_schema_from_transport=True)
    with client as session:
        assert client.schema is not None
        ds = DSLSchema(client.schema)
        asked = dsl_gql(
            DSLQuery(
                first=ds.Query.gate_1(text="joy"),
                second=ds.Query.gate_1(text="more", until=""),
            )
        )
        assert session.execute(asked) == {"first": "JOY", "second": "MORE"}


def test_a_document_names_its_model_and_its_aliases_share_one_batch(server: Server) -> None:
    query = gql(
        'query($a: String!) { a: gate_1(text: $a) b: gate_1(text: "b") no: gate_1(text: "no") }'
    )
    query.variable_values = {"a": "alpha"}
    with client_of(server, "/graphql") as session, pytest.raises(TransportQueryError) as raised:
        session.execute(query)
    assert raised.value.data == {"a": "ALPHA", "b": "B", "no": None}
    assert raised.value.errors is not None
    (error,) = raised.value.errors
    assert error["path"] == ["no"]
    assert error["extensions"] == {"code": "rejected"}
    assert "3" in server.lines("batches.txt")


def test_what_may_not_be_asked_twice_is_a_mutation(server: Server) -> None:
    client = client_of(server, "/graphql/once", fetch_schema_from_transport=True)
    with client as session:
        assert client.schema is not None
        asked = dsl_gql(DSLMutation(DSLSchema(client.schema).Mutation.once(text="now")))
        assert session.execute(asked) == {"once": "NOW"}


def test_large_integers_come_back_as_they_are(server: Server) -> None:
    number = 2**53 + 1
    request = GraphQLRequest(
        "query($n: BigInt!) { mix(number: $n) }", variable_values={"n": str(number)}
    )
    with client_of(server, "/graphql") as session:
        assert session.execute(request) == {"mix": subjects.mix(number)}


def test_an_operator_can_hide_the_schema(tmp_path: Path) -> None:
    shutil.copy(subjects.__file__, tmp_path / "subjects.py")
    tmp_path.joinpath("headway.yaml").write_text("models: {mix: {predictor: 'subjects.py:Mix'}}")
    with serving(tmp_path, "--dialect", "graphql-introspection=off") as server:
        with client_of(server, "/graphql") as session:
            assert session.execute(gql("{ mix(number: 1) }")) == {"mix": subjects.mix(1)}
        with (
            pytest.raises(TransportQueryError, match="introspection has been disabled"),
            client_of(server, "/graphql", fetch_schema_from_transport=True),
        ):
            pass


def events_of(body: bytes) -> list[tuple[str, Any]]:
    """Server-sent events (WHATWG HTML section 9.2) by name."""
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(line.partition(":")[::2] for line in block.split("\n"))
        data = fields["data"].strip()
        found.append((fields["event"].strip(), json.loads(data) if data else None))
    return found


def subscribe(server: Server, query: str, accept: str = "text/event-stream") -> Any:
    headers = {"content-type": "application/json", "accept": accept}
    return server.call("POST", "/graphql", json.dumps({"query": query}).encode(), headers)


def test_a_stream_is_a_subscription_over_server_sent_events(server: Server) -> None:
    answer = subscribe(server, 'subscription { n: count(upto: 3, name: "sse") }')
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    numbers = [("next", {"data": {"n": n}}) for n in range(3)]
    assert events_of(answer.body) == [*numbers, ("complete", None)]


def test_a_client_that_takes_no_events_is_told_so(server: Server) -> None:
    answer = subscribe(server, 'subscription { count(upto: 3, name: "sse") }', "application/json")
    assert answer.status == 400
    assert "text/event-stream" in answer.json["errors"][0]["message"]


def test_the_schema_of_a_stream_can_be_asked_for_and_its_events_read_by_it(server: Server) -> None:
    client = client_of(server, "/graphql/count", fetch_schema_from_transport=True)
    with client as session:
        assert client.schema is not None
        assert client.schema.subscription_type is not None
        assert list(client.schema.subscription_type.fields) == ["count"]
        assert session.execute(gql("{ _model { name } }")) == {"_model": {"name": "count"}}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("typed")
    folder.joinpath("typed.py").write_text(TYPED)
    folder.joinpath("hooks.py").write_text(HOOKS)
    lines = [
        f'  {name}: {{predictor: "typed.py:{kind}", workers: 1}}' for name, kind in KINDS.items()
    ]
    folder.joinpath("headway.yaml").write_text("models:\n" + "\n".join(lines))
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log, server.log


KINDS = {"tree": "tree", "load": "load", "note": "Note", "echo": "echo"}
EXAMPLES = os.environ.get("GRAPHQL_EXAMPLES", "20")


@pytest.mark.parametrize("model", KINDS)
def test_whatever_is_of_the_schemas_types_has_an_answer(typed: Server, model: str) -> None:
    tool = Path(sys.executable).with_name("schemathesis")
    address = f"http://127.0.0.1:{typed.port}/graphql/{model}"
    flags = ("--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--continue-on-failure")
    done = subprocess.run(
        [tool, "run", address, *flags],
        cwd=typed.folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "Specification:    GraphQL" in done.stdout
