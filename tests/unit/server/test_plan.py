"""Which model a request asks: by its path, a header, its body, or because there is no other."""

import asyncio
import gzip
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headway.config import ServerSettings
from headway.engine.pool import Pool
from headway.errors import BadInput, ConfigError, UnknownModel, UnknownVersion, UnsupportedMedia
from headway.model.call import Description
from headway.observe.metrics import Board
from headway.protocols import Ask, Codec, Route
from headway.server.choices import chosen
from headway.server.http1 import Head, Heads, Limits
from headway.server.plan import Plan, Planner

ROUTES = (
    Route("POST", "/ask", "ask", model_header="x-model"),
    Route("POST", "/one/{model}:ask", "ask"),
    Route("POST", "/one/{model}/labels/{label}:ask", "ask"),
    Route("POST", "/body", "ask", names_in_body=True),
)
CHOICES = {"words": {"tone": ("polite", "rude")}}


def target(ask: Ask) -> tuple[str, str]:
    """`MODEL VERSION`; `#N` is the Nth of all models."""
    model, _, version = bytes(ask.body).decode().partition(" ")
    if model.startswith("#"):
        model = ask.headers[":models"].split()[int(model[1:])]
    return model, version


CODEC = cast("Codec", SimpleNamespace(ROUTES=ROUTES, HEADERS=("accept",), target=target))


def described(name: str) -> Description:
    return Description(name, "7", "", "headway_python", (), (), {}, {}, headers=("x-mine",))


def planned(
    path: str,
    *lines: str,
    body: bytes = b"",
    models: Sequence[str] = ("a", "b"),
    default: str = "",
) -> Plan:
    async def run() -> Plan:
        board, loop = Board.create(1, len(models)), asyncio.get_running_loop()
        pools = {n: Pool(loop, n, board.tally(0, i), *[_pass] * 2) for i, n in enumerate(models)}
        for name, pool in pools.items():
            pool.description = described(name)
        planner = Planner(pools, {"words": CODEC}, ServerSettings(default_model=default))
        head = head_of(path, *lines)
        plan = planner.plan(head)
        if plan.found.route.names_in_body:
            assert plan.needs_body
            plan = planner.addressed(head, plan, body)
            assert planner.addressed(head, plan, body) is plan
        return plan

    return asyncio.run(run())


def _pass(*arguments: Any) -> None: ...


def head_of(path: str, *lines: str) -> Head:
    raw = "\r\n".join([f"POST {path} HTTP/1.1", "host: localhost", *lines, "", ""])
    return Heads(Limits()).parse(raw.encode())


def model_of(plan: Plan) -> str:
    assert plan.pool is not None
    return plan.pool.name


def test_a_path_without_a_model_asks_the_only_one_or_the_default() -> None:
    assert model_of(planned("/ask", models=["a"])) == "a"
    assert model_of(planned("/ask", default="b")) == "b"
    with pytest.raises(BadInput, match=r"expected the name of a model, of a, b"):
        planned("/ask")


def test_a_header_names_the_model_where_the_path_does_not() -> None:
    assert model_of(planned("/ask", "x-model: b", default="a")) == "b"
    with pytest.raises(UnknownModel):
        planned("/ask", "x-model: c", default="a")


def test_a_verb_ends_a_segment_and_other_holes_travel_as_pseudo_headers() -> None:
    plan = planned("/one/b/labels/stable:ask", "accept: x", "x-mine: y", "x-other: z")
    assert model_of(plan) == "b"
    assert plan.question is not None
    assert plan.question.headers == {"accept": "x", "x-mine": "y", ":label": "stable"}
    assert model_of(planned("/one/a:ask")) == "a"


def test_a_body_names_the_model() -> None:
    assert model_of(planned("/body", body=b"b")) == "b"
    assert model_of(planned("/body", body=b"b 7", models=["b"])) == "b"
    assert model_of(planned("/body", body=b"", default="a")) == "a"
    assert model_of(planned("/body", body=b"#1")) == "b"
    packed = gzip.compress(b"b 7")
    assert model_of(planned("/body", "content-encoding: gzip", body=packed)) == "b"
    with pytest.raises(UnknownModel):
        planned("/body", body=b"c")
    with pytest.raises(UnknownVersion):
        planned("/body", body=b"a 8")
    with pytest.raises(UnsupportedMedia):
        planned("/body", "content-encoding: br", body=b"a")


def test_an_operator_chooses_how_a_protocol_speaks() -> None:
    assert chosen("", CHOICES) == {"words": {":tone": "polite"}}
    assert chosen("tone=rude", CHOICES) == {"words": {":tone": "rude"}}
    with pytest.raises(ConfigError, match="tone is polite or rude, not 'loud'"):
        chosen("tone=loud", CHOICES)
    with pytest.raises(ConfigError, match="no protocol has the choice 'tune'; known: tone"):
        chosen("tune=rude", CHOICES)
