"""What children write to the pipe of errors reaches the supervisor, whole, whoever else writes."""

import asyncio
import logging
import os
import subprocess
import sys
import time

from headway.engine.reports import Reports

CHILD = """
import logging, sys
from headway.observe import log as logs
logs.report_errors(int(sys.argv[1]), sys.argv[2])
log = logging.getLogger("child")
for i in range(40):
    log.error("error %d", i, extra={"filling": "x" * 400})
    log.warning("no error")
"""


async def until(reports: Reports, count: int) -> None:
    end_at = time.monotonic() + 20
    while reports.errors.count < count:
        assert time.monotonic() < end_at, f"{reports.errors.count} of {count} have come"
        await asyncio.sleep(0.005)


def test_several_processes_write_whole_lines() -> None:
    async def run() -> None:
        reports = Reports(asyncio.get_running_loop())
        fd = str(reports.fd)
        children = [
            subprocess.Popen([sys.executable, "-c", CHILD, fd, name], pass_fds=[reports.fd])
            for name in ("a-0", "b-0")
        ]
        await until(reports, 80)
        assert [child.wait(20) for child in children] == [0, 0]
        told = reports.errors.after(0)
        assert len(told) == 80
        for name in ("a-0", "b-0"):
            messages = [error["message"] for error in told if error["process"] == name]
            assert messages == [f"error {i}" for i in range(40)]
        reports.close()

    asyncio.run(run())


def test_what_has_no_end_and_what_comes_in_pieces() -> None:
    async def run() -> None:
        reports = Reports(asyncio.get_running_loop())
        os.write(reports.fd, b'{"message":')
        await asyncio.sleep(0)
        os.write(reports.fd, b'"whole"}\n')
        await until(reports, 1)
        os.write(reports.fd, b"x" * 20_000)
        os.write(reports.fd, b'\n{"message":"behind"}\n')
        await until(reports, 2)
        assert [error["message"] for error in reports.errors.after(0)] == ["whole", "behind"]
        reports.close()

    asyncio.run(run())


def test_the_supervisors_own_errors_are_there_until_the_end() -> None:
    async def run() -> Reports:
        reports = Reports(asyncio.get_running_loop())
        logging.getLogger("headway.engine.party").error("worker_ended", extra={"model": "m"})
        reports.close()
        logging.getLogger("headway.engine.party").error("too late")
        return reports

    (told,) = asyncio.run(run()).errors.after(0)
    assert (told["message"], told["model"], told["process"]) == ("worker_ended", "m", "supervisor")
