"""A reload reads the settings again: what is live changes, all else refuses the reload and says why."""

import hashlib
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from serving import Server, serving, wait_until, write_subjects

PROJECT = 'name: gate\npredictor: "subjects.py:Gate"\nworkers: {workers}\n{more}\n'

GATE = """
def gate(text: str) -> str:
    return text
"""

BAD = """
import pathlib, time
import headway as hw

class Gate(hw.Predictor):
    def load(self):
        flag = pathlib.Path({flag!r})
        flag.with_suffix(".loads").touch()
        while not flag.exists():
            time.sleep(0.01)
        raise ValueError("it is bad")

    def predict(self, text: str) -> str:
        return text
"""


def write(folder: Path, more: str = "", workers: int = 1) -> None:
    folder.joinpath("headway.yaml").write_text(PROJECT.format(more=more, workers=workers))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_subjects(tmp_path)
    write(tmp_path)
    return tmp_path


def reload(server: Server) -> int:
    """Reload, and wait until it is in place; returns the generation."""
    answer = server.admin("POST", "/reload")
    assert answer.status == 202, answer.json
    generation: int = answer.json["generation"]
    wait_until(lambda: generation_of(server) == generation, "the new generation answers")
    wait_until(
        lambda: all(w["generation"] == generation for w in server.status()["models"][0]["workers"]),
        "the old one is gone",
    )
    return generation


def generation_of(server: Server) -> int:
    ready = server.call("GET", "/health/ready")
    assert ready.status == 200, "it stays ready"
    generation: int = ready.json["generations"]["gate"]
    return generation


def test_live_settings_change_with_a_reload(folder: Path) -> None:
    with serving(folder) as server:
        assert generation_of(server) == 0
        assert server.ask("gate", {"text": "x" * 2000}).status == 200

        write(folder, "timeout_s: 0.4\nserver: {max_body_bytes: 1000, log_level: error}", workers=2)
        assert reload(server) == 1
        assert server.ask("gate", {"text": "x" * 2000}).code == "too_large"
        assert server.ask("gate", {"text": "late", "until": "go"}).code == "deadline"
        server.path("go").touch()
        server.wait_for_workers("gate", 2)

        write(folder)
        assert reload(server) == 2
        assert server.ask("gate", {"text": "x" * 2000}).status == 200
        server.wait_for_workers("gate", 1)
        assert server.records("reloading")[-1]["generation"] == 1, "the second one is no error"


def test_more_connections_get_their_descriptors_with_a_reload(folder: Path) -> None:
    launcher = folder / "few"
    launcher.write_text(f'#!/bin/sh\nulimit -S -n 128\nexec {sys.executable} "$@"\n')
    launcher.chmod(0o755)
    write(folder, "server: {max_connections: 100}")
    with serving(folder, by=str(launcher)) as server:
        (gateway,) = server.gateways()
        before, _ = resource.prlimit(gateway, resource.RLIMIT_NOFILE)
        write(folder, "server: {max_connections: 300}")
        reload(server)
        after, _ = resource.prlimit(gateway, resource.RLIMIT_NOFILE)
        assert after == before + 200


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("max_batch: 0", "`max_batch` in headway.yaml, line 4"),
        ("max_bach: 1", "the nearest is `max_batch`"),
        ("server: {unix: a.sock}", "`unix`: it can't change from '' to "),
        ("server: {gateways: 2}", "`gateways`: it can't change from 1 to 2"),
        ("server: {tls_certificate: a, tls_key: b}", "can't be read"),
        ("server: {key_file: nowhere}", "can't be read"),
        ("a: [", "headway.yaml"),
    ],
)
def test_what_can_not_be_taken_on_is_refused_in_words_and_all_stays(
    folder: Path, more: str, says: str
) -> None:
    with serving(folder) as server:
        before = server.workers("gate")
        write(folder, more)
        answer = server.admin("POST", "/reload")
        assert answer.status == 400
        assert says in answer.json["error"]
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.records("reload_refused")) == 2, "the log says so too")
        assert all(says in r["reason"] for r in server.records("reload_refused"))
        assert server.workers("gate") == before
        assert server.status()["generation"] == 0
        assert server.ask("gate", {"text": "a"}).json == "A"


def test_a_headway_yaml_that_is_gone_refuses_the_reload_and_its_keys_stay(folder: Path) -> None:
    """As for a moment under an editor that removes a file before it writes it."""
    (folder / "subjects.py").unlink()
    (folder / "gate.py").write_text(GATE)  # the folder is served without a headway.yaml as well
    (folder / "keys.txt").write_text(hashlib.sha256(b"sesame").hexdigest())
    project = "server: {key_file: keys.txt}\n"
    (folder / "headway.yaml").write_text(project)
    with serving(folder) as server:
        assert server.ask("gate", {"text": "x"}).status == 401

        (folder / "headway.yaml").unlink()
        answer = server.admin("POST", "/reload")
        assert answer.status == 400
        assert "headway.yaml: it was read before and is gone" in answer.json["error"]
        assert server.ask("gate", {"text": "x"}).status == 401

        (folder / "headway.yaml").write_text(project)
        assert reload(server) == 1


def test_the_last_that_served_starts_again_when_it_was_killed_while_a_bad_one_was_loading(
    folder: Path,
) -> None:
    (folder / "bad.py").write_text(BAD.format(flag=str(folder / "fail")))
    with serving(folder) as server:
        (first,) = server.workers("gate")
        project = PROJECT.format(workers=1, more="").replace("subjects.py:Gate", "bad.py:Gate")
        (folder / "headway.yaml").write_text(project)
        assert server.admin("POST", "/reload").status == 202
        wait_until((folder / "fail.loads").exists, "the bad one loads")

        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in server.workers("gate"), "the old one is gone")
        (folder / "fail").touch()

        server.wait_for_workers("gate", 1)
        assert server.ask("gate", {"text": "x"}).status == 200
        model = server.status()["models"][0]
        assert (model["failure"], model["source"]) == ("", "subjects.py:Gate")
        assert "it is bad" in model["refusal"]
