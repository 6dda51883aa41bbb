"""What the author tests."""

import gzip
import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest
from filetype import Filetype

import headway as hw


def archive() -> bytes:
    """Make a small zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("hello.txt", "Hello, world. " * 20)
    return content.getvalue()


FILES = {
    "python": Path(__file__).read_bytes(),
    "zip": archive(),
    "gzip": gzip.compress(b"Hello, world. " * 20, mtime=0),
    "html": b"<!DOCTYPE html><html><head><title>Hi</title></head><body><p>Hi</p></body></html>",
    "json": b'{"name": "Ada", "born": 1815, "likes": ["engines", "poems"], "is_alive": false}',
    "empty": b"",
    "txt": b"hello",
    "unknown": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("label", FILES)
def test_a_file_is_told_from_its_bytes(label: str) -> None:
    model = Filetype()
    model.load()
    answer = model.predict(FILES[label])
    assert answer.label == label
    assert 0 < answer.score <= 1


def test_space_around_a_long_file_is_ignored() -> None:
    model = Filetype()
    model.load()
    code = b"for i in range(10):\n    print(i)\n" * 400
    padded = b"\n" * 1000 + code + b" " * 1000
    assert model.predict(padded) == model.predict(code)


def test_a_request_is_answered_as_a_call_is() -> None:
    model = Filetype()
    model.load()
    expected = model.predict(FILES["python"])
    with hw.load(Filetype) as ask:
        assert ask(content=FILES["python"]) == asdict(expected)
