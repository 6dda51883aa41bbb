"""Azure ML's inference server beside Headway, both with the same function: they answer alike, case by case."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from serving import Answer, call, serving, wait_until

HERE = Path(__file__).parent / "azure"
HOME = Path(__file__).parents[2] / "build" / "clients" / "azure" / "bin"
START_S = 60.0
JSON = {"content-type": "application/json"}
CLIENT, OLD = "x-ms-client-request-id", "x-ms-request-id"
SAID = (CLIENT, "x-ms-run-function-failed", "x-request-id")
"""Headers whose values both must tell alike, where a request names itself."""

Case = tuple[str, str, bytes, dict[str, str]]
ANSWERED: dict[str, Case] = {
    "an item": ("POST", "/score", b'{"text": "a joy", "scale": 2.5}', JSON),
    "a default": ("POST", "/score", b'{"text": "joy joy"}', JSON),
    "other letters": ("POST", "/score", '{"text": "größe 你好 \\u00e9"}'.encode(), JSON),
    "with names": ("POST", "/score", b'{"text": "a"}', {**JSON, CLIENT: "mine", "x-request-id": "r7"}),
    "with the old name": ("POST", "/score", b'{"text": "a"}', {**JSON, OLD: "old"}),
    "with a name of 100": ("POST", "/score", b'{"text": "a"}', {**JSON, CLIENT: "x" * 100}),
    "a query": ("GET", "/score?text=a%20joy&scale=2", b"", {}),
    "a JSON text in a query": ("GET", "/score?text=joy", b"", {}),
}  # fmt: skip
REFUSED: dict[str, Case] = {
    "no JSON": ("POST", "/score", b'{"text": ', JSON),
    "nothing": ("POST", "/score", b"", JSON),
    "a list": ("POST", "/score", b"[7]", JSON),
    "an input missing": ("POST", "/score", b'{"scale": 1.0}', JSON),
    "an input missing in a query": ("GET", "/score?scale=2", b"", {}),
    "another content type": ("POST", "/score", b"<a/>", {"content-type": "application/xml"}),
    "a name that is too long": ("POST", "/score", b'{"text": "a"}', {**JSON, CLIENT: "x" * 101}),
    "an old name that is too long": ("POST", "/score", b'{"text": "a"}', {**JSON, OLD: "x" * 101}),
    "its own failure": ("POST", "/score", b'{"text": "fail"}', {**JSON, CLIENT: "mine"}),
    "another method": ("PUT", "/score", b"{}", JSON),
    "another Swagger": ("GET", "/swagger.json?version=4", b"", {}),
}


@contextmanager
def azmlinfsrv(folder: Path) -> Iterator[int]:
    """Microsoft's server; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    flags = ["--entry_script", str(folder / "score.py"), "--port", str(port)]
    with (folder / "azure.txt").open("wb") as log:
        process = subprocess.Popen(
            [str(HOME / "azmlinfsrv"), *flags],
            cwd=folder,
            env={"PATH": f"{HOME}:/usr/bin:/bin", "HOME": str(folder), "AML_APP_ROOT": "/"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: is_up(port, process), "the server answers", START_S)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_up(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "it ended"
    try:
        return asked(port, "GET", "/").status == 200
    except OSError:
        return False


def asked(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        return call(connection, method, path, body or None, headers)
    finally:
        connection.close()


Both = Callable[[Case], tuple[Answer, Answer]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    if not (HOME / "python").exists():
        pytest.fail(f"{HOME} is missing: `scripts/clients azure` makes it and runs this test")
    folder = tmp_path_factory.mktemp("azure")
    for name in ("mood.py", "score.py"):
        shutil.copy(HERE / name, folder)
    with serving(folder, "mood.py") as headway, azmlinfsrv(folder) as port:
        yield lambda case: (asked(headway.port, *case), asked(port, *case))


def test_what_is_answered_is_answered_alike(both: Both) -> None:
    for name, case in ANSWERED.items():
        ours, theirs = both(case)
        assert (ours.status, theirs.status) == (200, 200), f"{name}: {ours} {theirs}"
        assert ours.json == theirs.json, name
        is_named = {"x-request-id", CLIENT, OLD} & case[3].keys()
        for header in SAID if "x-request-id" in case[3] else SAID[:2]:
            assert ours.headers.get(header) == theirs.headers.get(header), (name, header)
        assert bool(ours.headers[OLD]) == bool(theirs.headers[OLD])
        if is_named:
            assert ours.headers[OLD] == theirs.headers[OLD]
        for answer in (ours, theirs):
            assert float(answer.headers["x-ms-run-fn-exec-ms"]) >= 0
            assert answer.headers["content-type"].partition(";")[0] == "application/json"


def test_what_is_refused_is_refused_alike(both: Both) -> None:
    for name, case in REFUSED.items():
        ours, theirs = both(case)
        assert ours.status == theirs.status >= 400, f"{name}: {ours} {theirs}"
        assert ours.json.keys() == theirs.json.keys() == {"message"}, name
        assert "secret" not in str(ours.json)
        for header in (CLIENT, "x-ms-run-function-failed"):
            assert ours.headers.get(header) == theirs.headers.get(header), (name, header)


def test_what_a_browser_asks_first_is_answered_alike(both: Both) -> None:
    ours, theirs = both(("OPTIONS", "/score", b"", {}))
    assert (ours.status, ours.body) == (theirs.status, theirs.body) == (200, b"")
    ours, theirs = both(("GET", "/", b"", {}))
    assert ours.status == theirs.status == 200


@pytest.mark.parametrize("version", ["", "?version=2", "?version=3", "?version=3.1"])
def test_the_description_has_the_places_that_tools_look_at(both: Both, version: str) -> None:
    ours, theirs = (answer.json for answer in both(("GET", f"/swagger.json{version}", b"", {})))
    for told in (ours, theirs):
        told.setdefault("components", {"schemas": told.get("definitions")})
    key = "openapi" if "3" in version else "swagger"
    assert ours[key] == theirs[key]
    assert operation(ours) == operation(theirs) == "RunMLService"
    names = {"ServiceInput", "ServiceOutput", "ErrorResponse"}
    assert names <= ours["components"]["schemas"].keys() & theirs["components"]["schemas"].keys()
    inputs = [
        told["components"]["schemas"]["ServiceInput"]["properties"] for told in (ours, theirs)
    ]
    assert inputs[0].keys() == inputs[1].keys() == {"text", "scale"}


def operation(document: dict[str, Any]) -> str:
    return str(document["paths"]["/score"]["post"]["operationId"])


def test_the_answers_are_json_to_the_last_letter(both: Both) -> None:
    ours, theirs = both(ANSWERED["other letters"])
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert "größe 你好 é".upper() in ours.body.decode()
