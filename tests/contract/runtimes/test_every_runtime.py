"""What holds for every runtime: found in the folder, asked with the golden file of its name."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from headway import plugins
from headway.errors import BundleError, PluginError
from headway.model.formats import runtime_of
from headway.model.proof import prove_rows
from headway.runtimes import Model, Options

GOLDEN = Path(__file__).parents[2] / "golden" / "runtimes"
NAMES = plugins.names("runtimes")
LIBRARIES = {
    *("onnxruntime", "sklearn", "skops", "joblib", "torch", "lightgbm", "xgboost", "catboost"),
    *("tensorflow", "ai_edge_litert", "openvino", "mlflow", "transformers", "safetensors"),
}
TRUSTED = Options(is_trusted=True)

Arrays = dict[str, Any]


def golden_file(name: str) -> Path:
    """Its model file, or its folder."""
    return next(p for p in (GOLDEN / name).iterdir() if p.stem == "model" and runtime_of(p))


def open_golden(name: str) -> Model:
    """Open it; what is too heavy for every install is asked for by `scripts/heavy`."""
    try:
        model: Model = plugins.load("runtimes", name).open_model(golden_file(name), TRUSTED)
    except PluginError as e:
        if "CI" in os.environ and is_light(name):
            raise
        pytest.skip(str(e))
    return model


def is_light(name: str) -> bool:
    """Whether every development install has its libraries."""
    needed = metadata.requires("headway") or []
    light = {r.partition(";")[0].strip() for r in needed if "light-runtimes" in r}
    return all(
        Requirement(r) in {Requirement(other) for other in light}
        for r in plugins.literal("runtimes", name, "REQUIRES")
    )


def arrays(tensors: Mapping[str, Any]) -> Arrays:
    return {
        name: np.array(t["data"], dtype=object if t["dtype"] == "bytes" else t["dtype"])
        for name, t in tensors.items()
    }


def golden(name: str) -> tuple[Arrays, Arrays]:
    case = json.loads((GOLDEN / name / "golden.json").read_text(encoding="utf-8"))
    return arrays(case["inputs"]), arrays(case["outputs"])


def answers(model: Model, *positional: Any, **named: Any) -> Arrays:
    answer = model(*positional, **named)
    return answer if isinstance(answer, dict) else {model.outputs[0].name: answer}


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        if array.dtype.kind == "f":
            np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", NAMES)
def test_literals_are_read_without_importing(name: str) -> None:
    suffixes = plugins.literal("runtimes", name, "SUFFIXES")
    folders = plugins.literal("runtimes", name, "FOLDERS")
    marks = plugins.literal("runtimes", name, "MARKS", {})

    assert suffixes or folders
    assert all(s.startswith(".") and s == s.lower() for s in suffixes)
    assert set(marks) <= {*suffixes, *folders}
    assert isinstance(plugins.literal("runtimes", name, "REQUIRES", None), tuple)


def test_no_ending_is_claimed_twice_but_by_what_files_hold() -> None:
    claimed = [
        s
        for n in NAMES
        for s in (
            *plugins.literal("runtimes", n, "SUFFIXES"),
            *plugins.literal("runtimes", n, "FOLDERS"),
        )
        if s not in plugins.literal("runtimes", n, "MARKS", {})
    ]

    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_file_is_known_as_its_own(name: str) -> None:
    assert runtime_of(golden_file(name)) == name


@pytest.mark.parametrize("name", NAMES)
def test_importing_a_runtime_imports_no_library(name: str) -> None:
    code = f"import sys, headway.runtimes.{name}; print(*{LIBRARIES} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", NAMES)
def test_golden_answers_by_name(name: str) -> None:
    inputs, outputs = golden(name)

    assert_same(answers(open_golden(name), **inputs), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_golden_answers_by_position(name: str) -> None:
    inputs, outputs = golden(name)
    model = open_golden(name)

    assert_same(answers(model, *(inputs[i.name] for i in model.inputs)), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_n_equals_n_of_one(name: str) -> None:
    inputs, outputs = golden(name)
    model = open_golden(name)

    for row in range(len(next(iter(inputs.values())))):
        alone = answers(model, **{n: a[row : row + 1] for n, a in inputs.items()})
        assert_same(alone, {n: a[row : row + 1] for n, a in outputs.items()})


@pytest.mark.parametrize("name", NAMES)
def test_specs_tell_what_travels(name: str) -> None:
    inputs, outputs = golden(name)
    model = open_golden(name)

    for specs, tensors in ((model.inputs, inputs), (model.outputs, outputs)):
        assert [s.name for s in specs] == list(tensors)
        for spec in specs:
            array = tensors[spec.name]
            assert spec.has_rows
            assert spec.dtype == ("bytes" if array.dtype == object else str(array.dtype))
            assert len(spec.shape) == array.ndim - 1
            assert all(d in (-1, n) for d, n in zip(spec.shape, array.shape[1:], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_golden_file_are_proven(name: str) -> None:
    assert prove_rows(open_golden(name)) is None


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_are_missing_or_unknown_are_refused(name: str) -> None:
    inputs, _ = golden(name)
    model = open_golden(name)

    for wrong in ({}, {"nobody_calls_it_this": next(iter(inputs.values()))}):
        with pytest.raises(TypeError, match="input"):
            model(**wrong)
    with pytest.raises(TypeError):
        model(*inputs.values(), *inputs.values())


@pytest.mark.parametrize("name", NAMES)
def test_calls_at_the_same_time_get_their_own_answers(name: str) -> None:
    inputs, outputs = golden(name)
    model = open_golden(name)
    if not model.is_thread_safe:
        pytest.skip("says that it is not thread-safe")

    def ask(row: int) -> Arrays:
        return answers(model, **{n: a[row : row + 1] for n, a in inputs.items()})

    rows = [0, 1, 2] * 40
    with ThreadPoolExecutor(4) as pool:
        for row, found in zip(rows, pool.map(ask, rows), strict=True):
            assert_same(found, {n: a[row : row + 1] for n, a in outputs.items()})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["missing", "empty", "junk", "cut"])
def test_a_damaged_file_is_refused(name: str, damage: str, tmp_path: Path) -> None:
    open_golden(name)
    whole = golden_file(name)
    path = tmp_path / whole.name
    file = path
    if whole.is_dir():
        shutil.copytree(whole, path)
        (ending,) = (
            e for e in plugins.literal("runtimes", name, "FOLDERS") if (path / e).is_file()
        )
        file = path / ending
        content = file.read_bytes()
        file.unlink()
    else:
        content = whole.read_bytes()
    if damage != "missing":
        file.write_bytes({"empty": b"", "junk": b"\x00junk" * 99, "cut": content[:-30]}[damage])

    with pytest.raises(BundleError, match="model"):
        plugins.load("runtimes", name).open_model(path, TRUSTED)
