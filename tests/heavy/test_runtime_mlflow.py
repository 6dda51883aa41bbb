"""MLflow's folders against its own pyfunc: flavours that run no code, and those that need trust."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needed import need

from headway.errors import BundleError
from headway.runtimes import Options
from headway.runtimes.mlflow import open_model

mlflow = need("mlflow.pyfunc")
models = need("mlflow.models")
pandas = need("pandas")
yaml = need("yaml")

TRUSTED = Options(is_trusted=True)
GOLDEN = Path(__file__).parents[1] / "golden" / "runtimes" / "mlflow" / "model"
COLUMNS = ["width", "height", "weight"]


def table(rows: int) -> Any:
    values = np.random.default_rng(2).standard_normal((rows, 3))
    return pandas.DataFrame(values, columns=COLUMNS)


def columns(rows: Any) -> dict[str, Any]:
    return {str(name): rows[name].to_numpy() for name in rows}


def write(folder: Path, flavours: dict[str, Any], inputs: Any, outputs: Any = None) -> Path:
    """MLmodel, as MLflow writes it, beside what already lies in a folder."""
    folder.mkdir(exist_ok=True)
    signature = models.infer_signature(inputs, outputs) if inputs is not None else None
    model = models.Model(flavors=flavours, signature=signature)
    model.save(str(folder / "MLmodel"))
    return folder


def write_code(folder: Path, body: str, name: str) -> dict[str, Any]:
    """A pyfunc whose predict(rows) is a line of code."""
    (folder / "code").mkdir(parents=True)
    lines = f"class M:\n    def predict(self, rows):\n        {body}\ndef _load_pyfunc(path):\n    return M()\n"
    (folder / "code" / f"{name}.py").write_text(lines)
    return {"python_function": {"loader_module": name, "code": "code"}}


def write_booster(folder: Path) -> None:
    lightgbm = need("lightgbm")
    rows = table(80)
    data = lightgbm.Dataset(rows, rows["width"] * 2 - rows["height"])
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 3}, data, 8)
    folder.mkdir()
    booster.save_model(folder / "model.lgb")


def test_a_booster_is_asked_by_its_columns_and_needs_no_trust(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_booster(folder)
    own = {"data": "model.lgb", "model_class": "lightgbm.basic.Booster"}
    pyfunc = {"loader_module": "mlflow.lightgbm", "data": "model.lgb"}
    write(folder, {"lightgbm": own, "python_function": pyfunc}, table(3), np.zeros(3))

    model = open_model(folder, Options())

    assert [(s.name, s.dtype, s.shape) for s in model.inputs] == [
        (name, "float64", ()) for name in COLUMNS
    ]
    assert model.platform == "lightgbm_txt"
    found = model(**columns(table(9)))["output"]
    expected = mlflow.load_model(str(folder)).predict(table(9))
    assert float(np.abs(found - expected).max()) < 1e-12
    assert model(**columns(table(0)))["output"].shape == (0,)


def save_xgboost(folder: Path, rows: Any, target: Any, signature: Any) -> None:
    data = need("xgboost").DMatrix(rows, target)
    booster = need("xgboost").train({"verbosity": 0}, data, 8)
    need("mlflow.xgboost").save_model(booster, folder, signature=signature, pip_requirements=[])


def save_catboost(folder: Path, rows: Any, target: Any, signature: Any) -> None:
    options = {"iterations": 5, "verbose": 0, "allow_writing_files": False}
    fitted = need("catboost").CatBoostRegressor(**options).fit(rows, target)
    need("mlflow.catboost").save_model(fitted, folder, signature=signature, pip_requirements=[])


def save_skops(folder: Path, rows: Any, target: Any, signature: Any) -> None:
    fitted = need("sklearn.linear_model").LinearRegression().fit(rows, target)
    need("mlflow.sklearn").save_model(
        fitted,
        folder,
        signature=signature,
        serialization_format="skops",
        pip_requirements=[],
    )


def save_onnx(folder: Path, rows: Any, target: Any, signature: Any) -> None:
    helper = need("onnx.helper")
    takes = helper.make_tensor_value_info("x", 1, ["n", 3])
    gives = helper.make_tensor_value_info("y", 1, ["n", 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [takes], [gives])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    example = rows.to_numpy(np.float32)
    signature = models.infer_signature(example, example)
    need("mlflow.onnx").save_model(model, folder, signature=signature, pip_requirements=[])


@pytest.mark.parametrize(
    ("save", "platform"),
    [
        (save_xgboost, "xgboost_ubj"),
        (save_catboost, "catboost_cbm"),
        (save_skops, "sklearn_skops"),
        (save_onnx, "onnx_onnxv1"),
    ],
)
def test_what_mlflow_saves_of_a_flavour_runs_without_trust_and_answers_as_pyfunc(
    tmp_path: Path, save: Any, platform: str
) -> None:
    rows = table(80)
    target = rows["width"] * 2 - rows["height"]
    save(tmp_path / "m", rows, target, models.infer_signature(rows, target))

    model = open_model(tmp_path / "m", Options())

    assert model.platform == platform
    asked = table(9)
    pyfunc = mlflow.load_model(str(tmp_path / "m"))
    if [s.name for s in model.inputs] == COLUMNS:
        found, expected = model(**columns(asked)), pyfunc.predict(asked)
    else:
        (spec,) = model.inputs
        found = model(**{spec.name: asked.to_numpy(spec.dtype)})
        expected = pyfunc.predict(asked.to_numpy(np.float32))
    found = next(iter(found.values())) if isinstance(found, dict) else found
    expected = next(iter(expected.values())) if isinstance(expected, dict) else expected
    assert np.asarray(found) == pytest.approx(np.asarray(expected), abs=1e-5)


def test_a_flavour_that_answers_otherwise_than_its_file_is_pyfuncs(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_booster(folder)
    own = {"data": "model.lgb", "model_class": "lightgbm.sklearn.LGBMClassifier"}
    write(folder, {"lightgbm": own}, table(3))

    with pytest.raises(BundleError, match="trusted: true"):
        open_model(folder, Options())


def test_a_pyfunc_needs_trust_and_answers_as_its_own(tmp_path: Path) -> None:
    body = "return rows.assign(sum=rows.sum(axis=1), name='x')[['sum', 'name']]"
    folder = tmp_path / "m"
    write(folder, write_code(folder, body, "heavy_table"), table(3))

    with pytest.raises(BundleError, match="trusted: true"):
        open_model(folder, Options())
    model = open_model(folder, TRUSTED)
    found = model(**columns(table(5)))

    assert [(s.name, s.dtype) for s in model.outputs] == [("sum", "float64"), ("name", "bytes")]
    expected = mlflow.load_model(str(folder)).predict(table(5))
    assert found["sum"].tolist() == expected["sum"].tolist()
    assert found["name"].tolist() == ["x"] * 5


def test_tensors_of_a_signature_are_its_inputs(tmp_path: Path) -> None:
    folder, example = tmp_path / "m", np.zeros((2, 3), np.float32)
    write(folder, write_code(folder, "return rows * 2", "heavy_tensor"), example, example)

    model = open_model(folder, TRUSTED)

    assert [(s.name, s.dtype, s.shape) for s in model.inputs] == [("input", "float32", (3,))]
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert model(input=rows)["output"].tolist() == (rows * 2).tolist()


def test_what_no_tensor_holds_is_told(tmp_path: Path) -> None:
    dates = pandas.DataFrame({"day": pandas.to_datetime(["2026-01-01"])})
    for name, inputs, words in (("dated", dates, "datetime"), ("bare", None, "no signature")):
        folder = tmp_path / name
        write(folder, write_code(folder, "return rows", f"heavy_{name}"), inputs)
        model = open_model(folder, TRUSTED)
        assert not model.inputs
        assert words in str(getattr(model, "missing", ""))


def test_a_file_outside_of_the_folder_is_not_opened(tmp_path: Path) -> None:
    write_booster(tmp_path / "other")
    own = {"data": "../other/model.lgb", "model_class": "lightgbm.basic.Booster"}
    folder = write(tmp_path / "m", {"lightgbm": own}, table(3))

    with pytest.raises(BundleError, match="trusted: true"):
        open_model(folder, Options())


def test_opening_and_asking_use_no_network() -> None:
    code = """
import sys, time
from pathlib import Path
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("asked the network:", event, arguments, flush=True)
sys.addaudithook(watch)
from headway.runtimes import Options
from headway.runtimes.mlflow import open_model
import numpy as np
model = open_model(Path(sys.argv[1]), Options(is_trusted=True))
print(model(a=np.ones(1), b=np.ones(1)))
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
"""
    # MLflow is silent where it sees that it is tested.
    shown = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN)],
        env=shown,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["{'output': array([2.])}"]
