"""LiteRT: the golden file against the interpreter's own signature runner, and other numbers of rows."""

from pathlib import Path

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.runtimes import Options
from headway.runtimes.litert import open_model

Interpreter = need("ai_edge_litert.interpreter").Interpreter
FILE = Path(__file__).parents[1] / "golden" / "runtimes" / "litert" / "model.tflite"


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_it_answers_as_its_interpreter(rows: int) -> None:
    x = np.random.default_rng(rows).standard_normal((rows, 2)).astype(np.float32)
    native = Interpreter(model_path=str(FILE))

    found = open_model(FILE, Options(threads=2))(x=x)["scores"]

    expected = native.get_signature_runner()(x=x)["scores"]
    assert float(np.abs(found - expected).max()) < 1e-6


def test_another_device_is_refused() -> None:
    with pytest.raises(BundleError, match="not on 'cuda:0'"):
        open_model(FILE, Options(device="cuda:0"))
