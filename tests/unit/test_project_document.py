"""The strict reader of headway.yaml."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import ConfigError
from headway.model import document


def parse(text: str) -> object:
    return document.parse(text.encode(), "headway.yaml").plain()


def test_what_every_reader_understands_alike_is_read() -> None:
    text = """
    # a comment
    name: sentiment
    port: 8000
    ratio: -2.5
    debug: true
    none: ~
    host: 127.0.0.1
    root: .
    device: cuda:0
    version: 1.2.3
    quoted: "on"
    block: |
      1e3
    list: [a, {b: 1}]
    """
    assert parse(text.replace("\n    ", "\n")) == {
        "name": "sentiment",
        "port": 8000,
        "ratio": -2.5,
        "debug": True,
        "none": None,
        "host": "127.0.0.1",
        "root": ".",
        "device": "cuda:0",
        "version": "1.2.3",
        "quoted": "on",
        "block": "1e3\n",
        "list": ["a", {"b": 1}],
    }


def test_a_value_knows_its_line() -> None:
    root = document.parse(b"a: 1\nb:\n  c:\n    2\n", "x")
    assert root.value["b"].line == 2
    assert root.value["b"].value["c"].line == 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "\ufeff"])
def test_an_empty_document_is_refused_and_told_what_belongs_there(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^headway.yaml: is empty; expected `key: value` lines"):
        parse(text)


def test_an_empty_mapping_is_one() -> None:
    assert parse("{}") == {}


@pytest.mark.parametrize(
    "scalar",
    [
        "on",
        "off",
        "yes",
        "NO",
        "y",
        "1e3",
        "0o7",
        "0x1F",
        "0b1",
        "007",
        "12:30",
        "1:2:3.5",
        "1_000",
        "+1",
        ".5",
        "1.",
        ".nan",
        "-.inf",
        "2026-01-02",
        "2026-01-02 03:04:05",
        "=",
        "9" * 30,
    ],
)
def test_a_scalar_that_readers_disagree_on_is_refused_with_line_and_column(scalar: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"a:\n  b: {scalar}\n")
    assert caught.value.message.startswith(f"headway.yaml, line 2, column 6: `{scalar}`")
    assert parse(f"a: '{scalar}'") == {"a": scalar}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: tags"),
        ("a: !!str 1", "line 1, column 4: tags"),
        ("%TAG ! tag:x,2000:\n---\na: !b c", "line 3, column 4: tags"),
        ("a: &x 1", "line 1, column 4: anchors and aliases"),
        ("a: *x", "line 1, column 4: anchors and aliases"),
        ("<<: {a: 1}", "line 1, column 1: `<<`"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: `a` stands here twice (also in line 1)"),
        ("a: {b: 1, b: 2}", "line 1, column 11: `b` stands here twice"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
        ("- 1", "headway.yaml: expected `key: value` lines"),
        ("just text", "headway.yaml: expected `key: value` lines"),
        ("1: 2", "line 1, column 1: a key must be text"),
        ("? [a]\n: 2", "a key must be text"),
        ("a: [", "line 1, column 5"),
        ("a:\tb: c", "line 1, column 3"),
        ("a: \x00", "special characters are not allowed"),
        ("a: " + "[" * 1000, "nested deeper than 16 levels"),
        ("a: " + "{a: " * 1000, "nested deeper than 16 levels"),
        ("a:\n" + "".join(f"{' ' * i}a:\n" for i in range(1, 400)), "nested deeper than 16"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert problem in caught.value.message


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"headway\.yaml: is not UTF-8 \(byte 3\)"):
        document.parse(b"a: \xff", "headway.yaml")


def test_ten_megabytes_are_refused_unread() -> None:
    """Nothing is read of it: it is no document."""
    with pytest.raises(ConfigError, match="larger than 131072 bytes"):
        document.parse(b"a: [" + b"1, " * (10 * 2**20 // 3), "headway.yaml")


plain_text = st.text(
    st.characters(max_codepoint=0x17F, exclude_categories=["Cc", "Cs"]), max_size=9
)
a_key = plain_text.filter(str.isprintable)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(a_key, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(a_key, plain, max_size=4))
def test_json_is_read_as_json_means_it(value: dict[str, object]) -> None:
    assert parse(json.dumps(value, ensure_ascii=False)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_config_error(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(document.parse(data, "headway.yaml").value, dict)
