"""TorchServe's inference API with a real server: the documented examples, by the bytes that curl sends."""

import json
import shutil
from collections.abc import Iterator, Mapping

import job_subjects
import pytest
from serving import JSON, Answer, Server, serving

MODELS = """
models:
  onion: {predictor: "subjects.py:Onion", workers: 1}
  tokens: {predictor: "subjects.py:Tokens", workers: 1}
  picture: {predictor: "subjects.py:Sunglasses", workers: 1}
  numbers: {predictor: "subjects.py:Numbers", workers: 1}
"""
KITTEN = b"\x89PNG\r\n\xff\xfe\x00"
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("torchserve")
    shutil.copy(job_subjects.__file__, folder / "subjects.py")
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def predict(server: Server, model: str, body: bytes, headers: Mapping[str, str] = {}) -> Answer:
    return server.call("POST", f"/predictions/{model}", body, headers)


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form as `curl -F` sends it; a part of bytes is a file."""
    body = b""
    for name, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"; filename="kitten.png"\r\n'
        body += (
            b"--curl\r\n" + head.encode() + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
        )
    return body + b"--curl--\r\n", {"content-type": "multipart/form-data; boundary=curl"}


@pytest.mark.parametrize("headers", [{}, URLENCODED, {"content-type": "image/png"}])
def test_a_file_is_sent_bare_and_answered_bare(server: Server, headers: dict[str, str]) -> None:
    """`curl localhost:8080/predictions/resnet-18 -T kitten.png`, which sends a PUT."""
    for method, path in (("POST", "picture"), ("PUT", "picture"), ("PUT", "picture/1")):
        answer = server.call(method, f"/predictions/{path}", KITTEN, headers)
        assert (answer.status, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.body == job_subjects.DOT + KITTEN


@pytest.mark.parametrize("name", ["data", "body", "image"])
def test_a_file_is_sent_in_a_form(server: Server, name: str) -> None:
    """`curl localhost:8080/predictions/resnet-18 -F "data=@kitten.png"`."""
    answer = predict(server, "picture", *form((name, KITTEN)))
    assert (answer.status, answer.body) == (200, job_subjects.DOT + KITTEN)


@pytest.mark.parametrize("path", ["numbers", "numbers/1"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[1, 2.5]", JSON),
        (b"[1, 2.5]", {}),
        (b'{"data": [1, 2.5]}', JSON),
        (b'{"data": [1, 2.5]}', URLENCODED),
        (b'{"body": [1, 2.5]}', JSON),
    ],
)
def test_json_is_the_inputs_or_the_only_one(
    server: Server, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = predict(server, path, body, headers)
    assert (answer.status, answer.json) == (200, 3.5)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["numbers", "numbers/1"])
def test_an_answer_is_explained(server: Server, path: str) -> None:
    """`curl http://127.0.0.1:8080/explanations/mnist -T 0.png`."""
    answer = server.call("PUT", f"/explanations/{path}", b"[1, 3]")
    assert (answer.status, answer.json) == (200, [0.25, 0.75])
    refused = server.call("POST", "/explanations/onion", b"{}", JSON)
    assert (refused.status, refused.json["code"]) == (501, 501)


def test_a_text_is_answered_bare(server: Server) -> None:
    answer = predict(server, "onion", '{"prompt": "größe"}'.encode(), JSON)
    assert (answer.body.decode(), answer.status) == ("GRÖSSE", 200)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_stream_comes_in_chunks(server: Server) -> None:
    """As in the documentation's example of an echo."""
    body = b'{"prompt": "hello hello world"}'
    connection = server.connect()
    connection.request("POST", "/predictions/tokens", body, JSON)
    answer = connection.getresponse()
    assert answer.getheader("transfer-encoding") == "chunked"
    assert answer.read() == b"hellohelloworld"
    connection.close()


def test_a_stream_that_fails_ends_with_the_error(server: Server) -> None:
    answer = predict(server, "tokens", b'{"prompt": "a b fail"}', JSON)
    first, last = answer.body.split(b"\n", 1)
    assert first == b"ab"
    assert json.loads(last)["type"] == "InternalServerException"


@pytest.mark.parametrize(
    ("path", "body", "code", "kind"),
    [
        ("nothing", b"{}", 404, "ModelNotFoundException"),
        ("onion/7", b"{}", 404, "ModelVersionNotFoundException"),
        ("onion", b'{"prompt": 5}', 400, "BadRequestException"),
        ("onion", b'{"prompt": "fail"}', 500, "InternalServerException"),
        ("numbers", b'{"data": "x"}', 400, "BadRequestException"),
        ("numbers", b"\xff\xfe", 400, "BadRequestException"),
        ("numbers", b"", 400, "BadRequestException"),
        ("numbers", b'[1], "data": [2]', 400, "BadRequestException"),
        ("numbers", b"[" * 100_000, 400, "BadRequestException"),
    ],
)
def test_errors_have_a_code_a_type_and_a_message(
    server: Server, path: str, body: bytes, code: int, kind: str
) -> None:
    answer = predict(server, path, body, JSON)
    assert (answer.status, answer.json["code"], answer.json["type"]) == (code, code, kind)
    assert answer.json["message"]
    assert "secret" not in answer.json["message"]


def test_a_method_that_is_not_known_there_is_told(server: Server) -> None:
    answer = server.call("DELETE", "/predictions/onion")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, PUT")


def test_a_late_answer_is_a_time_out(server: Server) -> None:
    headers = {**JSON, "headway-timeout": "0.2"}
    answer = predict(server, "onion", b'{"prompt": "late", "until": "late"}', headers)
    assert (answer.status, answer.json["type"]) == (408, "RequestTimeoutException")
    server.path("late").touch()


def test_the_description_is_asked_by_options(server: Server) -> None:
    """`curl -X OPTIONS http://localhost:8080`."""
    answer = server.call("OPTIONS", "/")
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.")
    told = {path for path, item in answer.json["paths"].items() if "post" in item}
    assert told & {"/predictions/{model}", "/predictions/{id}"}, (
        "Cog's path of that form is the same to OpenAPI"
    )
    assert server.call("GET", "/").headers["content-type"].startswith("text/html")
    assert server.call("OPTIONS", "/models").status == 405


def test_what_is_not_finite_is_told_as_everywhere_in_json(server: Server) -> None:
    answer = predict(server, "numbers", b"[]", JSON)
    native = server.ask("numbers", {"data": []})
    assert (answer.status, answer.body) == (native.status, native.body)
