"""Runs a load generator as a process of its own and reads what it saw.

Closed loops run with wrk where it is installed (one thread; it takes half the CPU that
load.py takes), open loops with load.py, which wrk cannot do without hiding the wait of requests
that it did not send.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import envs
from bench.load import Plan, Report

HERE = Path(__file__).resolve().parent


class Void(Exception):
    """A run that counts for nothing, and why."""


def closed(plan: Plan, *, with_python: bool = False) -> Report:
    """Each connection asks again when it is answered; raises Void unless all answers were 200."""
    report = python(plan) if with_python or not shutil.which("wrk") else wrk(plan)
    return _checked(report)


def open_loop(plan: Plan) -> Report:
    """A constant mean rate, latency from the intended time; raises Void as `closed` does."""
    return _checked(python(plan))


def _checked(report: Report) -> Report:
    """Raise Void for anything but answers of status 200."""
    if set(report.statuses) != {"200"} or report.lost:
        raise Void(f"statuses {report.statuses}, {report.lost} lost")
    if not report.answered:
        raise Void("no answer in the whole run")
    return report


def python(plan: Plan) -> Report:
    """Run load.py."""
    given = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
    given["requests"] = [base64.b64encode(bytes(request)).decode() for request in plan.requests]
    command = [sys.executable, "-m", "bench.load"]
    limit_s = plan.seconds + plan.patience_s + 30
    done = subprocess.run(
        command,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
        cwd=envs.ROOT,
    )
    if done.returncode:
        raise Void(done.stderr.strip().splitlines()[-1])
    return Report(**json.loads(done.stdout))


def wrk(plan: Plan) -> Report:
    """Run wrk with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(index) for index in range(len(plan.requests))]
        for file, request in zip(files, plan.requests, strict=True):
            file.write_bytes(request)
        command = [
            "wrk",
            "-t1",
            f"-c{plan.connections}",
            f"-d{max(1.0, plan.seconds):.0f}s",
            "--timeout",
            "30s",
        ]
        command += ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{plan.port}/", "--"]
        done = subprocess.run(
            [*command, *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
            timeout=plan.seconds + 60,
        )
    if done.returncode:
        raise Void(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    return _read_wrk(json.loads(done.stdout.strip().splitlines()[-1]))


def _read_wrk(seen: dict[str, float]) -> Report:
    """wrk's totals as a report; wrk knows only that a status was bad, not which."""
    bad, broken = int(seen.pop("bad_statuses")), int(seen.pop("broken"))
    answered = int(seen.pop("answered"))
    report = Report(answered=answered, sent=answered, lost=broken, **seen)  # type: ignore[arg-type]
    report.statuses = {"200": answered - bad} | ({"4xx or 5xx": bad} if bad else {})
    return report


def request_bytes(
    path: str, content_type: str, body: bytes, headers: Sequence[tuple[str, str]]
) -> bytes:
    """A whole HTTP/1.1 POST."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
