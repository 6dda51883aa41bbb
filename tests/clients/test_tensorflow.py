"""TensorFlow Serving's stubs, over gRPC, against a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_subjects import write_subjects
from serving import serving

MODELS = """
models:
  sentiment: {predictor: "foreign_subjects.py:Sentiment", workers: 1}
  half_plus_two: {predictor: "foreign_subjects.py:HalfPlusTwo", workers: 1}
  whole: {predictor: "foreign_subjects.py:whole", workers: 1}
"""


@pytest.fixture
def said(tmp_path: Path, run_client: Callable[..., Any]) -> Any:
    write_subjects(tmp_path)
    tmp_path.joinpath("headway.yaml").write_text(MODELS)
    with serving(tmp_path) as server:
        return run_client("tensorflow", "asks.py", server.info["grpc"])


def test_tensorflows_stubs_are_answered_as_by_tensorflow_serving(said: Any) -> None:
    halves = {"output": [2.5, 3.0, 4.5]}
    assert (said["numbers"], said["version"], said["label"]) == (halves, halves, halves)
    assert said["filled"] == {"output": [3.0, 3.0, 3.0]}
    assert said["texts"] == {"label": ["small", "small"], "score": [2 / 3, 0.0]}
    assert said["one output"] == {"label": ["small", "small"]}
    assert said["whole"] == {"output": [2**53 + 1, -(2**63)]}
    refused = ("no model", "no version", "no label", "wrong type", "rejected")
    assert [said[name][0] for name in refused] == [*["NOT_FOUND"] * 3, *["INVALID_ARGUMENT"] * 2]
    assert said["rejected"][1] == "row 1: no text"
    assert said["classify"] == [["small", pytest.approx(2 / 3)]]
    assert said["regress"] == [4.5, 4.5]
    assert said["status"] == [[1, 30]]
    assert said["inputs"] == ["least", "text"]
    assert said["outputs"] == {"label": 7, "score": 2}
    assert said["method"] == "tensorflow/serving/predict"
