"""API keys: which are known, and whether a request carries one. Only their SHA-256 is ever held."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from headway.errors import ConfigError, Unauthorized

_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_MAX_KEY = 256
_QUERY_NAMES = frozenset(
    {"access_token", "api_key", "apikey", "x-api-key", "token", "key", "authorization", "bearer"}
)


class Keys:
    """The keys that may ask.

    Args:
        digests: SHA-256 of each key.
    """

    def __init__(self, digests: Sequence[bytes]) -> None:
        self._digests = tuple(digests)

    @classmethod
    def read(cls, file: str, setting: str = "key_file") -> Self:
        """Read a file with the SHA-256 of a key (hex) on each line; # begins a comment.

        Args:
            file: its path.
            setting: that names it.

        Raises:
            ConfigError: the file can't be read, holds no key, or a line is no SHA-256.
        """
        path = Path(file).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError(where=f"`{setting}`", problem=f"{path} can't be read ({e})") from e
        texts = {n: line.partition("#")[0].strip() for n, line in enumerate(lines, 1)}
        texts = {n: text for n, text in texts.items() if text}
        for number, text in texts.items():
            if not _DIGEST.fullmatch(text):
                # Never the line itself: it may be a key.
                where = f"`{setting}` {path}, line {number}"
                raise ConfigError(where=where, problem="expected a SHA-256 as 64 hex digits")
        if not texts:
            raise ConfigError(where=f"`{setting}`", problem=f"{path} holds no key")
        return cls([bytes.fromhex(text) for text in texts.values()])

    def check(self, headers: Mapping[str, str], query: str = "") -> None:
        """Demand exactly one key, in `Authorization: Bearer KEY` or `x-api-key`, and a known one.

        Takes the same time whichever key it is.

        Args:
            headers: by lower-case name, repeated ones joined by ", " (no key holds a comma).
            query: the raw query string; a key there is refused, for it ends up in logs.

        Raises:
            Unauthorized: there is none, more than one, an unknown one, or one in the query.
        """
        check_query(query)
        key = _read_key(headers)
        digest = hashlib.sha256(key.encode("ascii")).digest()
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        if not key or not any(found):
            raise Unauthorized


def check_query(query: str) -> None:
    """Refuse a key in the query string, for it ends up in logs. Raises Unauthorized."""
    if query and _has_key(query):
        raise Unauthorized("an API key in the query string is refused: send it as a header")


def new_key() -> tuple[str, str]:
    """Make a key: the key itself, for the caller, and its line for the key file."""
    key = f"hw_{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode("ascii")).hexdigest()


def _read_key(headers: Mapping[str, str]) -> str:
    """The one key of a request, or "" if there is none that could be right."""
    authorization = headers.get("authorization")
    own = headers.get("x-api-key")
    if authorization is not None and own is not None:
        return ""
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
    else:
        key = own or ""
    return key if key.isascii() and len(key) <= _MAX_KEY else ""


def _has_key(query: str) -> bool:
    return any(name.lower() in _QUERY_NAMES for name, _ in parse_qsl(query, keep_blank_values=True))
