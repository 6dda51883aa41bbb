"""KServe's client, in V1, against a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_subjects import write_subjects
from serving import serving

MODELS = """
server: {dialect: v1-inputs=kserve}
models:
  sentiment: {predictor: "foreign_subjects.py:Sentiment", workers: 1}
  echo: {predictor: "foreign_subjects.py:echo", workers: 1}
  whole: {predictor: "foreign_subjects.py:whole", workers: 1}
"""


@pytest.fixture
def said(tmp_path: Path, run_client: Callable[..., Any]) -> Any:
    write_subjects(tmp_path)
    tmp_path.joinpath("headway.yaml").write_text(MODELS)
    with serving(tmp_path) as server:
        return run_client("kserve", "asks.py", f"http://127.0.0.1:{server.port}")


def test_kserves_client_is_answered_as_by_kserve(said: Any) -> None:
    joy = {"label": "small", "score": 2 / 3}
    large = {"label": "large", "score": 0.0}
    assert (said["live"], said["ready"]) == (True, True)
    assert said["infer"] == {"predictions": [joy, {**large, "label": "small"}]}
    assert said["inputs"] == {"predictions": [joy]}
    assert said["parameters"] == {"predictions": [{**joy, "label": "large"}, large]}
    assert said["bytes"] == {"predictions": ["/wD+"]}
    assert said["whole"] == {"predictions": [2**53 + 1, -(2**63)]}
    assert said["none"] == {"predictions": []}
    assert said["explain"] == {"explanations": [{"o": 1.0, "y": 1.0}, {}]}
    status, body = said["no explain"]
    assert status == 501
    assert "no `explain` method" in body["error"]
    assert [said[name][0] for name in ("no model", "no such ready", "wrong", "rejected")] == [
        *(404, 404, 400, 400)
    ]
    assert said["rejected"][1] == {"error": "row 1: no text"}
