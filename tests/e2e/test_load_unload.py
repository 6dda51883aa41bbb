"""Models are unloaded and loaded while the server runs: what is under way ends well, and every gateway knows."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from serving import Answer, Server, ask, call, in_background, serving, wait_until, write_subjects

VERSION = """
import time
from pathlib import Path
import headway as hw

HERE = Path(__file__).parent

class Version(hw.Predictor):
    def load(self) -> None:
        with (HERE / "loads.txt").open("a") as file:
            file.write("begun\\n")
        while (HERE / "hold").exists():
            time.sleep(0.005)

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        return [n * 1000 + {version} for n in number]
"""
MODELS = """
server: {{gateways: {gateways}}}
models:
  version: {{predictor: "version.py:Version", workers: {workers}}}
  gate: {{predictor: "subjects.py:Gate", workers: 1, max_batch: 1}}
  counting: {{predictor: "subjects.py:Count", workers: 1, slots: 2}}
"""


def write(folder: Path, version: int | None) -> None:
    """Write the predictor in one step; None: a file that is no Python."""
    new = folder / ".version.new"
    new.write_text("this is no Python" if version is None else VERSION.format(version=version))
    new.replace(folder / "version.py")


@contextmanager
def served(folder: Path, *, gateways: int = 1, workers: int = 1) -> Iterator[Server]:
    write_subjects(folder)
    write(folder, 1)
    text = MODELS.format(gateways=gateways, workers=workers)
    folder.joinpath("headway.yaml").write_text(text)
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("unloaded")) as server:
        yield server


def load(server: Server, model: str) -> Answer:
    return server.admin("POST", f"/models/{model}/load")


def unload(server: Server, model: str) -> Answer:
    return server.admin("POST", f"/models/{model}/unload")


def state(server: Server, model: str) -> tuple[str, str]:
    """As a gateway lists it."""
    lines = server.call("POST", "/v2/repository/index").json
    (line,) = (line for line in lines if line["name"] == model)
    return line["state"], line["reason"]


def wait_for_state(server: Server, model: str, wanted: str) -> None:
    wait_until(lambda: state(server, model)[0] == wanted, f"{model} is {wanted}")


def workers(server: Server, model: str) -> list[int]:
    """Pids of all that hold it, in whatever phase."""
    models = {m["name"]: m for m in server.status()["models"]}
    return [w["pid"] for w in models[model]["workers"]]


def assert_unloaded(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unloaded")
    assert answer.headers["retry-after"]


# One gateway


def test_what_is_under_way_is_answered_and_what_is_new_is_refused(server: Server) -> None:
    inside = server.ask_later("gate", {"text": "inside", "until": "out"})
    server.wait_for_line("entered.txt", "inside")
    waiting = server.ask_later("gate", {"text": "waiting"})
    server.wait_for_queue("gate", 1)

    told = unload(server, "gate")
    assert (told.status, told.json["state"]) == (200, "UNLOADING")
    assert state(server, "gate") == ("UNLOADING", "")
    assert_unloaded(server.ask("gate", {"text": "new"}))
    assert unload(server, "gate").status == 200
    assert server.call("GET", "/models/gate/ready").status == 503
    assert server.is_ready()

    server.path("out").touch()
    assert inside.result(20).json == "INSIDE"
    assert waiting.result(20).json == "WAITING"
    wait_for_state(server, "gate", "UNAVAILABLE")
    assert state(server, "gate") == ("UNAVAILABLE", "unloaded")
    assert workers(server, "gate") == []
    assert_unloaded(server.ask("gate", {"text": "new"}))
    assert_unloaded(server.call("GET", "/models/gate"))
    assert "new" not in server.lines("entered.txt")

    told = load(server, "gate")
    assert (told.status, told.json) == (200, {"name": "gate", "state": "READY", "reason": ""})
    assert state(server, "gate") == ("READY", "")
    assert server.ask("gate", {"text": "again"}).json == "AGAIN"
    assert server.metric("worker_restarts_total", model="gate") == 0


def test_a_stream_ends_before_its_worker_leaves(server: Server) -> None:
    stream = server.ask_later("counting", {"upto": 4, "name": "slow", "until": "go-on"})
    wait_until(lambda: server.metric("in_flight", model="counting") == 1, "it streams")
    assert unload(server, "counting").status == 200
    assert state(server, "counting")[0] == "UNLOADING"
    server.path("go-on").touch()
    assert stream.result(20).body.split() == [b"0", b"1", b"2", b"3"]
    wait_for_state(server, "counting", "UNAVAILABLE")
    assert load(server, "counting").status == 200


def test_an_unknown_model_can_not_be_loaded(server: Server) -> None:
    for verb in (load, unload):
        assert (verb(server, "nobody").status, verb(server, "nobody").code) == (
            404,
            "unknown_model",
        )


def test_a_load_takes_the_files_and_the_settings_of_now(server: Server) -> None:
    assert server.ask("version", {"number": 3}).json == 3001
    write(server.folder, 2)
    assert load(server, "version").status == 200
    assert server.ask("version", {"number": 3}).json == 3002
    yaml = server.path("headway.yaml")
    before = yaml.read_text()
    yaml.write_text(before.replace('Version", workers: 1', 'Version", workers: 2'))
    assert load(server, "version").status == 200
    server.wait_for_workers("version", 2)
    yaml.write_text(before)
    assert load(server, "version").status == 200
    server.wait_for_workers("version", 1)
    write(server.folder, 1)
    assert load(server, "version").status == 200


def test_a_load_that_fails_leaves_what_there_was(server: Server) -> None:
    write(server.folder, None)
    refused = load(server, "version")
    assert (refused.status, refused.code) == (400, "not_done")
    assert "version" in refused.json["error"]
    assert state(server, "version") == ("READY", "")
    assert server.ask("version", {"number": 3}).json == 3001

    assert unload(server, "version").status == 200
    assert load(server, "version").status == 400
    wait_for_state(server, "version", "UNAVAILABLE")
    assert server.ask("version", {"number": 3}).status == 503

    write(server.folder, 1)
    assert load(server, "version").status == 200
    assert server.ask("version", {"number": 3}).json == 3001


def test_a_load_of_what_headway_yaml_no_longer_names_is_refused(server: Server) -> None:
    yaml = server.path("headway.yaml")
    before = yaml.read_text()
    yaml.write_text("models:\n" + before.partition("models:\n")[2].partition("\n")[2])
    try:
        refused = load(server, "version")
        assert (refused.status, "no longer configured" in refused.json["error"]) == (400, True)
        yaml.write_text("models: [")
        refused = load(server, "version")
        assert (refused.status, "headway.yaml" in refused.json["error"]) == (400, True)
    finally:
        yaml.write_text(before)
    assert server.ask("version", {"number": 3}).json == 3001


def test_an_unload_ends_a_load(server: Server) -> None:
    assert unload(server, "version").status == 200
    with held(server):
        loading = in_background(lambda: load(server, "version"))
        wait_for_state(server, "version", "LOADING")
        assert (server.ask("version", {"number": 1}).status) == 503
        assert unload(server, "version").status == 200
        assert loading.result(20).status == 400
        assert "unloaded meanwhile" in loading.result(20).json["error"]
        wait_for_state(server, "version", "UNAVAILABLE")
    assert load(server, "version").status == 200
    assert server.ask("version", {"number": 3}).json == 3001


@contextmanager
def held(server: Server) -> Iterator[None]:
    """Whoever loads the model waits."""
    server.path("hold").touch()
    try:
        yield
    finally:
        server.path("hold").unlink()


def wait_for_load(server: Server, count: int) -> None:
    """Until one more worker is in its load."""
    wait_until(lambda: len(server.lines("loads.txt")) > count, "a worker loads")


def test_a_worker_that_is_killed_while_it_loads_is_replaced(server: Server) -> None:
    assert unload(server, "version").status == 200
    with held(server):
        count = len(server.lines("loads.txt"))
        loading = in_background(lambda: load(server, "version"))
        wait_for_load(server, count)
        (pid,) = workers(server, "version")
        os.kill(pid, signal.SIGKILL)
        wait_for_load(server, count + 1)
    assert loading.result(20).status == 200
    assert server.ask("version", {"number": 3}).json == 3001


def test_a_worker_that_is_killed_while_its_model_is_unloaded_is_not(server: Server) -> None:
    inside = server.ask_later("gate", {"text": "doomed", "until": "never"})
    server.wait_for_line("entered.txt", "doomed")
    assert unload(server, "gate").status == 200
    (pid,) = workers(server, "gate")
    os.kill(pid, signal.SIGKILL)
    assert inside.result(20).status == 503
    wait_for_state(server, "gate", "UNAVAILABLE")
    assert workers(server, "gate") == []
    assert load(server, "gate").status == 200
    assert server.ask("gate", {"text": "alive"}).json == "ALIVE"


def test_a_reload_leaves_what_is_unloaded(server: Server) -> None:
    assert unload(server, "version").status == 200
    generation = server.status()["generation"]
    assert server.admin("POST", "/reload").status == 202
    wait_until(lambda: server.status()["generation"] > generation, "it is taken on")
    server.wait_for_workers("gate", 1)
    assert_unloaded(server.ask("version", {"number": 3}))
    assert workers(server, "version") == []
    assert load(server, "version").status == 200
    assert server.ask("version", {"number": 3}).json == 3001


# Several gateways


@contextmanager
def connections(server: Server, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    """A connection to each of the gateways; the prefix of request ids tells them apart."""
    found: dict[str, http.client.HTTPConnection] = {}
    with ExitStack() as opened:

        def look() -> bool:
            connection = opened.enter_context(closing(server.connect()))
            answer = call(connection, "GET", "/health/live")
            found.setdefault(answer.headers["x-request-id"][:8], connection)
            return len(found) == count

        wait_until(look, "all gateways have answered")
        yield list(found.values())


def test_every_gateway_knows_as_soon_as_it_is_done(tmp_path: Path) -> None:
    with (
        served(tmp_path, gateways=2, workers=2) as server,
        connections(server, 2) as each,
    ):
        for version in range(2, 6):
            assert unload(server, "version").status == 200
            for connection in each:
                assert_unloaded(ask(connection, "version", {"number": 1}))
            write(tmp_path, version)
            assert load(server, "version").status == 200
            for connection in each:
                assert ask(connection, "version", {"number": 1}).json == 1000 + version
        for version in range(6, 9):  # and where nothing was unloaded before
            write(tmp_path, version)
            assert load(server, "version").status == 200
            for connection in each * 4:
                assert ask(connection, "version", {"number": 1}).json == 1000 + version


def test_a_gateway_that_is_restarted_knows_what_is_unloaded(tmp_path: Path) -> None:
    with served(tmp_path, gateways=2) as server:
        inside = server.ask_later("gate", {"text": "inside", "until": "out"})
        server.wait_for_line("entered.txt", "inside")
        assert unload(server, "version").status == 200
        assert unload(server, "gate").status == 200
        before = server.gateways()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(before) & set(server.gateways()), "they are replaced")
        wait_until(lambda: len(server.gateways()) == 2, "both are")
        with pytest.raises((OSError, http.client.HTTPException)):
            inside.result(20)
        with connections(server, 2) as each:
            for connection in each:
                assert_unloaded(ask(connection, "version", {"number": 1}))
                assert_unloaded(ask(connection, "gate", {"text": "new"}))
        server.path("out").touch()
        wait_until(lambda: workers(server, "gate") == [], "the last one has left")
        assert load(server, "version").status == 200
        with connections(server, 2) as each:
            for connection in each:
                assert ask(connection, "version", {"number": 1}).json == 1001


def test_a_gateway_that_is_killed_while_a_model_loads_holds_nothing_up(tmp_path: Path) -> None:
    with served(tmp_path, gateways=2) as server:
        assert unload(server, "version").status == 200
        with held(server):
            count = len(server.lines("loads.txt"))
            loading = in_background(lambda: load(server, "version"))
            wait_for_load(server, count)
            os.kill(server.gateways()[0], signal.SIGKILL)
        assert loading.result(20).status == 200
        wait_until(lambda: len(server.gateways()) == 2, "it is replaced")
        with connections(server, 2) as each:
            for connection in each:
                assert ask(connection, "version", {"number": 1}).json == 1001


# Without an end


def has(answers: list[tuple[int, Answer]], count: int) -> bool:
    return len(answers) >= count


@pytest.mark.timeout(120)
def test_no_answer_is_lost_or_wrong_while_models_come_and_go(tmp_path: Path) -> None:
    """Loads, unloads and reloads in all orders, with callers that never pause."""
    with served(tmp_path, gateways=2, workers=2) as server:
        answers: list[tuple[int, Answer]] = []
        is_over = False

        def ask_on(number: int) -> None:
            with closing(server.connect()) as connection:
                while not is_over:
                    answers.append((number, ask(connection, "version", {"number": number})))
                    number += 4

        callers = [in_background(partial(ask_on, n)) for n in range(4)]
        for round_ in range(4):
            turns: list[Any] = [
                in_background(lambda: load(server, "version")),
                in_background(lambda: unload(server, "version")),
            ]
            server.admin("POST", "/reload")
            turns.append(in_background(lambda: load(server, "version")))
            for turn in turns:
                assert turn.result(40).status in {200, 400}
            assert load(server, "version").status == 200
            wanted = len(answers) + 20
            wait_until(partial(has, answers, wanted), f"round {round_} is served")
        is_over = True
        for caller in callers:
            caller.result(20)
        refused = [json.loads(a.body)["code"] for _, a in answers if a.status != 200]
        assert set(refused) <= {"unloaded", "not_ready"}
        assert all(a.json == n * 1000 + 1 for n, a in answers if a.status == 200)
        server.wait_for_workers("version", 2)
        wait_until(lambda: len(workers(server, "version")) == 2, "nobody else is left")
        assert server.metric("worker_restarts_total", model="version") == 0
