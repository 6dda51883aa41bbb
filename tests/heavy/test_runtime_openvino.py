"""OpenVINO: its own answers, a fixed row, threads, and weights that are not beside the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.model.formats import runtime_of
from headway.model.proof import prove_rows
from headway.runtimes import Options
from headway.runtimes.openvino import open_model

openvino = need("openvino")
operators = need("openvino.opset13")

ROWS = np.random.default_rng(5).standard_normal((9, 4)).astype(np.float32)


def write(path: Path, rows: int) -> Any:
    x = operators.parameter([rows, 4], np.float32, name="x")
    weights = operators.constant(
        np.random.default_rng(6).standard_normal((4, 3)).astype(np.float32)
    )
    out = operators.softmax(operators.matmul(x, weights, False, False), 1)
    x.output(0).get_tensor().set_names({"x"})
    out.output(0).get_tensor().set_names({"p"})
    model = openvino.Model([out], [x], "m")
    openvino.save_model(model, path, compress_to_fp16=False)
    return openvino.Core().compile_model(model, "CPU")


@pytest.mark.parametrize("rows", [-1, 1])
def test_it_answers_as_its_compiled_model(rows: int, tmp_path: Path) -> None:
    native = write(tmp_path / "m.xml", rows)

    assert runtime_of(tmp_path / "m.xml") == "openvino"
    model = open_model(tmp_path / "m.xml", Options(threads=2))

    assert model.native.get_property("INFERENCE_NUM_THREADS") == 2
    assert [(s.name, s.shape, s.has_rows) for s in model.inputs] == [("x", (4,), True)]
    assert prove_rows(model) is None
    alone = [native([ROWS[n : n + 1]])[0] for n in range(len(ROWS))]
    assert float(np.abs(model(x=ROWS)["p"] - np.concatenate(alone)).max()) < 1e-6


def test_weights_must_be_beside_it_and_no_link(tmp_path: Path) -> None:
    write(tmp_path / "m.xml", -1)
    (tmp_path / "m.bin").rename(tmp_path / "other")
    with pytest.raises(BundleError, match="are not beside it"):
        open_model(tmp_path / "m.xml", Options())
    (tmp_path / "m.bin").symlink_to(tmp_path / "other")
    with pytest.raises(BundleError, match="a link is not followed"):
        open_model(tmp_path / "m.xml", Options())
    with pytest.raises(BundleError, match="not on 'cuda:0'"):
        open_model(tmp_path / "m.xml", Options(device="cuda:0"))
