"""Who may speak as an operator: on the socket, on an address with a token, and where callers ask only if told so."""

import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import JSON, Answer, Server, call, serving, starting, wait_until, write_subjects

TOKEN = "hw_an-operators-token"
YAML = """
server:
  admin_address: "127.0.0.1:0"
  admin_token_file: tokens.txt
  hosts: models.example
models:
  mix: {predictor: "subjects.py:Mix", workers: 1}
  gate: {predictor: "subjects.py:Gate", workers: 1}
"""


def write_tokens(folder: Path, *tokens: str) -> None:
    lines = [hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    folder.joinpath("tokens.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("admin")
    write_subjects(folder)
    write_tokens(folder, TOKEN)
    folder.joinpath("headway.yaml").write_text(YAML)
    with serving(folder) as server:
        yield server


def by_token(
    server: Server,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    token: str = TOKEN,
    **headers: str,
) -> Answer:
    """Ask on the address."""
    place = urlsplit(server.info["admin_http"])
    with closing(http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)) as it:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            given["authorization"] = f"Bearer {token}"
        return call(it, method, path, body, given)


def test_who_has_a_token_is_an_operator(server: Server) -> None:
    assert by_token(server, "GET", "/status").json["is_ready"] is True
    assert by_token(server, "POST", "/models/mix/unload").status == 200
    assert server.ask("mix", {"number": 1}).code == "unloaded"
    assert by_token(server, "POST", "/models/mix/load").json["state"] == "READY"
    assert server.ask("mix", {"number": 1}).status == 200
    assert by_token(server, "GET", "/models").json["models"][0]["state"] == "READY"
    assert by_token(server, "GET", "/v2/health/ready").status == 200
    assert by_token(server, "GET", "/nowhere").status == 404
    assert by_token(server, "POST", "/models/mix/predict", b"{}").status == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/status", "/models", "/models/mix/unload", "/nowhere", "/stop"])
@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"token": ""}, 401),
        ({"token": "hw_another"}, 401),
        ({"token": hashlib.sha256(TOKEN.encode()).hexdigest()}, 401),
        ({"x_api_key": TOKEN}, 401),  # two headers
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.com"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost.evil.com"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
    ids=str,
)
def test_nobody_else_is(
    server: Server, method: str, path: str, wrong: Mapping[str, Any], status: int
) -> None:
    assert by_token(server, method, path, **wrong).status == status
    assert server.process.poll() is None


def test_a_token_in_the_query_is_refused(server: Server) -> None:
    assert by_token(server, "GET", f"/status?token={TOKEN}", token="").status == 401


def test_names_and_pages_that_are_configured_may(server: Server) -> None:
    named = by_token(
        server, "GET", "/status", host="models.example", origin="https://models.example"
    )
    assert named.status == 200
    own = urlsplit(server.info["admin_http"]).netloc
    assert by_token(server, "GET", "/status", origin=f"http://{own}").status == 200
    assert by_token(server, "GET", "/status", sec_fetch_site="same-origin").status == 200


def test_a_token_that_is_taken_out_lets_nobody_in_after_a_reload(server: Server) -> None:
    write_tokens(server.folder, "hw_the-next-one")
    assert server.admin("POST", "/reload").status == 202
    assert by_token(server, "GET", "/status").status == 401
    assert by_token(server, "GET", "/status", token="hw_the-next-one").status == 200
    server.path("tokens.txt").write_text("no hash")
    assert server.admin("POST", "/reload").status == 400
    write_tokens(server.folder, TOKEN)
    assert server.admin("POST", "/reload").status == 202
    assert by_token(server, "GET", "/status").status == 200


def test_callers_are_no_operators(server: Server) -> None:
    refused = server.call("POST", "/models/mix/load")
    assert (refused.status, refused.code) == (403, "admin_only")
    refused = server.call("POST", "/v2/repository/models/mix/unload")
    assert (refused.status, list(refused.json)) == (403, ["error"])
    for method, path in (("DELETE", "/models/mix"), ("PUT", "/models/mix"), ("POST", "/models")):
        refused = server.call(method, path)  # as if nobody had taken these for management
        assert (refused.status, refused.headers["allow"]) == (405, "GET")
    assert "/models/mix/load" not in server.call("GET", "/openapi.json").json["paths"]
    assert server.ask("mix", {"number": 1}).status == 200


def test_the_index_is_everybodys(server: Server) -> None:
    lines = server.call("POST", "/v2/repository/index", b'{"ready":true}').json
    assert [line["name"] for line in lines] == ["mix", "gate"]
    assert server.admin("POST", "/v2/repository/index").json == lines
    by_admin = server.admin("POST", "/v2/repository/models/gate/unload")
    assert (by_admin.status, by_admin.json) == (200, {"name": "gate", "unload": True})
    for ask in (server.call, server.admin):
        lines = ask("POST", "/v2/repository/index", b'{"ready":true}').json
        assert [line["name"] for line in lines] == ["mix"]
        assert ask("POST", "/v2/repository/index", b'{"ready":7}').status == 400
    by_admin = server.admin("POST", "/v2/repository/models/gate/load", b'{"parameters":{}}')
    assert (by_admin.status, by_admin.json) == (200, {"name": "gate", "load": True})


def test_log_settings_change_until_a_reload(server: Server) -> None:
    set_to = server.admin("POST", "/v2/logging", b'{"log_verbose_level":1}')
    assert (set_to.status, set_to.json["log_verbose_level"]) == (200, 1)
    assert server.admin("GET", "/v2/logging").json["log_verbose_level"] == 1
    assert server.admin("POST", "/v2/logging", b'{"log_info":false}').json["log_info"] is False
    assert server.admin("POST", "/v2/logging", b'{"log_color":1}').status == 400
    assert server.admin("POST", "/v2/logging", b'{"log_error":false}').status == 400
    assert server.admin("POST", "/reload").status == 202
    assert server.admin("GET", "/v2/logging").json["log_info"] is True


def test_trace_settings_are_shown_and_need_an_exporter(server: Server) -> None:
    assert server.admin("GET", "/v2/trace/setting").json["trace_level"] == ["OFF"]
    assert server.admin("GET", "/v2/models/mix/trace/setting").json["trace_level"] == ["OFF"]
    assert server.admin("GET", "/v2/models/nobody/trace/setting").status == 404
    wanted = b'{"trace_level":["TIMESTAMPS"]}'
    assert server.admin("POST", "/v2/trace/setting", wanted).status == 400
    assert server.admin("POST", "/v2/trace/setting", b'{"trace_rate":"4"}').json == {
        **server.admin("GET", "/v2/trace/setting").json,
        "trace_rate": "4",
    }
    null = b'{"trace_rate":null}'
    assert server.admin("POST", "/v2/trace/setting", null).json["trace_rate"] == "1"


def test_torchserve_and_sagemaker_manage_models_in_their_own_words(server: Server) -> None:
    assert server.admin("POST", "/models?url=gate.mar").status == 409
    ended = server.admin("DELETE", "/models/gate")
    assert (ended.status, ended.json) == (200, {"status": 'Model "gate" unregistered'})
    wait_until(lambda: not server.workers("gate"), "it has left")
    begun = server.admin("POST", "/models?model_name=gate&url=anything")
    assert (begun.status, begun.json) == (200, {"status": 'Model "gate" registered'})
    assert server.admin("DELETE", "/models/gate").status == 200
    asked = json.dumps({"model_name": "gate", "url": "/opt/ml/models/gate/model"}).encode()
    assert server.admin("POST", "/models", asked).status == 200
    assert server.admin("POST", "/models", asked).status == 409
    unknown = server.admin("POST", "/models", b'{"model_name":"x","url":"s3://x"}')
    assert (unknown.status, unknown.json["type"]) == (404, "ModelNotFoundException")
    assert server.admin("PUT", "/models/gate?min_worker=2").status == 501
    assert server.ask("gate", {"text": "still here"}).json == "STILL HERE"


# Where callers ask


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("public")
    write_subjects(folder)
    text = (
        'server: {public_admin: true, gateways: 2}\nmodels: {mix: {predictor: "subjects.py:Mix"}}'
    )
    folder.joinpath("headway.yaml").write_text(text)
    with serving(folder, "--workers", "1") as server:
        yield server


def test_callers_are_operators_where_the_configuration_says_so(public: Server) -> None:
    assert public.call("POST", "/v2/repository/models/mix/unload").status == 200
    assert public.ask("mix", {"number": 1}).code == "unloaded"
    told = public.call("POST", "/v2/repository/models/mix/load", b"{}", JSON)
    assert (told.status, told.json) == (200, {"name": "mix", "load": True})
    assert public.ask("mix", {"number": 1}).status == 200
    assert public.call("POST", "/models/nobody/load").status == 404
    assert public.call("DELETE", "/models/mix").status == 200
    assert public.call("POST", "/models?url=mix").status == 200
    assert public.call("GET", "/v2/logging").json["log_info"] is True
    assert public.call("POST", "/v2/repository/models/mix/load", b"{").status == 400
    assert "/models/{model}" in public.call("GET", "/openapi.json").json["paths"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"host": "evil.example"}, 421),
    ],
)
def test_but_no_page_of_another_site(
    public: Server, headers: Mapping[str, str], status: int
) -> None:
    for path in ("/v2/repository/models/mix/unload", "/models/mix/unload"):
        assert public.call("POST", path, b"{}", headers).status == status
    assert public.ask("mix", {"number": 1}).status == 200


# What is refused before anything is started


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('admin_address: "127.0.0.1:0"', "needs `admin_token_file`"),
        ('admin_address: "127.0.0.1"\n  admin_token_file: tokens.txt', "HOST:PORT"),
        ('admin_address: "127.0.0.1:0"\n  admin_token_file: none.txt', "can't be read"),
    ],
)
def test_a_half_open_door_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    write_subjects(tmp_path)
    write_tokens(tmp_path, TOKEN)
    text = f'server:\n  {lines}\nmodels: {{mix: {{predictor: "subjects.py:Mix"}}}}'
    tmp_path.joinpath("headway.yaml").write_text(text)
    with starting(tmp_path, "--port", "0") as server:
        assert server.wait() == 2
        assert said in server.log


def test_an_admin_address_that_is_taken_is_told(tmp_path: Path, server: Server) -> None:
    write_subjects(tmp_path)
    write_tokens(tmp_path, TOKEN)
    taken = urlsplit(server.info["admin_http"]).netloc
    flags = ["--admin-address", taken, "--admin-token-file", "tokens.txt"]
    with starting(tmp_path, "subjects.py:Mix", "--port", "0", *flags) as second:
        assert second.wait() == 4
        assert f"can't listen on {taken}" in second.log
