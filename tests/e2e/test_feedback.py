"""Feedback over a real server: kept by any gateway, bounded, passed through the hook, and nobody else's trouble."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from serving import Answer, Server, serving, wait_until

from headway.observe.feedback import MOST_VERSIONS

PREDICTOR = "def loud(text: str) -> str:\n    return text.upper()\n"
HOOK = """
import os

def clean(opinion):
    if opinion["comment"] == "end":
        os._exit(1)
    if opinion["comment"] == "fail":
        raise KeyError("secret")
    if opinion["comment"] == "drop":
        return None
    print("a hook may print")
    opinion["input"] = "***"
    return opinion
"""


def say(server: Server, headers: Mapping[str, str] | None = None, **changes: object) -> Answer:
    said = {
        "model": "loud",
        "version": "1",
        "verdict": "bad",
        "input": {"text": "a"},
        "output": "A",
    }
    kind = {"content-type": "application/json"} if headers is None else headers
    return server.call("POST", "/feedback", json.dumps(said | changes).encode(), kind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "loud.py").write_text(PREDICTOR)
    (tmp_path / "redact.py").write_text(HOOK)
    return tmp_path


def kept(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "said.db")) as database:
        return database.execute("SELECT input, comment FROM feedback ORDER BY id").fetchall()


def clerks(server: Server) -> list[int]:
    """The processes that keep feedback."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            command = Path(f"/proc/{entry}/cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if (
            entry.isdigit()
            and b"headway.observe.feedback" in command
            and str(server.folder).encode() in command
        ):
            found.append(int(entry))
    return found


def test_nothing_is_kept_unless_the_config_says_so(folder: Path) -> None:
    with serving(folder, "loud.py") as server:
        assert server.call("GET", "/feedback").json == {"is_kept": False, "models": {}}
        refused = say(server)
        assert (refused.status, refused.code) == (404, "unknown_path")
        assert "`feedback` names no file" in refused.json["error"]


def test_several_gateways_keep_in_one_file_and_who_keeps_may_die(folder: Path) -> None:
    place = str(folder / "said.db")
    with serving(folder, "loud.py", "--feedback", place, "--gateways", "2") as server:
        assert clerks(server) == []
        for i in range(20):
            assert say(server, comment=str(i)).status == 201
        for pid in clerks(server):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not clerks(server), "they are gone")
        statuses = [say(server, comment=f"after {i}").status for i in range(20)]
        assert set(statuses) <= {201, 503}
        assert statuses.count(503) <= 2  # each gateway learns of it by one
        counts = server.call("GET", "/feedback").json
        assert counts["models"]["loud"]["1"]["bad"] == 20 + statuses.count(201) == len(kept(folder))
        assert server.ask("loud", {"text": "a"}).json == "A"
    assert clerks(server) == []


def test_a_full_file_refuses_and_keeps_what_it_has(folder: Path) -> None:
    place = str(folder / "said.db")
    with serving(folder, "loud.py", "--feedback", place, "--feedback-bytes", "100000") as server:
        answers = [say(server, comment="x" * 4000) for _ in range(40)]
        full = next(a for a in answers if a.status != 201)
        assert (full.status, full.code) == (507, "not_kept")
        assert len(kept(folder)) == [a.status for a in answers].count(201) > 5


def test_a_hook_decides_and_its_trouble_is_its_own(folder: Path) -> None:
    flags = (
        "--feedback",
        str(folder / "said.db"),
        "--feedback-redact",
        str(folder / "redact.py:clean"),
    )
    with serving(folder, "loud.py", *flags) as server:
        assert say(server, comment="fine").status == 201
        assert say(server, comment="drop").json == {"kept": False}
        failed = say(server, comment="fail")
        assert failed.status == 500
        assert "secret" not in failed.body.decode()
        assert say(server, comment="end").status == 503
        assert say(server, comment="again").status == 201
        assert kept(folder) == [('"***"', "fine"), ('"***"', "again")]


def test_what_was_asked_is_kept_however_it_was_written(folder: Path) -> None:
    json_type = {"content-type": "application/json"}
    written = b'{"model":"loud","version":"1","verdict":"bad","input":{\r\n "text":\n"a"\r},"output":"%s"}'
    with serving(folder, "loud.py", "--feedback", str(folder / "said.db")) as server:
        assert server.call("POST", "/feedback", written % b"A", json_type).status == 201
        assert server.call("POST", "/feedback", written % b"\xff", json_type).status == 400
        assert say(server).json == {"id": 2}  # by the same process, which neither has ended
    ((text, _), _) = kept(folder)
    assert json.loads(text) == {"text": "a"}
    assert not {"\r", "\n"} & set(text)


def test_a_flood_of_versions_leaves_the_counts_short(folder: Path) -> None:
    with serving(folder, "loud.py", "--feedback", str(folder / "said.db")) as server:
        for i in range(MOST_VERSIONS + 5):
            assert say(server, version=f"{i}").status == 201
        assert say(server, version="0", verdict="good").status == 201
        counted = server.call("GET", "/feedback").json["models"]["loud"]
        newest = ["0", *(str(i) for i in range(MOST_VERSIONS + 4, 5, -1))]
        assert list(counted) == newest
        assert counted["0"] == {"good": 1, "bad": 1}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--feedback", "nowhere/said.db"), "nowhere/said.db: [Errno 2] No such file"),
        (("--feedback", "redact.py"), "redact.py: file is not a database"),
        (("--feedback", "said.db", "--feedback-redact", "no.py:clean"), "found 'no.py:clean'"),
    ],
    ids=["no folder", "no database", "no hook"],
)
def test_a_place_that_can_keep_nothing_is_told_at_the_start(
    folder: Path, flags: tuple[str, ...], words: str
) -> None:
    command = [sys.executable, "-m", "headway", "serve", "loud.py", "--port", "0", *flags]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert words in ran.stderr


def test_a_file_that_is_damaged_later_is_told_in_the_log_alone(folder: Path) -> None:
    place = folder / "said.db"
    with serving(folder, "loud.py", "--feedback", str(place)) as server:
        place.write_text("something else, and long enough to have been a database's head" * 9)
        for refused in (say(server), server.call("GET", "/feedback")):
            assert (refused.status, refused.code) == (500, "not_kept")
            assert str(folder) not in refused.body.decode()
        wait_until(lambda: "file is not a database" in server.log, "the log says why")


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({"model": "other"}, None, 404),
        ({"verdict": "so so"}, None, 400),
        ({"more": 1}, None, 400),
        ({"comment": "x" * 4001}, None, 400),
        ({"version": "1" * 201}, None, 400),
        ({"request_id": "1" * 201}, None, 400),
        ({}, {"content-type": "text/plain"}, 415),
        ({}, {}, 415),
    ],
    ids=[
        "model",
        "verdict",
        "unknown field",
        *("long comment", "long version", "long id"),
        "a form",
        "no type",
    ],
)
def test_what_is_no_opinion_is_refused_in_words(
    folder: Path, changes: dict[str, object], headers: Mapping[str, str] | None, status: int
) -> None:
    with serving(folder, "loud.py", "--feedback", str(folder / "said.db")) as server:
        assert say(server, headers, **changes).status == status
        assert server.call("DELETE", "/feedback").status == 405
        assert say(server).status == 201
