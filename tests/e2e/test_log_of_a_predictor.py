"""What a predictor prints or logs while it answers names the requests that it answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, serving, wait_until

PREDICTORS = """
import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import headway as hw

log = logging.getLogger("author")


def item(text: str) -> str:
    print("saw", text)
    log.warning("noted %s", text)
    return text


def batch(text: hw.Batch[str]) -> hw.Batch[str]:
    print("saw", *sorted(text))
    while "first" in text and not Path("go").exists():
        pass
    return text


async def later(text: str) -> str:
    await asyncio.sleep(0)
    print("saw", text)
    return text


def stream(text: str) -> Iterator[str]:
    for i in range(2):
        print("saw", text, i)
        yield text
"""
NAMES = ("item", "batch", "later", "stream")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("logs")
    folder.joinpath("predictors.py").write_text(PREDICTORS)
    models = "".join(
        f"  {n}: {{predictor: 'predictors.py:{n}', workers: 1, slots: 1}}\n" for n in NAMES
    )
    folder.joinpath("headway.yaml").write_text(f"max_batch: 8\nmodels:\n{models}")
    with serving(folder) as server:
        yield server


def lines_of(server: Server, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message]


@pytest.mark.parametrize(
    ("model", "messages"),
    [
        ("item", ["saw a", "noted a"]),
        ("batch", ["saw b"]),
        ("later", ["saw c"]),
        ("stream", ["saw d 0", "saw d 1"]),
    ],
)
def test_a_line_of_one_request_carries_its_id(
    server: Server, model: str, messages: list[str]
) -> None:
    text = messages[0].split()[1]
    server.ask(model, {"text": text}, {"x-request-id": f"id-{model}"})
    for message in messages:
        (line,) = lines_of(server, message)
        assert line["request_id"] == f"id-{model}"


def test_a_line_of_a_batch_carries_the_ids_of_all(server: Server) -> None:
    blocker = server.ask_later("batch", {"text": "first"}, {"x-request-id": "id-first"})
    wait_until(lambda: lines_of(server, "saw first"), "the first is with the model")
    asked = [
        server.ask_later("batch", {"text": f"t{i}"}, {"x-request-id": f"id-{i}"}) for i in range(3)
    ]
    server.wait_for_queue("batch", 3)
    server.path("go").touch()
    assert [future.result(20).status for future in (blocker, *asked)] == [200] * 4
    (line,) = lines_of(server, "saw t0 t1 t2")
    assert sorted(line["request_ids"]) == ["id-0", "id-1", "id-2"]
