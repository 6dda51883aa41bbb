"""The server: a real `headway serve` on a free port, asked over each protocol that can write a question.

One server for all models, with one worker each, in a process of its own that ends with this one. Its keys, TLS and
socket are left out, since they are no part of an answer.
"""

import http.client
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from headway import plugins
from headway.errors import BadOutput, BundleError, HeadwayError, ModelFailed, NotLoaded
from headway.forms import Ask, Subject, Way
from headway.model.call import Description
from headway.protocols import Reply, path_of, serves

_FLAGS: Final = (
    *("--host", "127.0.0.1", "--port", "0", "--unix", "", "--key-file", "", "--workers", "1"),
    *("--tls-certificate", "", "--tls-key", "", "--drain-delay-s", "0", "--grace-s", "5"),
    *("--no-required", "--no-reload"),
)
_START: Final = (
    "import sys; from headway.engine.orphan import end_with_parent; "
    "end_with_parent(int(sys.argv.pop(1))); from headway.__main__ import main; sys.exit(main())"
)
_STOP_S: Final = 15.0
_LOOK_S: Final = 0.05
_MORE_S: Final = 30.0
"""Beyond the settings' own time-outs, for what is not counted in them."""
_SHOWN_LINES: Final = 5


def ways(subjects: Sequence[Subject]) -> Generator[Way, None, None]:
    """One way for each model, protocol and way to write a question."""
    if not subjects:
        return
    with _serving(subjects) as address:
        for subject in subjects:
            server = _Server(address, subject.spec.settings.timeout_s + _MORE_S)
            server.wait_ready(subject)
            for name in plugins.in_turn("protocols"):
                codec: Any = plugins.load("protocols", name)
                if not serves(codec, subject.description):
                    continue
                for i, way in enumerate(getattr(codec, "WAYS", ())):
                    if way != "json" and subject.description.is_stream:
                        continue  # a stream is written in one way only
                    shown = f"server/{name}/{way}" if i else f"server/{name}"
                    yield Way(subject, shown, server.asking(codec, way, subject.description))


class _Server:
    """A running one."""

    def __init__(self, address: str, timeout_s: float) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port
        self._timeout_s = timeout_s

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """Send a request and read its answer whole. Raises ModelFailed: there was none."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            given = [(name.lower(), value) for name, value in answer.getheaders()]
            return Reply(answer.status, answer.read(), dict(given).get("content-type", ""), given)
        except (OSError, http.client.HTTPException) as e:
            raise ModelFailed(f"the service gave no answer: {type(e).__name__}: {e}") from e
        finally:
            connection.close()

    def wait_ready(self, subject: Subject) -> None:
        """Until a model has loaded. Raises NotLoaded."""
        end_at = time.monotonic() + subject.spec.settings.load_timeout_s + _MORE_S
        path = f"/models/{quote(subject.spec.name)}/ready"
        while (reply := self.call("GET", path)).status != 200:
            error = _error_of(reply)
            if error.get("code") != "not_ready" or time.monotonic() > end_at:
                raise NotLoaded(model=subject.spec.name, reason=error.get("error", reply.status))
            time.sleep(_LOOK_S)

    def asking(self, codec: Any, way: str, model: Description) -> Ask:
        """A function that asks a model over a protocol."""

        def ask(items: Sequence[Mapping[str, Any]]) -> list[Any]:
            asked = codec.ask(model, items, way)
            reply = self.call("POST", path_of(codec.ROUTES, asked), asked.body, **asked.headers)
            if reply.status != 200:
                raise HeadwayError(f"the service answered {reply.status}: {_words(reply)}")
            answers: list[Any] = codec.read(model, reply, len(items))
            if len(answers) != len(items):
                raise BadOutput(expected=f"{len(items)} answers", found=len(answers))
            return answers

        return ask


def _error_of(reply: Reply) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode(reply.body, type=dict[str, Any]))
    except msgspec.MsgspecError:
        return {}


def _words(reply: Reply) -> str:
    return str(_error_of(reply).get("error") or reply.body[:200].decode(errors="replace"))


@contextmanager
def _serving(subjects: Sequence[Subject]) -> Iterator[str]:
    """Serve the subjects' target until the end of the block; gives the address."""
    one = subjects[0]
    load_s = max(s.spec.settings.load_timeout_s for s in subjects) + _MORE_S
    held, lifeline = os.pipe()
    try:
        with tempfile.TemporaryFile() as log:
            process = _started(["serve", *one.flags, *_FLAGS, "--", one.target], held, log)
            try:
                yield _address(process, log, load_s)
            finally:
                _stop(process)
    finally:
        os.close(held)
        os.close(lifeline)


def _started(arguments: Sequence[str], held: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  (our own module, run by our own interpreter)
        [sys.executable, "-P", "-c", _START, str(held), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=[held],
        process_group=0,
    )


def _address(process: "subprocess.Popen[bytes]", log: IO[bytes], load_s: float) -> str:
    """Wait for the ready line. Raises BundleError: it never came."""
    assert process.stdout is not None
    is_said, _, _ = select.select([process.stdout], [], [], load_s)
    line = process.stdout.readline() if is_said else b""
    if line:
        return str(msgspec.json.decode(line)["http"])
    problem = "ended before it was ready" if is_said else f"was not ready within {load_s:g} s"
    log.seek(0)
    last = log.read().decode(errors="replace").splitlines()[-_SHOWN_LINES:]
    raise BundleError(path="headway serve", problem=f"{problem}: {' | '.join(last)}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
