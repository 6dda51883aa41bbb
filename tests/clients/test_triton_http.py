"""Triton's HTTP client, sync and aio, against a real server."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Server, serving
from snippets import ROOT, snippets_of

TOKEN = "hw_an-operators-token"
SUBJECTS = """
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw

Three = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 3)]
Many = Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", None)]


def scores(rows: Three) -> Three:
    return rows


def double(rows: Many) -> Many:
    return rows * 2


def echo(text: hw.Batch[str]) -> hw.Batch[str]:
    return text


def moods(text: hw.Batch[str]) -> hw.Batch[dict[str, float]]:
    return [{"calm": 0.25, "joy": 0.75} for _ in text]
"""
MODELS = """
server: {admin_address: "127.0.0.1:0", admin_token_file: tokens.txt}
models:
  scores: {predictor: "subjects.py:scores", workers: 1}
  double: {predictor: "subjects.py:double", workers: 1}
  echo: {predictor: "subjects.py:echo", workers: 1}
  moods: {predictor: "subjects.py:moods", workers: 1}
"""
ROWS = [pytest.approx(x) for x in (0.1, 0.7, 0.2, 0.5, 0.25, 0.25)]
RESTRICTED = (
    "{} is answered on the admin API alone: its Unix socket, `admin_address`, or here with "
    "`public_admin`."
)

Run = Callable[..., Any]


@pytest.fixture
def said(tmp_path: Path, run_client: Run) -> Any:
    tmp_path.joinpath("subjects.py").write_text(SUBJECTS)
    tmp_path.joinpath("headway.yaml").write_text(MODELS)
    tmp_path.joinpath("tokens.txt").write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    with serving(tmp_path) as server:
        place = urlsplit(server.info["admin_http"]).netloc
        return run_client("triton_http", "asks.py", address(server), place, TOKEN)


def address(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def test_tritons_client_is_answered_as_by_triton(said: Any) -> None:
    assert (said["live"], said["ready"]) == ([True, True], [True, True])
    assert {"classification", "model_repository"} <= set(said["server"]["extensions"])
    assert said["model"]["inputs"] == [{"name": "rows", "datatype": "FP32", "shape": [-1, 3]}]
    assert said["config"]["input"][0]["dims"] == [3]
    assert {line["name"]: line["state"] for line in said["index"]}["echo"] == "READY"
    for binary in (False, True):
        for back in (False, True):
            assert said[f"scores {binary} {back}"] == ROWS
        assert said[f"texts {binary}"] == ["joy", "é\0x"]
        assert said[f"classes {binary}"] == ["0.7:1", "0.2:2", "0.5:0", "0.25:1"]
    assert said["labels"] == ["0.75:1:joy"] * 2
    ways = (None, "gzip", "deflate")
    assert all(said[f"packed {there} {back}"] for there in ways for back in ways)
    assert said["async"] == ROWS
    assert said["counted"] == 7
    assert said["no model"][0] == "404"
    assert said["wrong shape"][0] == "400"
    verb = "POST /v2/repository/models/scores/unload"
    assert said["restricted"] == ["403", RESTRICTED.format(verb)]


def test_it_manages_models_and_settings_with_a_token(said: Any) -> None:
    admin = said["admin"]
    assert admin["no token"][0] == "401"
    assert admin["unloaded"] in {"UNLOADING", "UNAVAILABLE"}
    assert admin["loaded"] == "READY"
    assert admin["unknown"] == [
        *("404", "There is no model named 'nobody' here; known: scores, double, echo, moods.")
    ]
    assert admin["configured"][0] == "501"
    assert admin["verbose"] == admin["log"]
    assert admin["log"]["log_verbose_level"] == 1
    assert admin["trace"]["trace_level"] == ["OFF"]
    assert admin["rate"]["trace_rate"] == "5"


def test_its_aio_form_is_answered_too(said: Any) -> None:
    found = said["aio"]
    assert found["live"] == [True, True]
    assert found["index"] == ["double", "echo", "moods", "scores"]
    assert (found["scores False"], found["scores True"]) == (ROWS, ROWS)
    assert found["packed"] == [0.0, 2.0, 4.0, 6.0]
    assert found["restricted"][0] == "403"


def test_the_example_of_the_docs_runs(tmp_path: Path, run_client: Run) -> None:
    """The page's server file and its client, as a reader would run them."""
    page = list(snippets_of(ROOT / "docs" / "how-to" / "ask-over-v2.md"))
    served, client = (
        next(s.text for s in page if sign in s.text)
        for sign in ("import headway", "import tritonclient")
    )
    tmp_path.joinpath("flowers.py").write_text(served)
    with serving(tmp_path, "flowers.py", "--workers", "1") as server:
        text = client.replace("127.0.0.1:8000", address(server))
        script = tmp_path / "client.py"
        script.write_text(f"{text}\nimport json\nprint(json.dumps(answer.get_response()))\n")
        assert run_client("triton_http", str(script))["model_name"] == "flowers"
