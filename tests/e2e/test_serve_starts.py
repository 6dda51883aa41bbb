"""How a server starts: told to stop before it could, killed gateways, and the code of a start that fails."""

import http.client
import os
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from serving import START_S, Server, serving, starting, wait_until, write_subjects

from headway.engine.threads import available_cores
from headway.engine.turns import TURN_S
from headway.errors import Exit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_subjects(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_anything_has_begun_ends_with_130(folder: Path, number: int) -> None:
    """It waits for what its key file holds, long before it has children or a loop."""
    keys = folder / "keys.txt"
    os.mkfifo(keys)
    with starting(folder, "subjects.py:Gate", "--port", "0", "--key-file", str(keys)) as server:
        wait_until(lambda: is_read(keys), "the key file is opened", START_S)
        wait_until(lambda: sleeps(server.process.pid), "it waits for what is in it", START_S)
        assert server.stop(number) == Exit.INTERRUPTED
        assert "Traceback" not in server.log


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_whose_standard_streams_are_closed_serves(folder: Path, closed: str) -> None:
    """As some daemons' starters leave it. No socket takes a stream's number, and is printed into."""
    script = folder / "closed.sh"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" {closed}\n')
    script.chmod(0o700)
    arguments = ("subjects.py:Gate", "--unix", "front.sock", "--drain-delay-s", "0")
    with starting(folder, *arguments, by=str(script)) as server:
        wait_until(lambda: answers(folder / "front.sock"), "it is ready", START_S)
        assert server.stop() == Exit.OK


def answers(path: Path) -> bool:
    with closing(http.client.HTTPConnection("localhost", timeout=START_S)) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(path))
        except OSError:
            return False
        connection.request("GET", "/health/ready")
        with connection.getresponse() as answer:
            return answer.status == 200


def is_read(fifo: Path) -> bool:
    """Whether somebody reads it; what is held open ends with the test's process."""
    try:
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    return True


def sleeps(pid: int) -> bool:
    """Whether it waits in a call, which a signal ends; of one that came just before, Python hears only after it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("delay_s", [0.0, 0.15, 0.3, 0.45, 0.6, 0.9])
def test_a_stop_at_any_moment_of_the_start_leaves_nothing_behind(
    folder: Path, delay_s: float
) -> None:
    with starting(folder, "subjects.py:Gate", "--port", "0") as server:
        wait_until(lambda: heeds_signals(server), "it heeds signals", START_S)
        at = time.monotonic() + delay_s
        wait_until(lambda: time.monotonic() > at, "some time is over")
        assert server.stop() in (Exit.OK, Exit.INTERRUPTED), server.log
        assert "Traceback" not in server.log
        assert not server.path("admin.sock").exists()


def heeds_signals(server: Server) -> bool:
    """Whether the process catches SIGTERM, which is 15."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << 14)


def kill_gateway(server: Server, *, but: int = 0) -> int:
    """Kill the only gateway, once it is another one than the last that was killed."""

    def is_another() -> bool:
        return any(pid != but for pid in server.gateways())

    wait_until(is_another, "there is a gateway")
    (pid,) = server.gateways()
    os.kill(pid, signal.SIGKILL)
    return pid


def test_gateways_that_die_before_the_server_was_ready_end_it_with_1(folder: Path) -> None:
    folder.joinpath("slow.py").write_text(
        "from subjects import wait_for\nwait_for('never')\ndef f(x: int) -> int: ...\n"
    )
    with starting(folder, "slow.py", "--port", "0") as server:
        wait_until(server.path("admin.sock").exists, "it has started", START_S)
        server.info["admin"] = str(server.path("admin.sock"))
        pid = 0
        for _ in range(5):
            pid = kill_gateway(server, but=pid)
        assert server.wait() == Exit.BUG
        assert len(server.records("gateway_ended")) == 5


def test_a_gateway_that_dies_again_and_again_is_started_later_each_time(folder: Path) -> None:
    with serving(folder, "subjects.py:Gate", "--workers", "1") as server:
        pid, killed_at = 0, 0.0
        for _ in range(5):
            pid = kill_gateway(server, but=pid)
            killed_at = time.monotonic()
        wait_until(lambda: any(p != pid for p in server.gateways()), "the last one is replaced")
        assert time.monotonic() - killed_at >= 0.7, "0.1 s doubled three times, and a margin"
        wait_until(lambda: server.ask("subjects", {"text": "a"}).json == "A", "it serves again")


CROWD = """
import time
from pathlib import Path
import headway as hw

class One(hw.Predictor):
    examples = ({"number": 1},)

    def load(self) -> None:
        for note in ("begins", "ends"):
            with Path(__file__).with_name("loads.txt").open("a") as file:
                file.write(f"{note}\\n")
            time.sleep(0.2 if note == "begins" else 0.0)

    def predict(self, number: int) -> int:
        return number
"""


def test_no_more_models_load_at_a_time_than_there_are_cores(tmp_path: Path) -> None:
    (tmp_path / "crowd.py").write_text(CROWD)
    models = "".join(
        f'  m{i}: {{predictor: "crowd.py:One", workers: 1, load_timeout_s: 20}}\n'
        for i in range(4 * available_cores().count)
    )
    (tmp_path / "headway.yaml").write_text(f"models:\n{models}")
    with serving(tmp_path) as server:
        under_way, most = 0, 0
        for note in server.lines("loads.txt"):
            under_way += 1 if note == "begins" else -1
            most = max(most, under_way)
        assert under_way == 0
        assert 1 <= most <= available_cores().count


def test_a_model_that_takes_long_to_load_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    slow = CROWD.replace("time.sleep(0.2", "time.sleep(60")
    (tmp_path / "slow.py").write_text(slow)
    (tmp_path / "crowd.py").write_text(CROWD)
    models = "".join(
        f'  slow{i}: {{predictor: "slow.py:One", workers: 1, required: false}}\n'
        for i in range(available_cores().count)
    )
    quick = '  quick: {predictor: "crowd.py:One", workers: 1}\n'
    (tmp_path / "headway.yaml").write_text(f"models:\n{models}{quick}")
    with serving(tmp_path, "--grace-s", "1") as server:
        assert server.ask("quick", {"number": 7}).json == 7
        (victim,) = server.workers("quick")
        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        server.wait_for_workers("quick", 1, without=victim)
        assert time.monotonic() - killed_at < TURN_S, "who stands in for another waits for no turn"
