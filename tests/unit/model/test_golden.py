"""The file of golden samples: the same bytes for the same answers, and every bad line is told by its number."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BundleError
from headway.model import golden
from headway.model.golden import File, Golden, Sample

HEAD = b'{"headway_golden":1,"predictor":"a.py:A","schema":{},"version":"1"}'
SAMPLE = b'{"answer":1,"inputs":{"x":1}}'
JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), st.tuples(JSONS, st.booleans()), max_size=4))
def test_what_is_written_is_read_again_and_written_alike(answers: dict[str, Any]) -> None:
    samples = [Sample({"x": text}, answer, {}, own) for text, (answer, own) in answers.items()]
    before = Golden("a.py:A", "1", {"input": {}}, tuple(samples))
    data = golden.render(before)
    assert golden.parse(data) == before
    assert golden.render(golden.parse(data)) == data
    assert data.count(b"\n") == len(samples) + 1


def test_keys_are_sorted_so_that_a_diff_shows_what_has_changed() -> None:
    one, other = (
        Sample({"a": 1, "b": 2}, {"c": 3, "d": 4}),
        Sample({"b": 2, "a": 1}, {"d": 4, "c": 3}),
    )
    assert golden.render(Golden("p", "1", {}, [one])) == golden.render(
        Golden("p", "1", {}, [other])
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "golden.jsonl: is empty"),
        ([b"{"], "golden.jsonl, line 1: can't be read"),
        ([b"[]"], "golden.jsonl, line 1: can't be read"),
        ([SAMPLE], "line 1: is not the first line of golden samples"),
        ([HEAD.replace(b":1,", b":2,", 1)], "line 1: has format 2; this headway reads 1"),
        ([HEAD.replace(b"{}", b"7")], "line 1: can't be read: $.schema"),
        ([HEAD, SAMPLE, b"{"], "line 3: can't be read"),
        ([HEAD, b"<<<<<<< HEAD", SAMPLE], "line 2: is the mark of a merge conflict; keep one side"),
        ([HEAD, b"", SAMPLE], "line 2: is empty; remove it"),
        (
            [HEAD, b'{"inputs":{"x":1}}'],
            "line 2: can't be read: object missing required field answer",
        ),
        ([HEAD, b'{"answer":1,"inputs":[]}'], "line 2: can't be read: $.inputs: expected object"),
        (
            [HEAD, b'{"answer":1,"inputs":{},"anwser":2}'],
            "line 2: can't be read: object contains unknown",
        ),
        ([HEAD, b'{"answer":"\xff","inputs":{}}'], "line 2: can't be read"),
        ([HEAD, b'{"answer":NaN,"inputs":{}}'], "line 2: can't be read"),
        ([HEAD, SAMPLE, SAMPLE], "line 3: has the inputs of line 2; keep one"),
        (
            [HEAD, b'{"answer":1,"files":{"x":{"path":"a","sha256":"0"}},"inputs":{}}'],
            "line 2: can't be read: $.files[...].sha256",
        ),
    ],
)
def test_a_line_that_can_not_be_read_is_told_by_its_number(lines: list[bytes], told: str) -> None:
    with pytest.raises(BundleError) as caught:
        golden.parse(b"\n".join(lines))
    assert told in caught.value.message


@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_is_in_the_file_is_read_or_told(junk: bytes, at: int) -> None:
    data = HEAD + b"\n" + SAMPLE + b"\n"
    told = "golden.jsonl"
    try:
        golden.parse(data[:at] + junk + data[at:])
    except BundleError as e:
        told = e.message
    assert told.startswith("golden.jsonl")


def test_a_file_is_an_input_by_its_path_and_content(tmp_path: Path) -> None:
    (tmp_path / "tulip.jpg").write_bytes(b"\xff\xd8")
    schema = {"properties": {"photo": {"type": "string", "contentEncoding": "base64"}, "text": {}}}
    sample = Sample({"text": "a"}, 1, {"photo": golden.fingerprint("tulip.jpg", tmp_path)})
    assert golden.whole(sample, tmp_path, schema) == {"text": "a", "photo": "/9g="}
    (tmp_path / "tulip.jpg").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"tulip\.jpg: is not the file that was accepted"):
        golden.whole(sample, tmp_path, schema)
    (tmp_path / "tulip.jpg").unlink()
    with pytest.raises(BundleError, match=r"tulip\.jpg: can't be read: No such file"):
        golden.whole(sample, tmp_path, schema)


def test_a_file_of_text_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("gr\u00fc\u00df")
    sample = Sample({}, 1, {"text": golden.fingerprint("a.txt", tmp_path)})
    assert golden.whole(sample, tmp_path, {}) == {"text": "gr\u00fc\u00df"}
    (tmp_path / "b.bin").write_bytes(b"\xff")
    with pytest.raises(BundleError, match="wants text"):
        golden.whole(Sample({}, 1, {"text": golden.fingerprint("b.bin", tmp_path)}), tmp_path, {})


def test_no_path_leaves_the_folder(tmp_path: Path) -> None:
    sample = Sample({}, 1, {"text": File("../secret", "0" * 64)})
    with pytest.raises(BundleError, match="leads out of the bundle's folder"):
        golden.whole(sample, tmp_path, {})


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    golden.write(path, b"one")
    golden.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"golden\.jsonl: can't be written: No such file"):
        golden.write(tmp_path / "none" / "golden.jsonl", b"")
    assert golden.read(tmp_path / "none" / "golden.jsonl") is None
