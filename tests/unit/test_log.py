"""Log lines: their form, what they hide, that they stay whole and never stop the process."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.observe.log import LINE_BYTES, LineWriter, render_human, render_json

Made = logging.LogRecord


def record(message: str = "worker ready", *args: object, **extra: object) -> Made:
    made = logging.LogRecord("headway.engine", logging.INFO, "f.py", 7, message, args, None)
    made.__dict__.update(extra)
    return made


def failed_record() -> Made:
    try:
        raise ValueError("no\nsuch\x1b[31m thing")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    return made


def as_json(made: Made) -> dict[str, Any]:
    line = render_json(made, "gateway-0")
    assert line.endswith("\n")
    assert line.count("\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


def run(code: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
        **streams,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_json_line_has_the_record_and_all_that_was_given_with_it() -> None:
    made = record("took %s", "it", model="m", request_id="r-1", slots=4, tags=("a", None, 1.5))
    made.created = 0.0625
    assert as_json(made) == {
        "time": "1970-01-01T00:00:00.062Z",
        "level": "info",
        "logger": "headway.engine",
        "message": "took it",
        "process": "gateway-0",
        "pid": os.getpid(),
        "request_id": "r-1",
        "model": "m",
        "slots": 4,
        "tags": ["a", None, 1.5],
    }


def test_extra_can_not_take_the_place_of_a_field_of_ours() -> None:
    found = as_json(record(level="forged", time=0, pid=1))
    assert (found["level"], found["level_"], found["pid_"]) == ("info", "forged", 1)


def test_human_line_is_short_and_has_no_colour_where_there_is_no_terminal() -> None:
    line = render_human(record(request_id="0123456789abcdef", name_of="a b", n=3), "gateway-0")
    head, _, rest = line.partition(" info ")
    assert len(head) == len("12:34:56.789")
    expected = 'gateway-0    worker ready  request_id=01234567  name_of="a b"  n=3\n'
    assert rest.strip(" ") == expected


@pytest.mark.parametrize("render", [render_json, render_human])
def test_trace_is_written_and_no_line_of_it_looks_like_a_record(
    render: Callable[[Made, str], str],
) -> None:
    text = render(failed_record(), "gateway-0")
    assert "ValueError" in text
    assert "\x1b" not in text
    assert all(line.startswith("    | ") for line in text.splitlines()[1:])


@pytest.mark.parametrize(
    "bad", ["\r", "\n", "\x1b[2J", "\x00", "\x7f", "\x9b31m", "\u2028", "\u202e"]
)
@pytest.mark.parametrize("render", [render_json, render_human])
def test_character_that_could_forge_a_line_is_escaped(
    render: Callable[[Made, str], str], bad: str
) -> None:
    made = record(f"a{bad}b", **{f"k{bad}": f"v{bad}", "nested": {f"n{bad}": [bad]}})
    line = render(made, f"p{bad}")
    assert bad[0] not in line.removesuffix("\n")
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["Authorization", "x-api-key", "api_key", "Cookie", "db_password", "access_token"]
)
def test_value_under_the_name_of_a_secret_is_masked(name: str) -> None:
    for made in (record(**{name: "hunter2"}), record(headers={name: ["hunter2"]})):
        assert "hunter2" not in render_json(made, "p")
        assert "hunter2" not in render_human(made, "p")


def test_key_in_a_message_is_masked_and_counts_of_tokens_are_not() -> None:
    found = as_json(record("sent Authorization: Bearer abcdef123456", max_tokens=5))
    assert "abcdef" not in found["message"]
    assert found["max_tokens"] == 5


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50)
@given(message=st.text(), extra=st.dictionaries(st.text(), VALUES))
def test_any_record_becomes_one_line_within_the_bound(message: str, extra: dict[str, Any]) -> None:
    made = record("%s", message)
    made.__dict__.update({k: v for k, v in extra.items() if k not in made.__dict__})
    assert as_json(made)["level"] == "info"
    assert len(render_human(made, "p").splitlines()) == 1


@pytest.mark.parametrize("character", ["x", "\U0001f600", "\ud800", "\n"], ids=ascii)
def test_long_record_is_cut_with_a_mark_and_stays_json(character: str) -> None:
    text = character * 10**4
    extra = {f"{i}{text}": [{text: text}] * 100 for i in range(100)}
    made = record(text, **extra)
    made.exc_info = (ValueError, ValueError(text), None)
    line = render_json(made, text)
    assert len(line) <= LINE_BYTES
    assert json.loads(line)["message"].endswith("[cut]")


def test_end_of_a_long_trace_is_what_is_kept() -> None:
    made = record()
    made.exc_info = (ValueError, ValueError("x" * 10**4 + "the end"), None)
    assert as_json(made)["exception"].endswith("the end")


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 10**5000, object(), b"\xff"],
    ids=["nan", "inf", "huge", "object", "bytes"],
)
def test_value_that_json_can_not_hold_is_said_in_words(value: object) -> None:
    assert isinstance(as_json(record(value=value))["value"], str)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def written(*records: Made) -> list[str]:
    reader, writer = os.pipe()
    lines = LineWriter(writer, "p", render_json)
    os.close(writer)
    for made in records:
        lines.handle(made)
    lines.close()
    with open(reader, encoding="utf-8") as file:
        return file.read().splitlines()


@pytest.mark.parametrize("bad", [record("%s %s", 1), record("%s", Hostile()), record(x=Hostile())])
def test_record_that_can_not_be_written_says_where_it_was_made(bad: Made) -> None:
    (line,) = written(bad)
    assert "f.py:7" in json.loads(line)["message"]


def test_reader_that_stopped_stops_nobody_and_what_was_lost_is_said() -> None:
    reader, writer = os.pipe()
    lines = LineWriter(writer, "p", render_json)
    started_s = time.monotonic()
    for _ in range(300):
        lines.handle(record("x" * 1000))
    assert time.monotonic() - started_s < 5

    before = os.read(reader, 2**20).splitlines()
    lines.handle(record("after"))
    lost, after = (json.loads(line)["message"] for line in os.read(reader, 2**20).splitlines())
    assert after == "after"
    assert lost == f"{300 - len(before)} log lines were lost: nobody read them"
    lines.close()
    os.close(reader)
    os.close(writer)


def test_reader_that_is_gone_stops_nobody() -> None:
    reader, writer = os.pipe()
    lines = LineWriter(writer, "p", render_json)
    os.close(reader)
    lines.handle(record())
    lines.close()
    os.close(writer)


CHATTY = """
import logging, sys
from headway.observe.log import set_up
set_up("json", process=sys.argv[1])
for i in range(200):
    logging.info("%s", "x" * 3000)
"""


def test_lines_of_several_processes_never_mix() -> None:
    reader, writer = os.pipe()
    children = [
        subprocess.Popen([sys.executable, "-c", CHATTY, f"p-{i}"], stderr=writer) for i in range(3)
    ]
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        found = [json.loads(line)["process"] for line in file]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert sorted(found) == ["p-0"] * 200 + ["p-1"] * 200 + ["p-2"] * 200


def test_auto_is_json_on_a_pipe_and_coloured_words_on_a_terminal() -> None:
    code = "import logging; from headway.observe.log import set_up; set_up(); logging.error('hi')"
    assert json.loads(run(code).stderr)["message"] == "hi"

    terminal, line = os.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=line, timeout=30, check=True)
    assert b"\x1b[31merror" in os.read(terminal, 10**4)
    os.close(line)
    os.close(terminal)


def test_level_is_the_least_severe_that_is_written() -> None:
    code = """
import logging
from headway.observe.log import set_up
set_up("json", "warning")
logging.info("no")
logging.warning("yes")
"""
    assert [json.loads(line)["message"] for line in run(code).stderr.splitlines()] == ["yes"]


def test_prints_and_warnings_and_native_output_leave_standard_output_clean() -> None:
    code = """
import os, sys, threading, warnings
from headway.observe.log import redirect_stdout, set_up
set_up("json")
redirect_stdout()
print("a", end="")
thread = threading.Thread(target=print, args=("other",))
thread.start()
thread.join()
print("b", 1)
sys.stdout.write("c\\r\\nd\\n\\n")
warnings.warn("careful", stacklevel=1)
os.write(1, b"native\\n")
sys.stdout.buffer.write(b"raw\\n")
"""
    done = run(code)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert {"native", "raw"} <= set(lines)
    found = [json.loads(line) for line in lines if line.startswith("{")]
    prints = [line["message"] for line in found if line["logger"] == "print"]
    assert prints == ["other", "ab 1", "c", "d"]
    (warned,) = [line["message"] for line in found if line["logger"] == "py.warnings"]
    assert "careful" in warned
