"""API keys: one known key lets a request in, and nothing else does."""

import hashlib
from pathlib import Path

import pytest

from headway.errors import ConfigError, Unauthorized
from headway.server.keys import Keys, new_key

KEY = "hw_one"
OTHER = "hw_two"
KEYS = Keys([hashlib.sha256(k.encode()).digest() for k in (KEY, OTHER)])


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {OTHER}"},
        {"authorization": f"Bearer  {KEY} "},
        {"x-api-key": OTHER},
    ],
)
def test_known_key_is_let_in(headers: dict[str, str]) -> None:
    KEYS.check(headers, "errors=item")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {KEY}, Bearer {KEY}"},
        {"authorization": f"Bearer {KEY}", "x-api-key": KEY},
        {"authorization": "Bearer " + "a" * 2**20},
        {"authorization": "Bearer \u00e9"},
        {"x-api-key": "\u00e9"},
        {"x-api-key": ""},
        {"x-api-key": f"{KEY}, {KEY}"},
        {"cookie": f"key={KEY}"},
    ],
)
def test_everything_else_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        KEYS.check(headers)


def test_empty_key_is_refused_even_if_its_digest_is_listed() -> None:
    keys = Keys([hashlib.sha256(b"").digest()])
    for headers in ({}, {"authorization": "Bearer "}, {"x-api-key": ""}):
        with pytest.raises(Unauthorized):
            keys.check(headers)


@pytest.mark.parametrize("query", [f"api_key={KEY}", "a=b&ACCESS_TOKEN=x", "token", "%74oken=x"])
def test_key_in_the_query_is_refused_even_beside_a_good_one(query: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        KEYS.check({"authorization": f"Bearer {KEY}"}, query)
    assert KEY not in str(caught.value)


def test_file_of_keys_is_read_with_its_comments(tmp_path: Path) -> None:
    key, line = new_key()
    file = tmp_path / "keys"
    file.write_text(f"# who may ask\n\n{line}  # alice\n{'A' * 64}\n")
    Keys.read(str(file)).check({"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("text", ["", "# none\n", "hw_secret\n", "a" * 63 + "\n", "\u0430" * 64])
def test_wrong_file_of_keys_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Keys.read(str(file))
    assert "hw_secret" not in str(caught.value)
    assert "key_file" in str(caught.value)


def test_missing_file_of_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Keys.read(str(tmp_path / "none"))


def test_new_keys_differ_and_fit_in_a_header() -> None:
    made = {new_key()[0] for _ in range(100)}
    assert len(made) == 100
    assert all(k.isascii() and k.isprintable() and " " not in k and len(k) > 40 for k in made)
