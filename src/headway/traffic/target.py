"""What a URL names: a host, and a model of a Headway server or any path of any server. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from headway.errors import ConfigError

_PORTS: Final = {"http": 80, "https": 443}
_MODEL: Final = re.compile(r"/models/([^/?]+)(?:/versions/([^/?]+))?(?:/predict)?/?")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask."""

    url: str
    scheme: str
    host: str
    port: int
    authority: str
    """For the Host header."""
    path: str
    """With the query; "" where the URL has none."""
    model: str = ""
    """Whose path it is, where it is a model's."""
    version: str = ""

    @property
    def is_whole_server(self) -> bool:
        """Whether it names neither a model nor any other path."""
        return self.path in ("", "/")


def read_target(url: str) -> Target:
    """Read a URL.

    Raises:
        ConfigError: it is no http or https URL, or holds what a request's head may not.
    """
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as e:
        raise _refused(url, str(e)) from e
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _refused(url, "expected such as http://127.0.0.1:8000/models/NAME")
    if not re.fullmatch(r"[!-~]+", whole) or parts.username is not None:
        raise _refused(url, "expected neither spaces nor a password in it; a key goes to --key")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    found = _MODEL.fullmatch(path)
    model, version = (unquote(name or "") for name in (found.groups() if found else ("", "")))
    return Target(
        whole, parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.netloc, path, model, version
    )  # fmt: skip


def _refused(url: str, problem: str) -> ConfigError:
    return ConfigError(where=f"the URL {url[:200]!r}", problem=problem)


def read_headers(given: Sequence[str], key: str) -> tuple[tuple[str, str], ...]:
    """Read `name: value` lines, and add the key as a bearer's. Raises ConfigError."""
    lines = [*given, *([f"authorization: Bearer {key}"] if key else [])]
    for line in lines:
        if not _HEADER.fullmatch(line):
            raise ConfigError(
                where="`--header` or `--key`", problem="expected 'name: value' in ASCII"
            )
    return tuple((n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines))


def request(
    target: Target, method: str, path: str, body: bytes, headers: Sequence[tuple[str, str]]
) -> bytes:
    """A whole HTTP/1.1 request."""
    lines = [f"{method} {path or '/'} HTTP/1.1", f"host: {target.authority}"]
    lines += ["user-agent: headway-bench", *(f"{name}: {value}" for name, value in headers)]
    if method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
