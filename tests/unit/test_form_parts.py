"""multipart/form-data: cut into parts, within limits, and never slowly."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput, CallerError, TooLarge
from headway.model.media import Part
from headway.protocols._form import MAX_PARTS, read_parts

TYPE = "multipart/form-data; boundary=b"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + p + b"\r\n" for p in parts) + end


def part(head: str, content: bytes = b"x") -> bytes:
    return f"Content-Disposition: form-data; {head}\r\n\r\n".encode() + content


def test_parts_have_name_file_and_type() -> None:
    file = b'Content-Disposition: form-data; name="f"; filename="a b.txt"\r\nContent-Type: text/plain\r\n\r\n'
    assert read_parts(TYPE, form(part('name="t"', b"\xc3\xa9"), file + b"one")) == [
        ("t", Part(b"\xc3\xa9", "", "")),
        ("f", Part(b"one", "a b.txt", "text/plain")),
    ]
    assert read_parts('multipart/form-data; boundary="b"', form()) == []


BAD = {
    "nothing": b"",
    "no end": form(part('name="a"'), end=b""),
    "half an end": form(part('name="a"'), end=b"--b"),
    "a preamble": b"x" * 2_000_000 + b"\r\n" + form(part('name="a"')),
    "an epilogue": form(part('name="a"')) + b"x" * 2_000_000,
    "no name": form(part('filename="a"')),
    "no disposition": form(b"Content-Type: text/plain\r\n\r\nx"),
    "a header without colon": form(b"name\r\n\r\nx"),
    "a folded header": form(b'Content-Disposition: form-data;\r\n name="a"\r\n\r\nx'),
    "bare line ends": form(part('name="a"')).replace(b"\r\n", b"\n"),
    "folders": form(part('name="a"; filename="../../x"')),
    "a NUL": form(part('name="a"; filename="a\0b"')),
    "a long name of a file": form(part(f'name="a"; filename="{"x" * 3900}"')),
    "a wrong length": form(
        b'Content-Disposition: form-data; name="a"\r\nContent-Length: 9\r\n\r\nx'
    ),
    "a negative length": form(
        b'Content-Disposition: form-data; name="a"\r\nContent-Length: -9\r\n\r\nx'
    ),
}
LARGE = {
    "parts": form(*[part('name="a"')] * 100_000),
    "headers": form(b"X: y\r\n" * 100_000 + part('name="a"')),
    "a header": form(b"X: " + b"y" * 2_000_000 + b"\r\n" + part('name="a"')),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_form_is_refused(what: str) -> None:
    with pytest.raises(BadInput):
        read_parts(TYPE, BAD[what])


@pytest.mark.parametrize("what", LARGE)
def test_too_much_of_it_is_too_large(what: str) -> None:
    with pytest.raises(TooLarge, match=str(MAX_PARTS)):
        read_parts(TYPE, LARGE[what])


@pytest.mark.parametrize("boundary", ["", "=", "=" + "b" * 71, "=" + "b" * 10_000, '="\x01"', "=é"])
def test_a_boundary_has_up_to_seventy_characters(boundary: str) -> None:
    with pytest.raises(BadInput, match="boundary"):
        read_parts(f"multipart/form-data; boundary{boundary}", form())


def test_the_time_grows_with_the_length_alone() -> None:
    bodies = [form(part('name="a"', b"\r\n--" * n)) for n in (100_000, 1_600_000)]
    spent = []
    for body in bodies:
        started = time.process_time()
        read_parts(TYPE, body)
        spent.append(time.process_time() - started)
    assert spent[1] < 64 * spent[0], "sixteen times as long; the square would be 256"


@given(st.binary(max_size=200), st.integers(0, 300))
def test_other_bytes_are_the_callers_mistake(more: bytes, at: int) -> None:
    good = form(part('name="a"'), part('name="f"; filename="x"', b"yz"))
    body = good[:at] + more + good[at:]
    try:
        parts = read_parts(TYPE, body)
    except CallerError:
        return
    assert all(isinstance(p, Part) for _, p in parts)
