"""New files take the place of old ones while requests go on; broken ones do not."""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from serving import Answer, Server, ask, serving, wait_until

TEXT = """
import headway as hw

class Version(hw.Predictor):
    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        return [n * 1000 + {version} for n in number]
"""


def write(folder: Path, version: int) -> None:
    """Write the predictor in one step, as a good editor does."""
    new = folder / ".version.new"
    new.write_text(TEXT.format(version=version))
    new.replace(folder / "version.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is served; the server's own files are beside it."""
    served = tmp_path / "served"
    served.mkdir()
    write(served, 1)
    return served


@contextmanager
def asking(server: Server) -> Iterator[list[tuple[int, Answer]]]:
    """Ask without a pause from four threads; what came back is filled in."""
    answers: list[tuple[int, Answer]] = []
    is_over = False

    def ask_on(number: int) -> None:
        connection = server.connect()
        while not is_over:
            answers.append((number, ask(connection, "version", {"number": number})))
            number += 4
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask_on, start) for start in range(4)]
        try:
            yield answers
        finally:
            is_over = True
            for future in running:
                future.result(20)


def by_file(server: Server) -> None:
    """The file has changed; `--reload` watches it."""


def by_signal(server: Server) -> None:
    server.send_signal(signal.SIGHUP)


def by_admin(server: Server) -> None:
    answer = server.admin("POST", "/reload")
    is_broken = "no Python" in server.path("served/version.py").read_text()
    assert answer.status == (400 if is_broken else 202)


@pytest.mark.parametrize("tell", [by_file, by_signal, by_admin])
def test_a_reload_under_load_fails_nobody_and_a_broken_one_changes_nothing(
    folder: Path, tell: Callable[[Server], None]
) -> None:
    flags = ["served/version.py", "--workers", "2", *(["--reload"] if tell is by_file else [])]
    with serving(folder.parent, *flags) as server:
        with asking(server) as answers:
            wait_until(lambda: len(answers) > 50, "the first version answers")
            before = server.workers("version")
            write(folder, 2)
            tell(server)
            wait_until(lambda: answers[-1][1].json % 1000 == 2, "the new version answers")
            wait_until(lambda: not set(before) & set(all_workers(server)), "the old ones are gone")
            folder.joinpath("version.py").write_text("this is no Python")
            tell(server)
            wait_until(lambda: "reload_refused" in server.log, "the broken file is refused")
            count = len(answers)
            wait_until(lambda: len(answers) > count + 50, "the version before still answers")
        assert [a.body for _, a in answers if a.status != 200] == []
        assert {a.json - 1000 * n for n, a in answers} == {1, 2}
        last = [a.json - 1000 * n for n, a in answers[count:]]
        assert set(last) == {2}
        assert "this is no Python" not in server.ask("version", {"number": "x"}).body.decode()

        write(folder, 3)
        tell(server)
        wait_until(
            lambda: server.ask("version", {"number": 0}).json == 3, "the mended file answers"
        )
        assert server.metric("worker_restarts_total", model="version") == 0


def all_workers(server: Server) -> list[int]:
    return [w["pid"] for m in server.status()["models"] for w in m["workers"]]


def test_reloads_in_a_row_end_with_the_last_one(folder: Path) -> None:
    with serving(folder.parent, "served/version.py", "--workers", "1") as server:
        with asking(server) as answers:
            for version in range(2, 7):
                write(folder, version)
                by_admin(server)
            wait_until(lambda: answers and answers[-1][1].json % 1000 == 6, "the last one answers")
        assert [a.body for _, a in answers if a.status != 200] == []
        wait_until(lambda: len(all_workers(server)) == 1, "one worker is left")


UNEVEN = """
import time
from pathlib import Path
import headway as hw

HERE = Path(__file__).parent

class Version(hw.Predictor):
    def load(self) -> None:
        \"\"\"The first one is quick, the others wait.\"\"\"
        try:
            (HERE / "first").touch(exist_ok=False)
        except FileExistsError:
            with (HERE / "waiting.txt").open("a") as file:
                file.write("yes\\n")
            while not (HERE / "go").exists():
                time.sleep(0.01)

    def predict(self, number: hw.Batch[int]) -> hw.Batch[int]:
        return [n * 1000 + 1 for n in number]
"""


def test_a_reload_right_after_the_ready_line_fails_nobody(folder: Path) -> None:
    """One worker of three is ready then; those that still start are ended for the new generation's."""
    folder.joinpath("version.py").write_text(UNEVEN)
    starts = folder / "waiting.txt"
    starts.touch()
    with serving(folder.parent, "served/version.py", "--workers", "3") as server:
        by_signal(server)
        with asking(server) as answers:
            wait_until(lambda: starts.read_text().count("yes") >= 3, "the new ones load")
            wait_until(lambda: len(answers) > 50, "the first one of the old ones answers")
            (folder / "go").touch()
            wait_until(lambda: len(server.workers("version")) == 3, "all are ready")
            wait_until(lambda: len(all_workers(server)) == 3, "the old one is gone")
            count = len(answers)
            wait_until(lambda: len(answers) > count + 50, "the new ones answer")
        assert [a.body for _, a in answers if a.status != 200] == []
        assert {w["generation"] for w in server.status()["models"][0]["workers"]} == {1}
        assert server.metric("worker_restarts_total", model="version") == 0


def test_a_reading_that_hangs_holds_up_no_stop(tmp_path: Path) -> None:
    """As on a file system that no longer answers; here nobody writes into the pipe that it reads."""
    write(tmp_path, 1)
    keys = tmp_path / "keys"
    keys.write_text(hashlib.sha256(b"a key").hexdigest())
    with serving(tmp_path, "version.py", "--workers", "1", "--key-file", str(keys)) as server:
        keys.unlink()
        os.mkfifo(keys)
        server.send_signal(signal.SIGHUP)
        ends: list[int] = []

        def is_read() -> bool:
            with suppress(OSError):  # ENXIO: nobody has opened it to read
                ends.append(os.open(keys, os.O_WRONLY | os.O_NONBLOCK))
            return bool(ends)

        wait_until(is_read, "the file is being read")
        try:
            assert server.call("GET", "/health/live").status == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(8) == 0
        finally:
            os.close(ends[0])
