"""A static Space runs ONNX files in the browser: its page answers, golden samples agree as `headway check` wants."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from chromium import looking_at
from clicking import ask, choose, press, says, upload
from needed import need

from headway.check.samples import golden_path
from headway.engine import local
from headway.model import golden, parity
from headway.model.project import find_models

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BUILD = Path(__file__).parents[2] / "build"
MODELS = """
models:
  net: {model: nets/net.onnx}
  mixed: {model: mixed.onnx}
  linear: {model: linear.onnx}
  named: {predictor: "named.py:Named"}
"""
CODE = '''
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import headway as hw


class Named(hw.Predictor):
    """Which of ten it is, from pixels of 0 to 255."""

    examples = ({"pixels": [[[float(7 * i % 256) for i in range(8)]] * 8]},)

    def load(self) -> None:
        """Open the net."""
        self.net = self.open_model("nets/net.onnx")
        self.labels = self.path("labels.txt").read_text().split()

    def predict(
        self, pixels: Annotated[NDArray[np.float32], hw.Tensor("float32", "batch", 1, 8, 8)]
    ) -> hw.Batch[dict[str, float]]:
        """Give the chance of each."""
        return [
            dict(zip(self.labels, row.tolist()))
            for row in self.net((pixels - 3) / np.float32(255))["shares"]
        ]
'''
HEADERS = {
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "cross-origin",
}
ASK = """async ([name, text]) => {
    const { modelPath, postJson } = await import(new URL("page/server.js", document.baseURI));
    return (await postJson(modelPath(name, "predict"), text)).text();
}"""


def ort() -> Path:
    """Where `scripts/browser` has put onnxruntime-web."""
    found = sorted(BUILD.glob("onnxruntime-web/*/package/dist"))
    if not found:
        reason = "onnxruntime-web is missing: `scripts/browser` fetches it with npm"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found[-1]


def save_net(path: Path) -> None:
    """An image to shares and the best of them, its weights in a file beside it."""
    onnx = need("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    random = np.random.default_rng(7)
    weights = random.normal(size=(64, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"]),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", floats, ["n", 1, 8, 8])],
        [
            helper.make_tensor_value_info("shares", floats, ["n", 10]),
            helper.make_tensor_value_info("best", onnx.TensorProto.INT64, ["n"]),
        ],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    beside = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    onnx.save(model, path, **beside)


def save_mixed(path: Path) -> None:
    """What else a tensor may hold: text, whole numbers of 64 bits, truth, bytes, doubles and a free length."""
    onnx = need("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    kinds = {
        "text": types.STRING,
        "long": types.INT64,
        "is_so": types.BOOL,
        "byte": types.UINT8,
        "double": types.DOUBLE,
    }
    values = [helper.make_tensor_value_info(name, kind, ["n", "m"]) for name, kind in kinds.items()]
    outs = [helper.make_tensor_value_info(f"{n}_out", k, ["n", "m"]) for n, k in kinds.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds]
    graph = helper.make_graph(nodes, "mixed", values, outs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def save_linear(path: Path) -> None:
    """What a converter makes of scikit-learn: its own operators, and labels that are text."""
    onnx = need("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    domain = "ai.onnx.ml"
    labels = {"classlabels_strings": ["no", "yes"], "post_transform": "LOGISTIC"}
    numbers = {"coefficients": [-1.0, 2.0, -0.5, 1.0, -2.0, 0.5], "intercepts": [0.1, -0.1]}
    scaled = {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 0.25, 2.0]}
    nodes = [
        helper.make_node("Scaler", ["x"], ["scaled"], domain=domain, **scaled),
        helper.make_node(
            "LinearClassifier", ["scaled"], ["label", "shares"], domain=domain, **labels, **numbers
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", types.FLOAT, ["n", 3])],
        [
            helper.make_tensor_value_info("label", types.STRING, ["n"]),
            helper.make_tensor_value_info("shares", types.FLOAT, ["n", 2]),
        ],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 3)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with golden samples, as `headway check --accept` writes them."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "nets").mkdir()
    folder.joinpath("headway.yaml").write_text(MODELS)
    save_net(folder / "nets" / "net.onnx")
    save_mixed(folder / "mixed.onnx")
    save_linear(folder / "linear.onnx")
    folder.joinpath("named.py").write_text(CODE)
    folder.joinpath("labels.txt").write_text("zero one two three four five six seven eight nine")
    random = np.random.default_rng(8)
    images = [{"pixels": random.random((1, 8, 8)).tolist()} for _ in range(20)]
    mixed = [
        {
            "text": ["Zoë", ""],
            "long": [2**53 + 1, -(2**63)],
            "is_so": [True, False],
            "byte": [0, 255],
            "double": [0.1, 1e300],
        },
        {"text": ["a"], "long": [7], "is_so": [False], "byte": [1], "double": [-2.5]},
    ]
    linear = [{"x": random.normal(size=3).tolist()} for _ in range(5)]
    named = [{"pixels": (255 * random.random((1, 8, 8))).tolist()} for _ in range(5)]
    asked = {"net": images, "mixed": mixed, "linear": linear, "named": named}
    for name, items in asked.items():
        samples = folder / f"{name}.jsonl"
        samples.write_text("\n".join(map(json.dumps, items)))
        accept = ["--accept", "--model", name, "--samples", str(samples)]
        run("check", ".", *accept, folder=folder)
    return folder


@pytest.fixture(scope="module")
def address(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The exported folder, served with the headers that its README.md asks for."""
    out = tmp_path_factory.mktemp("space") / "space"
    run("ui", "export", ".", str(out), "--to", "space-static", "--ort", str(ort()), folder=project)

    class Files(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *args: object) -> None:
            pass

    make = functools.partial(Files, directory=str(out.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Below a path: nothing on the page begins at the root.
        yield f"http://127.0.0.1:{server.server_port}/space/"
        server.shutdown()


def run(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "headway", *arguments]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def test_a_container_of_a_model_file_holds_the_weights_beside_it(project: Path) -> None:
    out = project.parent / "container"
    run("ui", "export", "nets/net.onnx", str(out), "--to", "space-docker", folder=project)
    assert {p.name for p in (out / "bundle").iterdir()} == {"net.onnx", "net.data"}
    needed = (out / "requirements.txt").read_text()
    assert needed.startswith("headway[onnx]==")
    assert len(needed.splitlines()) == 1


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    wrong: list[str] = []
    with looking_at(browser, address) as opened:
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        opened.wait_for_selector("#model:not([hidden])")
        yield opened
    assert wrong == []


@pytest.mark.parametrize("name", ["net", "mixed", "linear", "named"])
def test_golden_samples_agree_in_the_browser(page: "Page", project: Path, name: str) -> None:
    (spec,) = [one for one in find_models(str(project)).models if one.name == name]
    kept = golden.read(Path(golden_path(spec, find_models(str(project)).models)))
    assert kept is not None
    assert len(kept.samples) > 1
    with local.load_spec(spec) as loaded:
        description = loaded.description
    for sample in kept.samples:
        found: Any = json.loads(page.evaluate(ASK, [name, json.dumps(sample.inputs)]))
        differences = parity.compare(sample.answer, found, description, parity.tolerances({}))
        assert not differences, parity.told(differences)


def test_the_page_asks_in_the_browser_with_threads(page: "Page") -> None:
    assert page.evaluate("crossOriginIsolated")
    choose(page, "net")
    assert page.locator(".links").count() == 0
    page.get_by_label("pixels").fill("\n".join([",".join(["0.5"] * 8)] * 8))
    assert '"best": ' in ask(page).inner_text()
    page.screenshot(path=BUILD / "screenshots" / "space-static.png", full_page=True)
    page.get_by_label("pixels").fill("[[[1]]]")
    press(page)
    says(page.locator("#answer"), "pixels: expected 1 \u00d7 8 \u00d7 8, found 1 \u00d7 1 \u00d7 1")


def test_rows_are_answered_and_a_wrong_one_is_told(page: "Page") -> None:
    choose(page, "mixed")
    rows = [
        {"text": ["a"], "long": [1], "is_so": [True], "byte": [3], "double": [1]},
        {"text": ["a"], "long": [1], "is_so": [True], "byte": [256], "double": [1]},
        {"text": [1], "long": [1.5], "is_so": [1], "byte": [3], "double": ["x"]},
    ]
    text = "\n".join(map(json.dumps, rows)).encode()
    page.get_by_label("A file of rows").set_input_files(upload("r.jsonl", "text/plain", text))
    page.get_by_text("3 of 3 rows, 2 refused").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the answers as CSV").click()
    csv = Path(saved.value.path()).read_text()
    assert "byte: expected a whole number from 0 to 255, found 256" in csv
    assert "text: expected text, found 1" in csv


@pytest.mark.parametrize("name", ["net", "named"])
def test_the_program_that_is_shown_opens_the_same_file(
    page: "Page", project: Path, name: str
) -> None:
    choose(page, name)
    page.get_by_label("pixels").fill("\n".join([",".join(["0.25"] * 8)] * 8))
    ask(page)
    code = page.locator("#code").inner_text()
    shown = page.evaluate(ASK, [name, json.dumps({"pixels": [[[0.25] * 8] * 8]})])
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(answers[0][0].tolist())"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    answer = json.loads(shown)
    shares = answer["shares"] if name == "net" else list(answer.values())
    assert shares == pytest.approx(json.loads(ran.stdout.splitlines()[-1]), abs=1e-6)
