"""`headway check` as a user meets it: real projects, real processes, a real server."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from serving import wait_until

from headway import plugins
from headway.errors import Exit

GOOD = '''
from pathlib import Path
import headway as hw

class Mood(hw.Predictor):
    """Tell the mood of a text."""

    examples = ({"text": "A joy."}, {"text": Path("rant.txt")})

    def predict(self, text: hw.Batch[str], scale: float = 1.0) -> hw.Batch[dict[str, float]]:
        return [{"positive": scale / len(t), "negative": 0.3} for t in text]
'''
NEIGHBOURS = '''
import headway as hw

class Mean(hw.Predictor):
    """Take off the mean of the batch, which nobody may."""

    examples = ({"number": 1.0}, {"number": 2.0})

    def predict(self, number: hw.Batch[float]) -> hw.Batch[float]:
        return [n - sum(number) / len(number) for n in number]
'''
RESTLESS = '''
import headway as hw

class Count(hw.Predictor):
    """Answer otherwise each time."""

    examples = ({"number": 1}, {"number": 2})
    calls = 0
    DETERMINISTIC

    def predict(self, number: int) -> int:
        self.calls += 1
        return number + self.calls
'''
FAILING = '''
import headway as hw

class Picky(hw.Predictor):
    """Fail at two."""

    examples = ({"number": 1}, {"number": 2})

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        if 2 in number:
            raise RuntimeError("two is too much")
        return number
'''


def forms() -> list[str]:
    """Every form that answers of any model are compared in: a protocol once for each way to ask in it."""
    found = ["python", "engine"]
    for name in plugins.in_turn("protocols"):
        codec = plugins.load("protocols", name)
        for i, way in enumerate(() if hasattr(codec, "serves") else getattr(codec, "WAYS", ())):
            found.append(f"server/{name}/{way}" if i else f"server/{name}")
    return found


ONE_ITEM = ("/cog", "/torchserve")
"""Protocols whose requests hold one item, so that no sample can be asked among others."""


def check(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headway", "check", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def found(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The cases that something is wrong with, and the warnings of all."""
    done = check(folder, "--json", *arguments)
    cases: list[dict[str, Any]] = json.loads(done.stdout)["cases"]
    return cases


def problems(folder: Path, *arguments: str) -> dict[str, list[str]]:
    return {
        f"{c['form']}: {c['name']}": c["problems"]
        for c in found(folder, *arguments)
        if c["problems"]
    }


def warnings(folder: Path, *arguments: str) -> str:
    return "\n".join(w for c in found(folder, *arguments) for w in c["warnings"])


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def mood(tmp_path: Path) -> Path:
    return write(tmp_path, {"mood.py": GOOD, "rant.txt": "I want my money back."})


@pytest.fixture
def accepted(mood: Path) -> Path:
    done = check(mood, "--accept")
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    return mood


def test_a_good_project_agrees_in_every_form_and_its_answers_can_be_accepted(mood: Path) -> None:
    done = check(mood)
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "nothing is accepted yet" in done.stdout
    assert not (mood / "golden.jsonl").exists()
    done = check(mood, "--accept", "--junit", "check.xml")
    assert "golden.jsonl: 2 samples, 2 new" in done.stdout
    lines = (mood / "golden.jsonl").read_text().splitlines()
    assert [json.loads(line).get("inputs") for line in lines] == [None, {"text": "A joy."}, {}]
    assert json.loads(lines[2])["files"]["text"]["path"] == "rant.txt"
    before = (mood / "golden.jsonl").read_bytes()
    assert "golden.jsonl: as it was" in check(mood, "--accept").stdout
    assert (mood / "golden.jsonl").read_bytes() == before
    names = {case.attrib["classname"] for case in ET.parse(mood / "check.xml").iter("testcase")}
    assert {"server/native", "server/v2", "server/v2/binary"} < {*forms()}
    assert names >= {f"mood.{form}" for form in forms()}


def test_a_form_that_can_not_say_what_a_model_takes_is_not_called_good(tmp_path: Path) -> None:
    text = """
from collections.abc import Iterator
import headway as hw

class Words(hw.Predictor):
    examples = ({"text": "a b"}, {"text": "c"})

    def predict(self, text: str) -> Iterator[str]:
        yield from text.split()
"""
    done = check(write(tmp_path, {"words.py": text}), "words.py", "--junit", "no/check.xml")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "`--junit`: there is no folder 'no'" in done.stderr
    lines = check(tmp_path, "words.py").stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if "server/torchserve" in line)
    assert lines[at].split() == ["-", "server/torchserve", "not", "asked"]
    assert lines[at + 1].strip().startswith("model: expected one that answers no texts")
    assert len({line.index("alone") for line in lines if " ok " in line and "alone" in line}) == 1


def test_what_was_accepted_is_held_and_the_largest_difference_is_told(accepted: Path) -> None:
    write(accepted, {"mood.py": GOOD.replace("0.3}", "0.3 + len(t) / 1000}")})
    done = check(accepted, "--junit", "check.xml")
    assert done.returncode == Exit.MISSED
    assert "sample 2: negative: expected 0.3, found 0.321 (2.1e-02 > 1e-05)" in done.stdout
    failures = list(ET.parse(accepted / "check.xml").iter("failure"))
    assert len(failures) == 1, "told once, and not again for every form that agrees with Python"
    assert not problems(accepted, "--only", "python", "--tolerance", "0.1")
    assert not problems(accepted, "--only", "python", "--tolerance", "float=0.1")
    done = check(accepted, "--accept")
    assert done.returncode == Exit.OK
    assert "accepted: sample 2: negative: expected 0.3, found 0.321" in done.stdout
    assert not problems(accepted, "--only", "python")


def test_a_tolerance_stands_in_headway_yaml_too(accepted: Path) -> None:
    write(accepted, {"mood.py": GOOD.replace("0.3}", "0.31}")})
    assert problems(accepted, "--only", "engine")
    write(accepted, {"headway.yaml": "predictor: mood.py:Mood\ntolerance: 0.05\n"})
    assert not problems(accepted, "--only", "engine")


def test_a_file_that_has_changed_is_no_longer_the_accepted_one(accepted: Path) -> None:
    write(accepted, {"rant.txt": "I want it all back."})
    (told,) = problems(accepted, "--only", "python").values()
    assert told == [
        "sample 2: rant.txt: is not the file that was accepted: its SHA-256 is another one."
    ]


def test_examples_that_are_gone_leave_with_the_next_acceptance_and_other_samples_stay(
    accepted: Path,
) -> None:
    write(accepted, {"more.jsonl": '{"text": "mine", "scale": 2}\n\n'})
    done = check(accepted, "--accept", "--samples", "more.jsonl")
    assert "3 samples, 1 new" in done.stdout
    write(accepted, {"mood.py": GOOD.replace('{"text": Path("rant.txt")}', "")})
    done = check(accepted, "--accept")
    assert "2 samples, 1 gone" in done.stdout, done.stdout
    text = (accepted / "golden.jsonl").read_text()
    assert "rant.txt" not in text
    assert "mine" in text


def test_rows_that_depend_on_their_batch_mates_are_found(tmp_path: Path) -> None:
    write(tmp_path, {"mean.py": NEIGHBOURS})
    told = problems(tmp_path)
    alone = [name for name in told if name.endswith("alone")]
    assert not alone
    several = [form for form in forms() if not form.endswith(ONE_ITEM)]
    assert set(told) == {f"{form}: among others" for form in several}
    assert told["python: among others"][0] == (
        "sample 1 among 1 others is answered otherwise than alone: "
        "expected 0, found -0.5 (5.0e-01 > 1e-05)"
    )
    done = check(tmp_path, "--accept", "--only", "python")
    assert done.returncode == Exit.MISSED
    assert "nothing was accepted" in done.stdout
    assert not (tmp_path / "golden.jsonl").exists()


def test_answers_that_change_over_time_are_found_unless_it_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"count.py": RESTLESS.replace("DETERMINISTIC", "")})
    told = problems(tmp_path, "--only", "engine")
    assert "asked twice, has two answers" in told["engine: twice"][0]
    write(tmp_path, {"count.py": RESTLESS.replace("DETERMINISTIC", "deterministic = False")})
    assert not problems(tmp_path, "--only", "engine")


def test_a_schema_that_has_drifted_tells_which_clients_break(accepted: Path) -> None:
    write(accepted, {"mood.py": GOOD.replace("scale: float = 1.0", "scale: float")})
    (told,) = (c for c in found(accepted, "--only", "python") if c["form"] == "schema")
    assert told["problems"] == [
        "input.scale: is now required: clients that leave it out are refused"
    ]


def test_a_schema_that_is_wider_breaks_nobody_and_wants_to_be_accepted(accepted: Path) -> None:
    wider = GOOD.replace("scale: float = 1.0", "scale: float = 1.0, unit: str = 'm'")
    write(accepted, {"mood.py": wider})
    (told,) = (c for c in found(accepted, "--only", "python") if c["form"] == "schema")
    assert told["problems"] == []
    assert told["notes"] == ["input.unit: is new, and may be left out"]
    assert "no client breaks" in told["warnings"][0]
    check(accepted, "--accept")
    (told,) = (c for c in found(accepted, "--only", "python") if c["form"] == "schema")
    assert (told["notes"], told["warnings"]) == ([], [])


@pytest.mark.parametrize(
    ("line", "text", "told"),
    [
        (1, "", "golden.jsonl, line 1: is empty"),
        (1, '{"headway_golden":9}', "golden.jsonl, line 1: has format 9"),
        (2, "<<<<<<< HEAD", "golden.jsonl, line 2: is the mark of a merge conflict"),
        (3, '{"inputs":{', "golden.jsonl, line 3: can't be read"),
    ],
)
def test_a_corrupt_file_is_told_by_its_line_and_stays_as_it_is(
    accepted: Path, line: int, text: str, told: str
) -> None:
    path = accepted / "golden.jsonl"
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    before = path.read_bytes()
    for arguments in ((), ("--accept",)):
        assert told in str(problems(accepted, "--only", "python", *arguments))
    assert path.read_bytes() == before


def test_the_samples_of_another_predictor_are_not_taken_for_ones_own(accepted: Path) -> None:
    write(accepted, {"mean.py": NEIGHBOURS})
    (told,) = problems(accepted, "mean.py", "--only", "python").values()
    assert "golden.jsonl: holds the samples of 'mood.py:Mood', this is 'mean.py:Mean'" in told[0]


def test_a_predictor_that_fails_is_told_with_its_error_and_line(tmp_path: Path) -> None:
    write(tmp_path, {"picky.py": FAILING})
    told = problems(tmp_path)
    line = FAILING.splitlines().index('            raise RuntimeError("two is too much")') + 1
    assert told["python: alone"] == [
        f"sample 2: predict raised RuntimeError: two is too much (picky.py, line {line})"
    ]
    assert told["engine: alone"] == ["sample 2: predict raised RuntimeError: two is too much"]
    assert told["server/native: alone"][0].startswith("sample 2: the service answered 500: ")


def test_all_that_is_wrong_with_a_signature_is_told_with_file_and_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "bad.py": "import headway as hw\n\nclass Bad(hw.Predictor):\n    def predict(\n        self,\n"
            "        one: object,\n        two,\n        *three: int,\n    ) -> None: ...\n"
        },
    )
    done = check(tmp_path, "bad.py")
    assert done.returncode == Exit.MODEL
    lines = [line.split("load: ")[1] for line in done.stdout.splitlines() if "load: " in line]
    assert [line.partition(": ")[0] for line in lines] == [
        f"bad.py, line {n}" for n in (6, 7, 8, 9)
    ]
    assert "no annotation" in lines[1]


def test_a_model_that_can_not_be_loaded_does_not_stand_in_the_way_of_the_others(
    mood: Path,
) -> None:
    broken = (
        "import headway as hw\nclass No(hw.Predictor):\n    def load(self): raise OSError('gone')\n"
    )
    broken += "    def predict(self, x: int) -> int: ...\n"
    yaml = "models:\n  good: {predictor: mood.py:Mood}\n  bad: {predictor: no.py:No}\n"
    write(mood, {"no.py": broken, "headway.yaml": yaml})
    done = check(mood)
    assert done.returncode == Exit.MODEL, done.stdout + done.stderr
    assert "load() of No raised OSError: gone" in done.stdout
    assert "1 of 2 models failed" in done.stdout
    done = check(mood, "--accept", "--model", "good")
    assert done.returncode == Exit.OK
    assert (mood / "good.golden.jsonl").exists()


def test_what_a_check_can_not_show_and_what_is_slow_or_large_is_warned_of(tmp_path: Path) -> None:
    text = (
        "import time\nimport headway as hw\nprint('hello')\nclass Large(hw.Predictor):\n"
        "    examples = ({'x': 1},)\n    is_warm = False\n"
        "    def predict(self, x: hw.Batch[int], scale: int = 1) -> hw.Batch[str]:\n"
        "        time.sleep(0 if self.is_warm else 0.15)\n        self.is_warm = True\n"
        "        return ['a' * 1_200_000 for _ in x]\n"
    )
    told = warnings(write(tmp_path, {"large.py": text}), "--only", "python")
    assert "it printed while it was loaded, 'hello'" in told
    assert "it has no docstring" in told
    assert "no sample sets 'scale', so only its default 1 is checked" in told
    assert "one sample shows little" in told
    assert "its answer has 1.1 MiB, more than 1 MiB" in told
    assert re.search(r"the first answer took 0\.\d\d s, later ones 0\.\d+ s", told)


def test_without_examples_it_fails_and_says_that_nothing_was_compared(tmp_path: Path) -> None:
    write(tmp_path, {"echo.py": "def echo(text: str) -> str:\n    return text\n"})
    done = check(tmp_path, "echo.py")
    assert done.returncode == Exit.MISSED, done.stdout + done.stderr
    assert "no examples, so that nothing was asked, and nothing compared" in done.stdout
    assert "or give --samples FILE" in done.stdout
    assert "all agree" not in done.stdout
    write(tmp_path, {"more.jsonl": '{"text": "a"}\n{"text": 7}\n'})
    told = problems(tmp_path, "echo.py", "--samples", "more.jsonl")
    assert {f"{form}: alone" for form in ("python", "engine", "server/native")} <= set(told)
    assert set(told) <= {f"{form}: alone" for form in forms()}
    assert told["python: alone"][0].startswith("sample 2: $.text: expected str")


def test_without_examples_a_schema_can_be_accepted_and_is_held(tmp_path: Path) -> None:
    write(tmp_path, {"echo.py": "def echo(text: str) -> str:\n    return text\n"})
    assert check(tmp_path, "echo.py", "--accept").returncode == Exit.OK
    assert "there are no examples, so it was not asked" in warnings(tmp_path, "echo.py")
    write(tmp_path, {"echo.py": "def echo(words: str) -> str:\n    return words\n"})
    assert problems(tmp_path, "echo.py")


def test_a_bare_model_file_is_asked_with_zeros_or_with_samples(tmp_path: Path) -> None:
    import shutil

    source = Path(__file__).parents[1] / "golden" / "runtimes" / "onnx" / "model.onnx"
    shutil.copy(source, tmp_path / "model.onnx")
    done = check(tmp_path, "model.onnx")
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "it was asked with zeros, which shows little" in done.stdout
    done = check(tmp_path, "model.onnx", "--accept")
    assert "golden.jsonl: 0 samples" in done.stdout, "zeros are nobody's question"
    assert not problems(tmp_path, "model.onnx")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nope.py",), "there is no such file"),
        (("--only", "pyhton"), "there is no such form; the nearest is `python`"),
        (("--tolerance", "x"), "`--tolerance x`: expected a number ≥ 0, found 'x'"),
        (("--tolerance", "float23=1"), "there is no such type of number; the nearest is `float"),
        (("--model", "moood"), "there is no such model; the nearest is `mood`"),
        (("--samples", "none.jsonl"), "none.jsonl: can't be read"),
        (("--samples", "rant.txt"), "rant.txt, line 1: expected an item as JSON"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_asked(
    mood: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = check(mood, *arguments)
    assert done.returncode == Exit.USAGE
    assert told in done.stderr
    assert done.stdout == ""


SLOW_DISK = """
import os, sys, time
from pathlib import Path
sync = os.fsync
def fsync(fd):
    Path("syncing").touch()
    time.sleep(60)
os.fsync = fsync
sys.argv = ["headway", "check", "--accept"]
from headway.__main__ import main
main()
"""


def test_who_is_killed_while_it_accepts_leaves_the_old_file(accepted: Path) -> None:
    before = (accepted / "golden.jsonl").read_bytes()
    write(accepted, {"mood.py": GOOD.replace("0.3}", "0.4}")})
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_DISK], cwd=accepted, stdout=subprocess.DEVNULL
    ) as process:
        wait_until((accepted / "syncing").exists, "it writes")
        process.send_signal(signal.SIGKILL)
    assert (accepted / "golden.jsonl").read_bytes() == before
    assert check(accepted, "--accept").returncode == Exit.OK
    assert (accepted / "golden.jsonl").read_bytes() != before
    assert not list(accepted.glob(".golden*"))


KINDS = '''
import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

import headway as hw


class Awaited(hw.Predictor):
    """Answer a batch in a coroutine."""

    examples = ({"number": 1, "mode": "a"}, {"number": 2, "mode": "a"}, {"number": 3, "mode": "b"})

    async def predict(self, number: hw.Batch[int], mode: Literal["a", "b"]) -> hw.Batch[float]:
        await asyncio.sleep(0)
        return [n / 3 if mode == "a" else -n for n in number]


class Counted(hw.Predictor):
    """Stream from a coroutine."""

    examples = ({"upto": 3},)

    async def predict(self, upto: int, context: hw.Context) -> AsyncIterator[dict[str, int]]:
        for number in range(upto):
            yield {"number": number}


Sound = Annotated[NDArray[np.float32], hw.Tensor("float32", None)]


class Heard(hw.Predictor):
    """A stream of arrays in, and one out."""

    examples = ({"chunks": [[0.0, 1.5], [2.5]]},)

    def predict(self, chunks: Iterator[Sound], times: float = 1.0) -> Iterator[float]:
        for chunk in chunks:
            yield float(chunk.sum()) * times


class AsyncHeard(hw.Predictor):
    """The same in coroutines."""

    examples = ({"chunks": [[0.0, 1.5], [2.5]]},)

    async def predict(self, chunks: AsyncIterator[Sound]) -> AsyncIterator[float]:
        async for chunk in chunks:
            yield float(chunk.sum())


class Mirrored(hw.Predictor):
    """Turn a picture."""

    examples = ({"picture": Path("dot.png")}, {"picture": Path("line.png")})

    def predict(self, picture: hw.Batch[Image.Image]) -> hw.Batch[Image.Image]:
        return [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in picture]


@dataclass
class Passenger:
    age: Annotated[float, hw.Meta(ge=0)]
    sex: Literal["female", "male"]
    cabin: str | None = None


class Survival(hw.Predictor):
    """A table in."""

    examples = ({"age": 29.0, "sex": "female"}, {"age": 2.0, "sex": "male", "cabin": "C1"})

    def predict(self, rows: Annotated[pd.DataFrame, hw.Rows(Passenger)]) -> hw.Batch[float]:
        return (rows["age"] / 100).tolist()


Half = Annotated[NDArray[np.float16], hw.Tensor("float16", "batch", 2)]


@dataclass
class Split:
    low: Half
    label: Annotated[NDArray[np.int64], hw.Tensor("int64", "batch")]


class Halves(hw.Predictor):
    """Half precision, which V2 has in binary only, into columns; some numbers are none."""

    examples = ({"x": [0.5, 2.0]}, {"x": [-1.0, 4.0]})

    def predict(self, x: Half) -> Split:
        with np.errstate(invalid="ignore"):
            return Split(np.sqrt(x), x.argmax(axis=1))


def join(words: list[str], glue: str = " ") -> dict[str, list[str]]:
    """Answer with something deep."""
    return {"joined": [glue.join(words)], "words": words}
'''
OF_KINDS = ("Awaited", "Counted", "Heard", "AsyncHeard", "Mirrored", "Survival", "Halves")


def test_every_kind_of_input_and_answer_agrees_in_every_form(tmp_path: Path) -> None:
    from PIL import Image

    for name, box in (("dot.png", (0, 0, 1, 1)), ("line.png", (0, 0, 1, 4))):
        picture = Image.new("L", (4, 4))
        picture.paste(255, box)
        picture.save(tmp_path / name)
    models = [f"  {name.lower()}: {{predictor: kinds.py:{name}}}" for name in OF_KINDS]
    models.append("  join: {predictor: kinds.py:join}")
    write(tmp_path, {"kinds.py": KINDS, "headway.yaml": "\n".join(["models:", *models, ""])})
    done = check(tmp_path, "--accept", "--json")
    cases = json.loads(done.stdout)["cases"]
    assert not [c for c in cases if c["problems"]], done.stdout
    skipped = {
        f"{c['model']}: {c['form']}: {c['skipped']}"
        for c in cases
        if c["name"] == "alone" and c["skipped"]
    }
    assert skipped == {"halves: server/v2: input 'x': FP16 is binary only"}
    names = {path.name for path in tmp_path.glob("*.golden.jsonl")}
    assert names == {f"{name.lower()}.golden.jsonl" for name in (*OF_KINDS, "join")}
    again = json.loads(check(tmp_path, "--json").stdout)["cases"]
    assert not [c for c in again if c["problems"]], again


WAITING = '''
import os
import time
from pathlib import Path

import headway as hw

HERE = Path(__file__).parent


class Waiting(hw.Predictor):
    """Answer in the check's own process, and hang in the server's."""

    examples = ({"number": 1},)

    def load(self) -> None:
        self.is_first = not (HERE / "first").exists()
        (HERE / "first").touch()

    def predict(self, number: int) -> int:
        if not self.is_first:
            (HERE / "worker").write_text(f"{os.getpid()} {os.getppid()}")
            time.sleep(600)
        return number
'''


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_its_check(tmp_path: Path, number: int) -> None:
    write(tmp_path, {"waiting.py": WAITING})
    with subprocess.Popen(
        [sys.executable, "-m", "headway", "check"], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as process:
        note = tmp_path / "worker"
        wait_until(lambda: note.exists() and " " in note.read_text(), "the server is asked", 40)
        pids = [int(text) for text in note.read_text().split()]
        process.send_signal(number)
        code = process.wait(40)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else Exit.INTERRUPTED)
    wait_until(lambda: not any(map(is_alive, pids)), "supervisor and worker are gone")
