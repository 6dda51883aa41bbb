"""The file that feedback is kept in: what goes in comes out, it is bounded, and a hook decides what is kept."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import ConfigError
from headway.observe.feedback import Full, Opinion, Question, Said, Store, answered, open_redact

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)


def opinion(**changes: Any) -> Opinion:
    said = {"model": "m", "version": "1", "verdict": "good", "input": {"text": "a"}, "output": 0.5}
    return msgspec.json.decode(json.dumps(said | changes), type=Opinion)


@given(given=VALUES, gave=VALUES, comment=st.text(st.characters(codec="utf-8")))
def test_what_is_kept_is_what_was_said(given: Any, gave: Any, comment: str) -> None:
    with closing(Store(":memory:")) as store:
        said = opinion(input=given, output=gave, comment=comment, expected=gave)
        assert store.keep(said, 12.5) == 1
        (row,) = store.rows()
        kept = (json.loads(row.input), json.loads(row.output), json.loads(row.expected or ""))
        assert (*kept, row.comment) == (given, gave, gave, comment)
        assert (row.time_s, row.model, row.version, row.verdict) == (12.5, "m", "1", "good")


def test_opinions_are_counted_by_model_version_and_verdict(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "f.db")) as store:
        for changes in (
            {},
            {"verdict": "bad"},
            {"verdict": "bad"},
            {"version": "2"},
            {"model": "n"},
        ):
            store.keep(opinion(**changes), 0.0)
        assert store.counts() == {
            "m": {"1": {"good": 1, "bad": 2}, "2": {"good": 1}},
            "n": {"1": {"good": 1}},
        }
        assert [row.version for row in store.rows("m")] == ["1", "1", "1", "2"]
        assert store.clear("m") == 4
        assert store.counts() == {"n": {"1": {"good": 1}}}


def _fill(store: Store) -> int:
    """How many long opinions there is room for."""
    for kept in range(1000):
        try:
            store.keep(opinion(comment="x" * 3000), 0.0)
        except Full:
            return kept
    raise AssertionError("there is no bound")


def test_the_file_is_its_users_alone_and_never_larger_than_its_bound(tmp_path: Path) -> None:
    path, limit = tmp_path / "f.db", 200_000
    with closing(Store(path, limit)) as store:
        kept = _fill(store)
        assert kept > 20
        assert len(list(store.rows())) == kept
        store.clear()
        store.keep(opinion(), 0.0)
    assert path.stat().st_size <= limit
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_processes_may_keep_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    with closing(Store(path)) as one, closing(Store(path)) as other:
        one.keep(opinion(), 0.0)
        other.keep(opinion(), 0.0)
        assert one.counts() == {"m": {"1": {"good": 2}}}


@pytest.mark.parametrize("text", ["no database at all, but longer than a header of one is" * 4])
def test_another_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.db"
    path.write_text(text)
    with pytest.raises(ConfigError, match="file is not a database"):
        Store(path)
    assert path.read_text() == text
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE users (name)")
    with pytest.raises(ConfigError, match="of something else"):
        Store(tmp_path / "other.db")
    with pytest.raises(ConfigError, match="No such file or directory"):
        Store(tmp_path / "away" / "f.db")


HOOK = """
def clean(opinion):
    if opinion["comment"] == "private":
        return None
    if opinion["comment"] == "broken":
        raise RuntimeError("secret")
    opinion["input"]["text"] = "***"
    return opinion
"""


def ask(store: Store, hook: Any, **changes: Any) -> Said:
    return answered(msgspec.json.encode(Question(opinion(**changes))), store, hook)


def test_a_hook_decides_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "redact.py").write_text(HOOK)
    hook = open_redact(f"{tmp_path}/redact.py:clean")
    with closing(Store(":memory:")) as store:
        assert ask(store, hook).id == 1
        assert ask(store, hook, comment="private") == Said()
        failed = ask(store, hook, comment="broken")
        assert "nothing was kept" in failed.problem
        assert "secret" not in failed.problem
        assert [json.loads(row.input) for row in store.rows()] == [{"text": "***"}]


@pytest.mark.parametrize(
    "place", ["redact.py", "away.py:clean", "redact.py:other", ":", "broken.py:clean"]
)
def test_a_hook_that_is_none_is_refused_in_words(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("redact.py").write_text(HOOK)
    Path("broken.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match="`feedback_redact`"):
        open_redact(place)


def test_as_a_process_it_answers_each_line_and_keeps_what_it_said_it_kept(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    command = [sys.executable, "-m", "headway.observe.feedback", str(path), "0", ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"{}\n"
        process.stdin.write(msgspec.json.encode(Question(opinion())) + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"id": 1}
        process.kill()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM feedback").fetchone() == (1,)
    refused = subprocess.run(
        [*command[:3], str(tmp_path), "0", ""],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (refused.returncode, "problem" in json.loads(refused.stdout)) == (1, True)
    assert os.listdir(tmp_path)
