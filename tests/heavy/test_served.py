"""Models of large libraries through the real server: a bare file or folder, asked over HTTP."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from needed import need
from serving import serving

GOLDEN = Path(__file__).parents[1] / "golden" / "runtimes"


@pytest.mark.parametrize(
    ("name", "file", "question", "expected"),
    [
        ("torch", "model.pt2", {"input": [10, 1]}, [20.0, 0.5]),
        ("tensorflow", "model", {"x": [10, 1]}, [20.0, 0.5]),
        ("mlflow", "model", {"a": 10, "b": 1}, 20.0),
        ("transformers", "model", {"text": "not good"}, None),
    ],
)
def test_a_bare_model_answers(
    tmp_path: Path, name: str, file: str, question: Any, expected: Any
) -> None:
    need(name)
    whole = GOLDEN / name / file
    (shutil.copytree if whole.is_dir() else shutil.copy)(whole, tmp_path / file)

    with serving(tmp_path, file, "--trusted") as server:
        answer = server.ask("model", question)

    assert answer.status == 200, answer.body
    if expected is None:
        assert sorted(answer.json["labels"]) == ["no", "perhaps", "yes"]
        assert sum(answer.json["scores"]) == pytest.approx(1, abs=1e-5)
    else:
        assert answer.json == pytest.approx(expected)
