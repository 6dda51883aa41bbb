"""How much, and what, one request may hold: the same rule in every dialect, over a real server."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Answer, Server, serving, write_subjects

MODELS = """
max_batch: 4
models:
  mix: {predictor: "subjects.py:Mix", workers: 1}
  few: {predictor: "subjects.py:Mix", workers: 1, max_request_rows: 3}
"""
MANY = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("bounds")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def infer(server: Server, model: str, numbers: list[int]) -> Answer:
    tensor = {"name": "number", "datatype": "INT64", "shape": [len(numbers)], "data": numbers}
    body = json.dumps({"inputs": [tensor]}).encode()
    return server.call("POST", f"/v2/models/{model}/infer", body)


def infer_binary(server: Server, model: str, numbers: list[int]) -> Answer:
    tail = struct.pack(f"<{len(numbers)}q", *numbers)
    tensor = {
        "name": "number",
        "datatype": "INT64",
        "shape": [len(numbers)],
        "parameters": {"binary_data_size": len(tail)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    return server.call("POST", f"/v2/models/{model}/infer", head + tail, headers)


def predict(server: Server, model: str, numbers: list[int]) -> Answer:
    return server.ask(model, [{"number": n} for n in numbers])


@pytest.mark.parametrize("how", [predict, infer, infer_binary])
def test_rows_over_the_limit_are_refused_in_every_dialect(server: Server, how: object) -> None:
    assert callable(how)
    assert how(server, "few", [1, 2, 3]).status == 200
    refused = how(server, "few", [1, 2, 3, 4])
    assert refused.status == 400
    assert "at most 3 rows, found 4" in refused.json["error"]


@pytest.mark.parametrize("how", [predict, infer, infer_binary])
def test_a_million_rows_are_refused_unless_the_operator_wants_them(
    server: Server, how: object
) -> None:
    assert callable(how)
    refused = how(server, "mix", [1] * MANY)
    assert refused.status == 400
    assert f"at most 65536 rows, found {MANY}" in refused.json["error"]
    assert server.ask("mix", {"number": 1}).status == 200
