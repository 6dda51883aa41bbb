"""boto3's sagemaker-runtime against a real server: whole answers, streams, and errors as its own exceptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving import serving

MODELS = """
from collections.abc import Iterator
from dataclasses import dataclass
import headway as hw

@dataclass
class Feeling:
    joy: float
    length: float

class Mood(hw.Predictor):
    def predict(self, text: hw.Batch[str]) -> hw.Batch[Feeling]:
        if "fail" in text:
            raise RuntimeError("the secret of /srv")
        return [Feeling(float("joy" in t), float(len(t))) for t in text]

class Story(hw.Predictor):
    def predict(self, words: int) -> Iterator[str]:
        for i in range(abs(words)):
            yield f"word{i}"
        if words < 0:
            raise RuntimeError("the secret of /srv")
"""
CONFIG = """
models:
  mood: {predictor: "models.py:Mood", workers: 1}
  story: {predictor: "models.py:Story", workers: 1}
"""


def test_boto3_is_answered(tmp_path: Path, run_client: Callable[..., Any]) -> None:
    tmp_path.joinpath("models.py").write_text(MODELS)
    tmp_path.joinpath("headway.yaml").write_text(CONFIG)
    with serving(tmp_path) as server:
        told = run_client("sagemaker", "ask.py", f"http://127.0.0.1:{server.port}")
    joy = '{"joy":1.0,"length":5.0}'
    known = {"ContentType": "application/json", "InvokedProductionVariant": "1"}
    assert told["item"] == {**known, "CustomAttributes": "c=7", "Body": joy}
    assert told["rows"]["ContentType"] == "text/csv; charset=utf-8"
    assert told["lines"]["Body"] == f'{joy}\n{{"joy":0.0,"length":1.0}}\n'
    assert told["lines"]["ContentType"] == "application/jsonlines"
    assert told["csv"]["Body"] == f'{{"predictions":[{joy}]}}'
    assert told["variant"]["InvokedProductionVariant"] == "1"
    assert told["other variant"][:3] == ["ValidationError", "ValidationError", 400]
    assert told["no endpoint"][:3] == ["ValidationError", "ValidationError", 400]
    assert told["bad input"][:4] == ["ModelError", "ModelError", 424, 400]
    assert "expected str, got int" in told["bad input"][4]
    assert told["bad media"][:4] == ["ModelError", "ModelError", 424, 415]
    assert told["model fails"][:4] == ["ModelError", "ModelError", 424, 500]
    assert "secret" not in str(told)
    assert told["stream"][0] == "application/jsonlines"
    assert told["stream"][1] == ['"word0"\n', '"word1"\n', '"word2"\n']
    assert told["stream asked whole"]["Body"] == '"word0"\n"word1"\n'
    whole = f'[{joy},{{"joy":0.0,"length":6.0}}]'
    assert told["whole asked as stream"] == ["application/json", [whole]]
    *items, (code, message) = told["broken stream"][1]
    assert items == ['"word0"\n', '"word1"\n']
    assert code == "ModelStreamError"
    assert "The model raised an error" in message
    assert told["async"] == ["UnknownOperationException", 501]


def test_the_page_does_what_it_says(
    tmp_path: Path, run_snippet: Callable[..., None], write_predictors: Callable[..., None]
) -> None:
    write_predictors("clients-of-sagemaker.md", tmp_path)
    with serving(tmp_path, "mood.py", "words.py", "serve") as server:
        run_snippet("sagemaker", "clients-of-sagemaker.md", server.port)
