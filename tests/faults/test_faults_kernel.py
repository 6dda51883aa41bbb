"""The kernel ends workers for want of memory: answers, log and metrics say so (P6)."""

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import census
from serving import Server, serving, wait_until

pytestmark = pytest.mark.timeout(180)
MEMORY = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 256 << 20
EATER = """
import headway as hw

class Eater(hw.Predictor):
    idempotent = {idempotent}

    def predict(self, megabytes: int) -> int:
        return len(bytearray(megabytes << 20))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group (v1) with a limit; the test is skipped where none can be made."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    (mine,) = [g[2] for line in lines if "memory" in (g := line.split(":", 2))[1]] or [""]
    made = MEMORY / mine.lstrip("/") / f"headway-{uuid.uuid4().hex}"
    try:
        made.mkdir()
        (made / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
        with contextlib.suppress(OSError):  # where swap is not accounted for, there is none
            (made / "memory.memsw.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError as e:
        with contextlib.suppress(OSError):
            made.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {e}")
    yield made
    wait_until(lambda: not (made / "cgroup.procs").read_text(), "the group is empty")
    made.rmdir()


@contextlib.contextmanager
def confined(folder: Path, group: Path, *, idempotent: bool) -> Iterator[Server]:
    """A server that may use no more new memory than the group allows."""
    (folder / "eater.py").write_text(EATER.format(idempotent=idempotent))
    with serving(folder, "eater.py", "--workers", "1") as server:
        for pid in census.alive(server.process.pid):
            (group / "cgroup.procs").write_text(str(pid))
        before = server.workers("eater")[0]
        os.kill(before, signal.SIGKILL)
        server.wait_for_workers("eater", 1, without=before)
        yield server


def test_P6_a_request_that_takes_all_memory_is_told_so_and_the_others_are_answered(
    tmp_path: Path, group: Path
) -> None:
    with confined(tmp_path, group, idempotent=True) as server:
        assert restarts(server) == {"signal": 1.0, "memory": 0.0}, "a kill -9 is no lack of memory"
        assert server.ask("eater", {"megabytes": 10}).status == 200
        eater = server.ask("eater", {"megabytes": 2 * (LIMIT_BYTES >> 20)})
        assert (eater.status, eater.code) == (500, "model_crashed")
        assert "out of memory" in eater.json["error"]
        assert server.ask("eater", {"megabytes": 10}).status == 200
        assert restarts(server) == {"signal": 1.0, "memory": 2.0}
        ends = [r["reason"] for r in server.records("worker_ended")]
        assert ends == ["SIGKILL", "SIGKILL (out of memory)", "SIGKILL (out of memory)"]
        assert server.metric("requests_total", model="eater", outcome="worker") == 1
        assert server.metric("requests_total", model="eater", outcome="model") == 0


def test_P6_what_may_not_be_repeated_is_told_of_the_lack_of_memory_too(
    tmp_path: Path, group: Path
) -> None:
    with confined(tmp_path, group, idempotent=False) as server:
        eater = server.ask("eater", {"megabytes": 2 * (LIMIT_BYTES >> 20)})
        assert (eater.status, eater.code) == (503, "worker_lost")
        assert "out of memory" in eater.json["error"]
        server.wait_for_workers("eater", 1)
        assert restarts(server) == {"signal": 1.0, "memory": 1.0}


def restarts(server: Server) -> dict[str, float]:
    return {
        reason: server.metric("worker_restarts_total", model="eater", reason=reason)
        for reason in ("signal", "memory")
    }
