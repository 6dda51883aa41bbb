"""The corpus of bad inputs, played over raw sockets to one server, with an exact answer after each (P44).

Promised: no crash, no hang, no answer that blames the server, no growth, and errors that tell nothing
of the machine. tests/corpus/README.md tells how to add a case.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import corpus
import corpus_subjects
import corpus_tables
import pytest
from corpus import Case
from rawclient import ClosedError, Raw, Told, request
from serving import Server, serving

pytestmark = pytest.mark.timeout(180)

ANSWER_S = 8.0
GROWTH_BYTES = 32 * 2**20
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""What is freed goes back to the system at once: growth is then what the server holds, and not its allocator."""
FILES = [
    path
    for folder in ("http1", "json", "v2", "graphql", "names", "media", "tables")
    for path in corpus.files(folder)
]
MODELS = {
    "number": "Number",
    "text": "Text",
    "file": "File",
    "several": "Several",
    "anything": "Anything",
    "four": "Arrays",
    "half": "Halves",
    "free": "Frees",
    "loose": "Looses",
    "typed": "Typed",
    "count": "Count",
    "odd": "Odd",
    "picture": "Picture",
    "sound": "Sound",
    "attachment": "Attachment",
    "table": "tables.py:Table",
}
WAV = (
    "524946462c00000057415645"
    "666d74201000000001000100803e0000007d000002001000"
    "6461746108000000"
    "0000000100020003"
)
"""A sound of four samples at 16 kHz."""
GOOD = {
    "text": (b'{"text":"four"}', b"4"),
    "file": (b'{"file":"Zm91cg=="}', b"4"),
    "several": (b'{"flag":true,"ratio":0.5,"word":"red"}', b'"True 0.5 red "'),
    "anything": (b'{"value":{"a":1}}', b"1"),
    "four": (b'{"four":[1,2,3,4]}', b"[2.0,4.0,6.0,8.0]"),
    "half": (b'{"half":[1,2]}', b"[2.0,4.0]"),
    "free": (b'{"free":[1,2,3]}', b"6.0"),
    "loose": (b'{"loose":[[1,2],[3,4]]}', b"10.0"),
    "typed": (
        b'{"flags":[true,true],"small":[1,2],"signed":[3,4],"whole":[5,6],"large":[7,8]}',
        b"5.0",
    ),
    "count": (b'{"upto":3}', b"0\n1\n2\n"),
    "odd": (b'{"number":0}', b"null"),
    "picture": (b'{"photo":"%b"}' % corpus.to_bytes({"base64": {"png": [9, 10]}}), b"9010"),
    "sound": (b'{"sound":"%b"}' % corpus.to_bytes({"base64": {"hex": WAV}}), b"4"),
    "attachment": (b'{"file":"Zm91cg=="}', b"4"),
    "table": (b'{"age":29,"sex":"female"}', b'"29 female None"'),
}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all files; at the end it must be as it was."""
    folder = tmp_path_factory.mktemp("corpus")
    shutil.copy(corpus_subjects.__file__, folder / "subjects.py")
    shutil.copy(corpus_tables.__file__, folder / "tables.py")
    sources = {n: k if ":" in k else f"subjects.py:{k}" for n, k in MODELS.items()}
    lines = [f'  {n}: {{predictor: "{source}", workers: 1}}' for n, source in sources.items()]
    yaml = "server: {head_timeout_s: 2.0, body_timeout_s: 2.0}\nmodels:\n" + "\n".join(lines)
    folder.joinpath("headway.yaml").write_text(yaml)
    with serving(folder, **ALLOCATOR) as server:
        for model in MODELS:
            with Raw(server.port, ANSWER_S) as connection:
                probe(connection, model)
        pids = all_pids(server)
        yield server
        assert all_pids(server) == pids, f"a process has died:\n{server.log}"
        assert "Traceback" not in server.log, server.log
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", server.log), (
            "a log line holds control bytes"
        )


def all_pids(server: Server) -> list[int]:
    return [*server.gateways(), *(pid for model in MODELS for pid in server.workers(model))]


def resident(server: Server) -> dict[int, int]:
    """Bytes of memory by process."""
    page = os.sysconf("SC_PAGESIZE")
    return {
        pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        for pid in [server.process.pid, *all_pids(server)]
    }


def probe(connection: Raw, model: str) -> None:
    """Ask what has one right answer."""
    number = next(_numbers)
    body, answer = GOOD.get(
        model, (b'{"number":%d}' % number, str(corpus_subjects.mix(number)).encode())
    )
    connection.send(request("POST", f"/models/{model}/predict", body))
    told = connection.read()
    assert (told.status, told.body) == (200, answer), f"{model} is not well: {told}"


def play(server: Server, case: Case) -> str:
    """Send a case; say what is wrong with what comes back, or nothing."""
    is_head = case.send.startswith(b"HEAD ")
    with Raw(server.port, ANSWER_S) as connection:
        try:
            connection.send(case.send)
            for wanted in case.answers:
                told = connection.read(is_bodiless=is_head)
                if problem := wrong(server, case, told, wanted):
                    return problem
            is_closed = (
                False if case.closes is False else bool(case.closes and connection.is_closed())
            )
            if case.closes and not is_closed:
                return "the connection stays open"
            if case.closes is None and not case.waits:
                with contextlib.suppress(ClosedError):
                    probe(connection, case.model)
            elif case.closes is False:
                probe(connection, case.model)
        except ClosedError:
            return "the connection is closed before an answer"
        except TimeoutError:
            return f"no answer within {ANSWER_S} s"
        except AssertionError as e:
            return str(e)
    return ""


def wrong(server: Server, case: Case, told: Told, wanted: frozenset[int]) -> str:
    if told.status not in wanted:
        return f"{told.status} for {sorted(wanted)}: {told.body[:200]!r}"
    if (
        told.status >= 400
        and not case.send.startswith(b"HEAD ")
        and (flaw := flaw_of(server, told))
    ):
        return flaw
    if case.lacks and any(name.startswith(case.lacks) for name in told.headers):
        return f"has a header {case.lacks}: {dict(told.headers)}"
    text = told.body.decode("latin-1")
    if case.body is not None and text != case.body:
        return f"answered {text[:200]!r}"
    return "" if case.says in text else f"does not say {case.says!r}: {text[:200]!r}"


LEAKS = re.compile(
    r'Traceback|File "|\.py\b|site-packages|0x[0-9a-f]{6}|memfd|object at|\bpid\b|Errno'
)


FORMS = (
    ("application/json", ("error",)),
    ("application/json", ("code", "error", "request_id")),
    ("application/json", ("code", "message", "type")),
    ("application/json", ("error_code", "message")),
    ("application/json", ("detail",)),
    ("application/graphql-response+json", ("errors",)),
)
"""Of each dialect's errors: its content type and its members."""


def flaw_of(server: Server, told: Told) -> str:
    """An error is in its dialect's form, and tells nothing of the machine."""
    text = told.body.decode()
    error = json.loads(text)
    form = (told.headers.get("content-type"), tuple(sorted(error)))
    if form not in FORMS or (form[1] == ("errors",) and len(error["errors"]) != 1):
        return f"an error of another form: {text[:200]}"
    said = next(error[name] for name in ("error", "message", "detail", "errors") if name in error)
    said = said[0] if isinstance(said, list) else said
    said = said if isinstance(said, str) else said["message"]
    inside = [str(server.folder), sys.prefix, str(server.process.pid)]
    if LEAKS.search(said) or any(place in said for place in inside):
        return f"an error that tells too much: {text[:200]}"
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_case_gets_its_answer_and_leaves_the_server_well(server: Server, path: Path) -> None:
    cases = list(corpus.cases(path))
    assert len({case.name for case in cases}) == len(cases), "two cases have one name"
    before = resident(server)
    failures = []
    with ThreadPoolExecutor(16) as pool, Raw(server.port, ANSWER_S) as neighbour:
        slow = [case for case in cases if case.waits]
        waiting = [pool.submit(play, server, case) for case in slow]
        for case in cases:
            problem = "" if case.waits else play(server, case)
            probe(neighbour, case.model)
            failures += [f"{case.name}: {problem}"] if problem else []
        problems = [future.result() for future in waiting]
        failures += [f"{c.name}: {p}" for c, p in zip(slow, problems, strict=True) if p]
    assert not failures, f"{len(failures)} of {len(cases)} cases:\n" + "\n".join(failures)
    grown = {pid: size - before[pid] for pid, size in resident(server).items()}
    assert max(grown.values()) < GROWTH_BYTES, f"memory has grown: {grown}"


def test_the_corpus_is_as_large_as_promised() -> None:
    counted = {f"{p.parent.name}/{p.stem}": sum(1 for _ in corpus.cases(p)) for p in FILES}
    assert sum(counted.values()) >= 1000, counted
