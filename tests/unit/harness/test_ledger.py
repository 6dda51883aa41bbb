"""The ledger's book-keeping: each request ends once, and what is asked is what is written."""

import json
import random
from pathlib import Path

import pytest
from harness.ledger import Ledger, Mix, draw, read_answer, written
from harness.truth import End, Mood, Seen, right_row

MIX = Mix(leaver=0.1, hurried=0.1, poison=0.1, sick=0.1, rejected=0.1, bad=0.1)


def test_every_request_is_in_the_file_before_and_after(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.txt")
    rng = random.Random(1)
    asked = [draw(MIX, rng, id) for id in range(8, 88, 8)]
    for one in asked:
        ledger.send(one)
    for one in asked[:-1]:
        row = [right_row(one.id + i, 1, text) for i, text in enumerate(one.texts)]
        ledger.answered(one, Seen(200, json.dumps(row if len(row) > 1 else row[0]).encode()))
    ledger.close()

    lines = (tmp_path / "ledger.txt").read_text().splitlines()
    assert sorted(line.split()[1] for line in lines) == sorted([str(a.id) for a in asked] * 2)
    assert ledger.count(End.HUNG) == 1
    assert ledger.counts.total() == 10


def test_a_request_can_end_but_once() -> None:
    ledger = Ledger()
    asked = draw(Mix(), random.Random(1), 8)
    ledger.send(asked)
    ledger.end(asked, End.EXACT)
    with pytest.raises(KeyError):
        ledger.end(asked, End.EXACT)


def test_bytes_that_nobody_asked_for_are_a_duplicate() -> None:
    ledger = Ledger()
    ledger.stray(b"HTTP/1.1 200 OK")
    assert ledger.count(End.DUPLICATE) == 1


def test_all_moods_are_drawn_and_each_is_written_with_its_length() -> None:
    rng = random.Random(1)
    seen = set()
    for id in range(0, 8000, 8):
        asked = draw(MIX, rng, id)
        seen.add(asked.mood)
        head, _, body = written(asked, MIX, rng).partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        json.loads(body)
    assert seen == set(Mood)


def test_an_answer_is_read_when_its_last_byte_is_there() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc"
    for size in range(len(data)):
        assert read_answer(data[:size]) is None
    found = read_answer(data + b"HTTP")
    assert found == (Seen(200, b"abc", {"content-length": "3", "x": "y"}), len(data))
