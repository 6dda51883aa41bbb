"""MLflow's scoring server beside Headway, both with the same MLmodel folder: they answer alike, form by form."""

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Server, call, serving, wait_until

HOME = Path(__file__).parents[2] / "build" / "clients" / "mlflow" / "bin"
SOURCE = str(Path(__file__).parents[2] / "src")
Run = Callable[..., Any]
J, CSV = "application/json", "text/csv"
START_S = 120.0

COLUMNS = ["petal length (cm)", "größe", "colour"]
ROWS: list[list[Any]] = [[1.5, 3, "red"], [4.25, 8, "blue"], [-1.0, 0, "red"]]
MATRIX = [[1.0, 2.0, 3.0], [-0.5, 0.25, 1e-3]]


def csv_of(columns: list[str], rows: list[list[Any]]) -> str:
    return "".join(",".join(map(str, line)) + "\n" for line in [columns, *rows])


def frame_forms(columns: list[str], rows: list[list[Any]]) -> dict[str, tuple[str, str]]:
    """A frame in every form that MLflow reads: content type and body."""
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    by_column = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    split = {"columns": columns, "data": rows}
    bodies = {
        "dataframe_split": split,
        "dataframe_split with index": {**split, "index": list(range(len(rows)))},
        "dataframe_records": records,
        "instances": records,
        "inputs": by_column,
    }
    forms = {name: (J, json.dumps({name.split()[0]: body})) for name, body in bodies.items()}
    others = [name for name in reversed(columns)]
    turned = [[record[name] for name in others] for record in records]
    return {
        **forms,
        "split in another order": (
            J,
            json.dumps({"dataframe_split": {"columns": others, "data": turned}}),
        ),
        "charset": (f"{J}; charset=utf-8", json.dumps({"dataframe_split": split})),
        "csv": (CSV, csv_of(columns, rows)),
    }


FORMS = {
    "labels": frame_forms(COLUMNS, ROWS),
    "columns": frame_forms(COLUMNS, ROWS),
    "records": frame_forms(COLUMNS[:2], [row[:2] for row in ROWS]),
    "matrix": {
        "instances": (J, json.dumps({"instances": MATRIX})),
        "inputs": (J, json.dumps({"inputs": MATRIX})),
        "split": (
            J,
            json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": MATRIX}}),
        ),
        "other members": (J, json.dumps({"instances": MATRIX, "signature_name": "x"})),
        "split unnamed": (J, json.dumps({"dataframe_split": {"data": MATRIX}})),
    },
}
REFUSED = {
    "a list": (J, "[[1, 2]]"),
    "two forms": (J, '{"inputs": [], "instances": []}'),
    "no form": (J, '{"rows": []}'),
    "no JSON": (J, '{"inputs": '),
    "another content type": ("application/xml", "<a/>"),
    "another charset": (f"{J}; charset=latin-1", '{"inputs": []}'),
    "records that are none": (J, '{"dataframe_records": {"a": 1}}'),
    "a split without data": (J, '{"dataframe_split": {"columns": ["a"]}}'),
    "columns of two lengths": (J, '{"instances": [{"a": 1}, {"a": 1, "b": 2}]}'),
    "a lack of columns": (J, '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}'),
    "words for numbers": (J, '{"inputs": [["a", "b", "c"]]}'),
    "CSV that is none": (CSV, 'a,b\n1,"2'),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (HOME / "python").exists():
        pytest.fail(f"{HOME} is missing: `scripts/clients mlflow` makes it and runs this test")
    home = tmp_path_factory.mktemp("models")
    save = Path(__file__).parent / "mlflow" / "save.py"
    subprocess.run([HOME / "python", save, home], check=True, capture_output=True, timeout=240)
    return home


class Both:
    """Two servers of one model."""

    def __init__(self, headway: int, mlflow: int) -> None:
        self.ports = (headway, mlflow)

    def ask(
        self, method: str, path: str, body: str = "", kind: str = ""
    ) -> list[tuple[int, str, Any]]:
        """Status, content type and body that each answers, Headway first."""
        told = []
        for port in self.ports:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {"content-type": kind} if kind else {}
            answer = call(connection, method, path, body.encode(), headers)
            connection.close()
            told.append((answer.status, answer.headers.get("content-type", ""), answer.body))
        return told


@contextmanager
def scoring(folder: Path, home: Path) -> Iterator[int]:
    """`mlflow models serve`, ended with all that it started; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    flags = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (home / "mlflow.txt").open("wb") as log:
        process = subprocess.Popen(
            [HOME / "mlflow", "models", "serve", "-m", folder, *flags],
            env={
                "PATH": f"{HOME}:/usr/bin:/bin",
                "HOME": str(home),
                "MLFLOW_DISABLE_TELEMETRY": "1",
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: is_up(port, process), "MLflow's server answers", START_S)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_up(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "it ended"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        return call(connection, "GET", "/ping").status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module", params=list(FORMS))
def served(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Both]]:
    name, home = request.param, tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        headway: Server = stack.enter_context(
            serving(
                home, str(models / name), "--trusted", by=str(HOME / "python"), PYTHONPATH=SOURCE
            )
        )
        yield name, Both(headway.port, stack.enter_context(scoring(models / name, home)))


def same(found: Any, expected: Any) -> bool:
    """Equal; numbers to the last bits."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-6, abs=1e-9))
    return bool(found == expected)


def test_every_form_is_answered_alike(served: tuple[str, Both]) -> None:
    name, both = served
    for form, (kind, body) in FORMS[name].items():
        ours, theirs = both.ask("POST", "/invocations", body, kind)
        assert theirs[0] == 200, f"{name}, {form}: {theirs}"
        assert ours[:2] == (200, J), f"{name}, {form}: {ours}"
        assert same(json.loads(ours[2]), json.loads(theirs[2])), f"{name}, {form}: {ours} {theirs}"


def test_what_mlflow_refuses_is_refused_alike(served: tuple[str, Both]) -> None:
    name, both = served
    for case, (kind, body) in REFUSED.items():
        ours, theirs = both.ask("POST", "/invocations", body, kind)
        assert ours[0] == theirs[0] in (400, 415), f"{name}, {case}: {ours} {theirs}"
        assert ours[1].partition(";")[0] == theirs[1].partition(";")[0], f"{case}: {ours} {theirs}"
        if ours[0] == 400:
            assert json.loads(ours[2]).keys() == {"error_code", "message"}, "no trace of ours"
    for path in ("/ping", "/health", "/version"):
        assert [told[0] for told in both.ask("GET", path)] == [200, 200]
    assert [told[0] for told in both.ask("GET", "/invocations")] == [405, 405]


def test_mlflows_own_client_asks_both(served: tuple[str, Both], run_client: Run) -> None:
    name, both = served
    rows = MATRIX if name == "matrix" else [row[: 2 if name == "records" else 3] for row in ROWS]
    columns = ["a", "b", "c"] if name == "matrix" else COLUMNS[: len(rows[0])]
    frame = json.dumps({"columns": columns, "data": rows})
    ours, theirs = run_client("mlflow", "ask.py", *both.ports, frame)
    assert same(ours["answers"], theirs["answers"])
    assert ours["version"]


def test_the_page_does_what_it_says(
    tmp_path: Path, run_snippet: Callable[..., None], write_predictors: Callable[..., None]
) -> None:
    write_predictors("clients-of-mlflow.md", tmp_path)
    with serving(tmp_path, "mood.py") as server:
        run_snippet("mlflow", "clients-of-mlflow.md", server.port)
