"""Which answers are compressed, and for whom."""

import gzip
import os
import zlib

import pytest

from headway.engine.deflate import CODING, coding_of, compressed
from headway.protocols import Ask, Reply

TEXT = b'{"data":[' + b"0.125," * 5000 + b"1]}"


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip; q=0, deflate", "deflate"),
        ("gzip;q=0", ""),
        ("*", "gzip"),
        ("*;q=0", ""),
        ("gzip;q=0, *", "deflate"),
        ("br, zstd", ""),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("identity", ""),
        ("identity;q=1, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=2", ""),
        ("gzip;q=x", ""),
        ("gzip;level=9", ""),
        (",,;q=1, gzip", "gzip"),
    ],
)
def test_a_caller_says_which_coding_he_takes(accept: str, coding: str) -> None:
    assert coding_of(accept) == coding


def asked(coding: str) -> Ask:
    return Ask("infer", "m", "", b"", {CODING: coding} if coding else {})


def test_a_large_text_is_packed_as_asked() -> None:
    reply = Reply(200, TEXT, headers=(("x-mine", "1"),))
    packed = compressed(reply, asked("gzip"), 1024)
    assert gzip.decompress(packed.body) == TEXT
    assert packed.headers == (
        ("x-mine", "1"),
        ("content-encoding", "gzip"),
        ("vary", "accept-encoding"),
    )
    packed = compressed(reply, asked("deflate"), 1024)
    assert zlib.decompress(packed.body) == TEXT
    assert ("content-encoding", "deflate") in packed.headers


def test_what_gains_nothing_stays_as_it_is() -> None:
    noise = Reply(200, os.urandom(50_000), "application/octet-stream")
    picture = Reply(200, TEXT, "image/png")
    for reply, coding, least in (
        (Reply(200, TEXT), "", 1024),
        (Reply(200, TEXT), "gzip", len(TEXT) + 1),
        (Reply(200, TEXT), "gzip", 0),
        (noise, "gzip", 1024),
        (picture, "gzip", 1024),
    ):
        assert compressed(reply, asked(coding), least) is reply
