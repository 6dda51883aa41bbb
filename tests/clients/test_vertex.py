"""Vertex AI's prediction client, over REST and gRPC, against a real server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_subjects import write_subjects
from serving import Server, serving

MODELS = """
models:
  sentiment: {predictor: "foreign_subjects.py:Sentiment", workers: 1}
  echo: {predictor: "foreign_subjects.py:echo", workers: 1}
"""
JOY = {"label": "small", "score": 2 / 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vertex")
    write_subjects(folder)
    Path(folder, "headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_vertexs_client_is_answered_as_by_an_endpoint(
    server: Server, run_client: Callable[..., Any], transport: str
) -> None:
    said = run_client("vertex", "asks.py", f"127.0.0.1:{server.port}", transport)
    assert said["predict"]["predictions"] == [JOY, {"label": "small", "score": 0.0}]
    assert said["predict"]["deployed_model_id"] == "sentiment"
    assert said["predict"]["model_version_id"] == "1"
    assert said["parameters"]["predictions"] == [{**JOY, "label": "large"}]
    (explanation,) = said["explain"]["explanations"]
    assert explanation["attributions"][0]["feature_attributions"] == {"o": 1.0, "y": 1.0}
    assert said["no explain"][0] == "MethodNotImplemented"
    assert "no `explain` method" in said["no explain"][1]
    bad = "BadRequest" if transport == "rest" else "InvalidArgument"
    assert [said[name][0] for name in ("no model", "wrong", "rejected")] == ["NotFound", bad, bad]
    assert said["rejected"][1].endswith("row 1: no text")
    if transport == "grpc":
        assert said["none"]["predictions"] == []
        return
    assert "instances" in said["none"][1], "over REST the client leaves an empty list out"
    assert json.loads(said["raw"]) == JOY
    assert json.loads(said["stream"]) == {"predictions": [JOY]}
