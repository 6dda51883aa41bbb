"""Keys: every credential of the corpus on every route with every method is decided alike, and no key is ever shown."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import corpus
import corpus_subjects
import pytest
from rawclient import Raw
from serving import Server, serving

from headway import plugins

pytestmark = pytest.mark.timeout(120)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OPEN = {"/", "/health/live", "/health/ready"}
OWN = ("/", "/health/live", "/health/ready", "/metrics", "/openapi.json")
LOOK_ALIKES = (
    *("//", "//v2", "/v2/./", "/V2", "/models/", "/models//number", "/models/../health/live"),
    *("/health/live/", "/HEALTH/LIVE", "/health/live%2f", "//health/live", "/health/live;x"),
    *("/page/../models", "/page/%2e%2e/models", "/page/nothing.js", "/nowhere", "/invocations"),
    *("/ping", "/v1/models/number:predict", "/models/nobody/predict", "/%6dodels", "/admin"),
    *("/status", "/reload", "/stop"),
)
KEY, OTHER = "hw_a-good-key-of-this-test", "hw_another-good-key-of-this-test"
CREDENTIALS = corpus.load(corpus.HOME / "auth/credentials.yaml")["cases"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("keys")
    shutil.copy(corpus_subjects.__file__, folder / "subjects.py")
    folder.joinpath("keys.txt").write_text("\n".join(hash_of(key) for key in (KEY, OTHER)))
    folder.joinpath("headway.yaml").write_text(
        'models: {number: {predictor: "subjects.py:Number", workers: 1}}'
    )
    with serving(folder, "--key-file", "keys.txt", "--log-level", "debug") as server:
        yield server


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def paths() -> list[str]:
    """Every path of every protocol, the server's own, and what looks like them."""
    routes = {
        route.path.replace("{model}", "number").replace("{version}", "1")
        for name in plugins.names("protocols")
        for route in plugins.load("protocols", name).ROUTES
    }
    assert len(routes) > 15
    return [*sorted(routes), *OWN, *LOOK_ALIKES]


def is_open(method: str, path: str) -> bool:
    """Whether it is answered without a key: OPTIONS of the page's path tells what is served, so it is not."""
    return path in OPEN and (method, path) != ("OPTIONS", "/")


def filled(parts: Any) -> bytes:
    text = corpus.to_bytes(parts)
    for mark, value in {
        b"<KEY>": KEY,
        b"<OTHER>": OTHER,
        b"<CUT>": KEY[:-1],
        b"<HASH>": hash_of(KEY),
    }.items():
        text = text.replace(mark, value.encode())
    return text


def request(method: str, path: str, credentials: Mapping[str, Any]) -> bytes:
    query = b"?" + filled(credentials["query"]) if "query" in credentials else b""
    lines = [
        b"%b %b%b HTTP/1.1" % (method.encode(), path.encode(), query),
        b"host: anything.example",
        b"content-length: 0",
        *map(filled, credentials.get("headers", [])),
    ]
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=lambda c: c["name"].replace(" ", "-"))
def test_every_route_decides_alike(server: Server, credentials: Mapping[str, Any]) -> None:
    wrong = []
    with Raw(server.port, 10) as connection:
        for path in paths():
            for method in METHODS:
                connection.send(request(method, path, credentials))
                told = connection.read(is_bodiless=method == "HEAD")
                is_refused = told.status == 401
                if is_refused != (credentials["expect"] == "refused" and not is_open(method, path)):
                    wrong.append(f"{method} {path}: {told.status}")
                if is_refused and method != "HEAD":
                    assert_it_tells_nothing(told.body)
                    assert told.headers["www-authenticate"] == "Bearer"
    assert not wrong, "\n".join(wrong)


def assert_it_tells_nothing(body: bytes) -> None:
    """Not even whether there is such a model, or which keys are known."""
    assert b"number" not in body
    assert b"key" in body


def test_a_key_of_a_megabyte_is_refused_as_any_other_head(server: Server) -> None:
    credentials = {"headers": [["x-api-key: ", {"repeat": ["a", 2**20]}]]}
    with Raw(server.port, 10) as connection:
        connection.send(request("GET", "/models", credentials))
        assert connection.read().status == 431
        assert connection.is_closed()


@pytest.mark.parametrize("path", ["/status", "/reload", "/stop"])
def test_admin_and_models_are_never_answered_by_each_other(server: Server, path: str) -> None:
    with Raw(server.port, 10) as connection:
        for method in METHODS:
            connection.send(request(method, path, {"headers": ["x-api-key: <KEY>"]}))
            assert connection.read(is_bodiless=method == "HEAD").status == 404
    for served in ("/models/number/predict", "/v2/models/number/infer", "/metrics", "/health/live"):
        assert server.admin("POST", served).status == 404
    assert server.is_ready(), "it was neither stopped nor reloaded"


def test_keys_are_shown_nowhere(server: Server) -> None:
    told = b""
    for credentials in CREDENTIALS:
        for path in ("/models", "/v2/models/nobody", "/models/number/predict", "/metrics"):
            with Raw(server.port, 10) as connection:
                connection.send(request("POST", path, credentials))
                told += connection.read().body
                # A broken request that carries a key: what refuses it may echo no part of it.
                connection.send(b"GET / HTTP/1.1\r\nx-api-key: %b\x01\r\n\r\n" % KEY.encode())
                told += connection.read().body
    with Raw(server.port, 10) as connection:
        for path in ("/openapi.json", "/metrics", "/models"):
            connection.send(request("GET", path, {"headers": ["x-api-key: <KEY>"]}))
            told += connection.read().body
    status = server.status()
    pids = [server.process.pid, *server.gateways(), *server.workers("number")]
    places = {
        "an answer": told.decode(),
        "the log": server.log,
        "the status": json.dumps(status),
        **{f"argv of {pid}": Path(f"/proc/{pid}/cmdline").read_text() for pid in pids},
        **{f"environment of {pid}": Path(f"/proc/{pid}/environ").read_text() for pid in pids},
    }
    secrets = (KEY, OTHER, hash_of(KEY), hash_of(OTHER), KEY[:-1])
    shown = [
        f"{place}: {text}" for place, text in places.items() if any(s in text for s in secrets)
    ]
    assert not shown, "\n".join(shown)
