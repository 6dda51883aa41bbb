"""Typed clients: golden, checked strictly by mypy, pyright and tsc, and run against a real server."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from asked import asked, write_project
from needed import need

from headway import errors
from headway.client.python import write_python
from headway.client.shapes import read_models
from headway.client.typescript import write_typescript

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "client"
NAMES = ["echo", "locate", "story", "add-up", "size", "count"]
TYPESCRIPT = "typescript@5.9.3"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with asked(tmp_path_factory.mktemp("served"), NAMES) as (_, url):
        yield url


def generate(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headway", "client", "generate", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("language", "name"), [("python", "models.py"), ("typescript", "models.ts")]
)
def test_a_server_and_its_predictors_give_the_golden_client(
    url: str, tmp_path: Path, language: str, name: str
) -> None:
    write_project(tmp_path, NAMES)
    generate(url, "-o", name, cwd=tmp_path)
    text = (tmp_path / name).read_text()
    if os.environ.get("ACCEPT"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()
    assert generate(".", "--language", language, cwd=tmp_path) == text


def test_a_file_that_its_project_names_otherwise_says_so(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("def echo(text: str) -> str:\n    return text\n")
    command = [sys.executable, "-m", "headway", "client", "generate"]
    told = {}
    for name in ("echo", "mirror"):
        (tmp_path / "headway.yaml").write_text(f"name: {name}\npredictor: echo.py\n")
        for target in ("echo.py", "."):
            done = subprocess.run(
                [*command, target], cwd=tmp_path, capture_output=True, text=True, check=True
            )
            told[name, target] = done.stderr
            served = "echo" if target == "echo.py" else name
            assert f'self.model("{served}")' in done.stdout
    note = "echo.py alone is served as 'echo', its folder as 'mirror': for a client of that, give the folder\n"
    assert told.pop(("mirror", "echo.py")) == note
    assert not any(told.values())


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headway", "client", "generate", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "No answer from http://127.0.0.1:9" in done.stderr


ODD: Mapping[str, Any] = {
    "name": "1-odd.model",
    "doc": 'Says """quotes""" and \\ backslashes */ and ends with "',
    "stream": False,
    "input_schema": {
        "type": "object",
        "properties": {
            "input:0": {"type": "array", "items": {"type": "number"}},
            "class": {"type": "string"},
            "self": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "tree": {"$ref": "#/$defs/Tree"},
            "any": {},
            "input_0": {"type": "integer"},
            "class_": {"type": "string"},
        },
        "required": ["input:0", "class", "tree", "any", "input_0", "class_"],
        "$defs": {
            "Tree": {
                "title": "Tree",
                "type": "object",
                "properties": {
                    "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                    "zoo": {"$ref": "#/$defs/Zoo"},
                },
                "required": ["kids", "zoo"],
            },
            "Zoo": {"type": "object", "properties": {"a-b": {"enum": [1, "two"]}}, "required": []},
        },
    },
    "output_schema": {"type": "object", "properties": {"output:0": {"type": "number"}}},
}

# Another one, the names of whose types would be the same.
TWIN: Mapping[str, Any] = {**ODD, "name": "1_odd_model"}
ODDITIES = [ODD, TWIN, {**ODD, "name": "file"}]


def check_python(file: Path) -> None:
    need("mypy")
    for tool in (
        ["mypy", "--strict", "--no-incremental"],
        ["pyright", "--pythonpath", sys.executable],
    ):
        place = shutil.which(tool[0], path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert place
        (file.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
        done = subprocess.run(
            [place, *tool[1:], file.name],
            cwd=file.parent,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


USE = """
def use(client: Client) -> str:
    report = client.locate(place={"x": 1.0})
    words: list[str] = [*client.story(prompt="a")]
    rows = client.echo_batch([{"text": "a"}, {"text": "b", "tone": "high"}])
    numbers: list[float] = client.add_up(pixels=[[1.0, 2.0, 3.0, 4.0]])
    return report["kind"] + report["tags"][0] + words[0] + rows[0] + str(numbers)


async def use_async(client: AsyncClient) -> int:
    async for word in client.story(prompt="a"):
        return len(word)
    return await client.count(data=b"abc")
"""


def test_the_python_client_passes_mypy_and_pyright_strictly(tmp_path: Path) -> None:
    file = tmp_path / "models.py"
    file.write_text((GOLDEN / "models.py").read_text() + "\n" + USE)
    check_python(file)


def test_odd_names_are_written_too(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(write_python(read_models(ODDITIES)))
    check_python(file)
    made = loaded(file)
    assert len(made.__all__) == len(set(made.__all__))


def loaded(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_client_asks(url: str) -> None:
    made = loaded(GOLDEN / "models.py")
    with made.Client(url) as client:
        assert client.echo(text="a", times=2, tone="high") == "AA"
        assert client.echo_batch([{"text": "a"}, {"text": "b"}]) == ["a", "b"]
        assert client.locate(place={"x": 0.1}, tags=["t"])["tags"] == ["t"]
        assert list(client.story(prompt="a", most=2)) == ["a 0", "a 1"]
        assert client.add_up(pixels=[[1, 2, 3, 4]]) == [1, 2, 3, 4]
        assert client.count(data=b"abc") == 3
        with pytest.raises(errors.Rejected):
            client.echo(text="no")


# TypeScript


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where `tsc` is installed; without Node it is skipped by a developer, a failure in CI."""
    if not shutil.which("npm"):
        if os.environ.get("CI"):
            pytest.fail("npm is missing")
        pytest.skip("npm is missing")
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", TYPESCRIPT],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def compile_typescript(node: Path, name: str, text: str) -> Path:
    (node / f"{name}.ts").write_text(text)
    flags = ("--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable,dom.asynciterable")
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", *flags, "--module", "es2022", f"{name}.ts"],
        cwd=node,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    shutil.move(node / f"{name}.js", node / f"{name}.mjs")
    return node / f"{name}.mjs"


SCRIPT = """
import { Client, HeadwayError } from "./models.mjs";
const client = new Client(process.argv[2]);
const seen = [];
for await (const word of client.story({ prompt: "a" })) seen.push(word);
for await (const word of client.story({ prompt: "b", most: 9999, wait_s: 0.01 })) { seen.push(word); break; }
let told, broken, busy;
try { await client.echo({ text: "no" }); } catch (e) { told = [e instanceof HeadwayError, e.code, e.status]; }
try { for await (const word of client.story({ prompt: "break" })) seen.push(word); } catch (e) { broken = e.code; }
try { await client.story({ prompt: "c", most: 99, wait_s: 0.5 }, { timeoutS: 0.3 }).next(); } catch (e) { }
try { await new Client("http://127.0.0.1:9").echo({ text: "a" }); } catch (e) { busy = e.code; }
console.log(JSON.stringify({
  echo: await client.echo({ text: "a", tone: "high" }),
  batch: await client.echo_batch([{ text: "a" }, { text: "b" }]),
  count: await client.count({ data: new Uint8Array([0, 255, 1]) }),
  blob: await client.count({ data: new Blob(["four"]) }),
  sums: await client.add_up({ pixels: [[1, 2, 3, 4], [1, 1, 1, 1]] }),
  kind: (await client.locate({ place: { x: 0.5 } })).kind,
  seen, told, broken, busy,
}));
"""


def test_the_typescript_client_passes_tsc_strictly_and_asks(node: Path, url: str) -> None:
    compile_typescript(node, "models", (GOLDEN / "models.ts").read_text())
    (node / "ask.mjs").write_text(SCRIPT)
    done = subprocess.run(
        ["node", "ask.mjs", url], cwd=node, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "echo": "A",
        "batch": ["a", "b"],
        "count": 3,
        "blob": 4,
        "sums": [2, 3, 4, 5],
        "kind": "near",
        "seen": ["a 0", "a 1", "a 2", "b 0", "break 0", "break 1"],
        "told": [True, "rejected", 400],
        "broken": "model_failed",
        "busy": "unreachable",
    }


def test_odd_names_are_written_in_typescript_too(node: Path) -> None:
    compile_typescript(node, "odd", write_typescript(read_models(ODDITIES)))
