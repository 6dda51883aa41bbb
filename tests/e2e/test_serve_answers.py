"""Everybody gets their own answer, whatever way they ask."""

import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import Server, ask, call, serving, write_subjects
from subjects import mix

MODELS = """
models:
  mix: {predictor: "subjects.py:Mix", workers: 2, max_batch: 16}
  double: {predictor: "subjects.py:Double", workers: 1, max_batch: 16}
  chatter: {predictor: "subjects.py:chatter", workers: 1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("answers")
    write_subjects(folder)
    folder.joinpath("headway.yaml").write_text(MODELS)
    with serving(folder) as server:
        yield server


def test_two_thousand_requests_at_a_time_each_get_their_own_answer(server: Server) -> None:
    def ask_some(start: int) -> list[tuple[int, int]]:
        connection = server.connect()
        try:
            numbers = range(start, 2000, 32)
            return [(n, ask(connection, "mix", {"number": n}).json) for n in numbers]
        finally:
            connection.close()

    before = server.metric("executions_total", model="mix")
    with ThreadPoolExecutor(32) as pool:
        answers = [pair for some in pool.map(ask_some, range(32)) for pair in some]
    assert len(answers) == 2000
    assert [(n, a) for n, a in answers if a != mix(n)] == []
    executions = server.metric("executions_total", model="mix") - before
    assert executions < 1500, "requests that wait together share a model call"


def test_dialects_in_flight_together_share_a_batch(server: Server) -> None:
    blocker = server.ask_later("double", {"numbers": [-1, 0, 0, 0]})
    server.wait_for_line("entered.txt", "double--1")
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "numbers",
                    "datatype": "FP32",
                    "shape": [1, 4],
                    "parameters": {"binary_data_size": 16},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    body = head + struct.pack("<4f", 1, 2, 3, 4)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    before = server.metric("executions_total", model="double")
    with ThreadPoolExecutor(4) as pool:
        binary = [
            pool.submit(server.call, "POST", "/v2/models/double/infer", body, headers)
            for _ in range(2)
        ]
        native = [pool.submit(server.ask, "double", {"numbers": [9, 8, 7, 6]}) for _ in range(2)]
        server.wait_for_queue("double", 4)
        server.path("double").touch()
        for future in native:
            assert future.result().json == [18, 16, 14, 12]
        for future in binary:
            answer = future.result()
            size = int(answer.headers["inference-header-content-length"])
            assert struct.unpack("<4f", answer.body[size:]) == (2, 4, 6, 8)
    assert blocker.result().json == [-2, 0, 0, 0]
    assert server.metric("executions_total", model="double") - before == 2


def test_what_a_predictor_prints_goes_to_the_log(server: Server) -> None:
    assert server.ask("chatter", {"text": "abc"}).json == "cba"
    assert "printed by the predictor: abc" in server.log
    assert "written by the predictor" in server.log


def test_standard_output_holds_the_ready_line_alone(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    with serving(tmp_path, "subjects.py:chatter", "--workers", "1") as server:
        assert server.ask("subjects", {"text": "abc"}).json == "cba"
        assert server.stop() == 0
        assert server.process.stdout
        assert server.process.stdout.read() == b""


def test_one_bad_row_is_told_by_its_place_and_a_batch_of_many_comes_back_in_order(
    server: Server,
) -> None:
    numbers = list(range(300))
    assert server.ask("mix", [{"number": n} for n in numbers]).json == [mix(n) for n in numbers]
    answer = server.ask("mix", [{"number": 1}, {"number": "two"}])
    assert (answer.status, answer.code) == (400, "bad_input")
    assert "1" in answer.json["error"]


def test_a_connection_is_kept_over_good_and_bad_requests(server: Server) -> None:
    connection = server.connect()
    for number in range(20):
        assert ask(connection, "mix", {"number": "x"}).status == 400
        assert ask(connection, "mix", {"number": number}).json == mix(number)
        assert call(connection, "GET", "/models/nobody").status == 404
    connection.close()
