"""`headway top` against a real server: in a terminal, once, and where there is nothing."""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Server, serving

PREDICTORS = """
import headway as hw


def shout(text: str) -> str:
    return text.upper()
"""
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("top")
    folder.joinpath("predictors.py").write_text(PREDICTORS)
    folder.joinpath("headway.yaml").write_text(
        "models:\n  shout: {predictor: 'predictors.py:shout', workers: 1, slots: 1}\n"
    )
    with serving(folder) as server:
        yield server


class Terminal:
    """A terminal with `headway top` in it."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]") -> None:
        self.fd = fd
        self.process = process
        self.text = ""

    def read_until(self, what: str, times: int = 1) -> None:
        end = time.monotonic() + 20
        while self.text.count(what) < times:
            left = end - time.monotonic()
            assert left > 0, f"in vain waited for {times} {what!r} in {self.text!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.read()

    def read(self) -> bool:
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # Linux says so when the last who has the terminal open has ended
            return False
        self.text += data.decode()
        return bool(data)

    def end(self) -> int:
        """Until it has ended; returns the exit code."""
        code = self.process.wait(20)
        while select.select([self.fd], [], [], 0)[0] and self.read():
            pass
        return code


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (20, 160))
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        stack.callback(os.close, theirs)
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "headway", "top", *arguments],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        )
        try:
            yield Terminal(ours, process)
        finally:
            if process.poll() is None:
                process.kill()


def top(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "headway", "top", *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def columns(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_once_prints_one_table_of_what_happened_meanwhile(server: Server) -> None:
    url, admin = str(server.info["http"]), str(server.info["admin"])
    flags = ("--once", "--interval", "2", "--admin", admin)
    with subprocess.Popen(
        [sys.executable, "-m", "headway", "top", url, *flags],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked = 0
        while process.poll() is None:
            assert server.ask("shout", {"text": "a"}).status == 200
            assert server.ask("shout", {"text": 1}).status == 400
            asked += 1
        assert process.stdout
        output = process.stdout.read()
    assert process.returncode == 0
    assert "\x1b" not in output
    head, empty, names, shout, others = output.splitlines()
    assert head.startswith("headway ")
    assert url in head
    assert not empty
    row = dict(zip(columns(names), columns(shout), strict=True))
    assert (row["MODEL"], row["WORKERS"], row["READY"]) == ("shout", "1/1", "yes")
    assert 0 < float(row["OK/S"]) < float(row["REQ/S"]) <= asked * 2
    assert row["P50"].endswith("ms")
    assert (row["RESTARTS"], row["CACHED"]) == ("0", "-")
    assert re.fullmatch(r"  caller [\d.]+/s", others)


@pytest.mark.parametrize("by", ["q", "ctrl-c", "sigterm"])
def test_a_terminal_is_drawn_again_and_given_back(server: Server, by: str) -> None:
    with terminal(str(server.info["http"]), "--interval", "0.1") as screen:
        before = termios.tcgetattr(screen.fd)
        screen.read_until("\x1b[H", times=4)
        assert screen.text.startswith(ENTER)
        assert "shout" in screen.text
        assert not termios.tcgetattr(screen.fd)[3] & termios.ECHO
        if by == "q":
            os.write(screen.fd, b"q")
        else:
            screen.process.send_signal(signal.SIGINT if by == "ctrl-c" else signal.SIGTERM)
        assert screen.end() == 0
        assert screen.text.endswith(LEAVE)
        assert termios.tcgetattr(screen.fd) == before


def test_a_server_that_goes_away_is_said_and_the_last_figures_stay(tmp_path: Path) -> None:
    tmp_path.joinpath("predictors.py").write_text(PREDICTORS)
    with (
        serving(tmp_path, "predictors.py:shout") as server,
        terminal(str(server.info["http"]), "--interval", "0.1") as screen,
    ):
        screen.read_until("\x1b[H", times=2)
        assert server.stop() == 0
        screen.read_until("nothing listens there (these are its last figures)")
        os.write(screen.fd, b"q")
        assert screen.end() == 0


def test_without_a_terminal_tables_follow_each_other(server: Server) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "headway", "top", str(server.info["http"]), "--interval", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(10)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert sum(line.startswith("headway ") for line in lines) >= 2
    assert "\x1b" not in "".join(lines)


def test_where_nothing_listens_it_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = top(f"http://127.0.0.1:{port}", "--once")
    assert done.returncode == 2
    assert done.stderr == f"error: http://127.0.0.1:{port}: nothing listens there.\n"


def test_a_server_of_others_is_told_from_ours(server: Server, tmp_path: Path) -> None:
    done = top(str(server.info["http"]), "--once", "--admin", str(tmp_path / "none.sock"))
    assert (done.returncode, done.stderr.count("nothing listens there")) == (2, 1)
