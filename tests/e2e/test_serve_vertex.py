"""A container of Vertex AI: its variables say where it listens and at which paths; and aliases by themselves."""

import json
import socket
from pathlib import Path

import pytest
from foreign_subjects import write_subjects
from serving import serving

BODY = json.dumps({"instances": ["Joy"], "parameters": {"least": 0.9}}).encode()
ANSWER = {"predictions": [{"label": "large", "score": 2 / 3}]}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("health", "predict"),
    [
        ("/health", "/predict"),
        ("/health/ready", "/v1/endpoints/5/deployedModels/6:predict"),
        ("/v1/endpoints/5/deployedModels/6", "/v1/endpoints/5/deployedModels/6:predict"),
    ],
)
def test_its_variables_say_where_it_is_asked(tmp_path: Path, health: str, predict: str) -> None:
    write_subjects(tmp_path)
    port = free_port()
    told = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": health,
        "AIP_PREDICT_ROUTE": predict,
        "AIP_ENDPOINT_ID": "5",
        "AIP_DEPLOYED_MODEL_ID": "6",
        "HEADWAY_PORT": "1",
        "HEADWAY_UNIX": "",
    }
    target = "foreign_subjects.py:Sentiment"
    # `serving` would give it a port of its own, which comes before all variables.
    with serving(tmp_path, target, "--workers", "1", "--unix", "", **told) as server:
        assert server.info["http"] == f"http://0.0.0.0:{port}"
        assert server.call("GET", health).status == 200
        answer = server.call("POST", predict, BODY, {"content-type": "application/json"})
        assert (answer.status, answer.json) == (200, ANSWER)
        wrong = server.call("POST", predict, b"{}").json["error"]
        assert (wrong["code"], wrong["status"]) == (400, "INVALID_ARGUMENT")


def test_an_alias_is_another_name_of_a_path_for_every_caller(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    key = tmp_path / "keys.txt"
    key.write_text("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n")
    aliases = "/predict=/models/foreign_subjects/predict, /healthz=/health/ready"
    arguments = ("--workers", "1", "--aliases", aliases, "--key-file", str(key))
    with serving(tmp_path, "foreign_subjects.py:Sentiment", *arguments) as server:
        assert server.call("GET", "/healthz").status == 200
        body = b'{"text":"Joy"}'
        assert server.call("POST", "/predict", body).status == 401
        answer = server.call("POST", "/predict", body, {"authorization": "Bearer foo"})
        assert answer.json == {"label": "small", "score": 2 / 3}
        assert server.call("GET", "/predict", headers={"x-api-key": "foo"}).status == 405
