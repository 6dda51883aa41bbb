"""docs/reference/values.md tells every limit that is no setting, as the code has it."""

from pathlib import Path

import pytest

from headway.model import media
from headway.protocols import _form, _tensors, native, v2
from headway.server import chunks, connection, http1, keys, plan, routes

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "values.md").read_text()
LIMITS = {
    "that can't be read": native._MAX_UNREADABLE,
    "fields of a query": 100,
    "inputs, and outputs asked for": 4096,
    "axes of a shape": 32,
    "one axis": _tensors.MAX_COUNT,
    "parameters of a request": 64,
    "characters of an id": 256,
    "characters of an API key": keys._MAX_KEY,
    "parts of a form": _form.MAX_PARTS,
    "headers of a part": f"{_form.MAX_HEADERS} and {_form.MAX_HEADER_BYTES}",
    "of a form's boundary": _form.MAX_BOUNDARY,
    "of a file's name": media._MAX_NAME,
    "files of one model call": media.MAX_DECODED_BYTES,
    "chunks of a chunked body": chunks._MAX_CHUNKS,
    "bytes of a line of a chunked body": f"{chunks._MAX_LINE_BYTES} and {chunks._MAX_EXTRA_BYTES}",
    "characters of a method": http1._MAX_METHOD,
    "wait behind one": connection._MAX_BACKLOG_BYTES,
    "that nobody wants": connection._MAX_DROPPED_BYTES,
}


@pytest.mark.parametrize("what", LIMITS)
def test_limit_is_told_as_it_is(what: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("|") and what in line]
    said = line.split("|")[2].strip()
    assert said.removesuffix(" each") == str(LIMITS[what])


def test_limits_of_types_are_those_that_are_told() -> None:
    (name,) = v2._Name.__metadata__  # type: ignore[attr-defined]
    (dims,) = v2._Dims.__metadata__  # type: ignore[attr-defined]
    (parameters,) = v2._Parameters.__metadata__  # type: ignore[attr-defined]
    assert name.max_length == LIMITS["characters of an id"]
    assert dims.max_length == LIMITS["axes of a shape"]
    assert parameters.max_length == LIMITS["parameters of a request"]
    assert "{0,127}" in routes._NAME.pattern
    assert "{1,128}" in plan._REQUEST_ID.pattern
