"""Where a server is, read from its URL. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from headway.errors import ConfigError

_PORTS: Final = {"http": 80, "https": 443}
_UNIX: Final = ("http+unix", "unix")
_HOST: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address; that of a Unix socket has `unix`, any other `host` and `port`."""

    url: str
    """As it is shown in errors: it holds no secret."""
    name: str
    """The value of the header `Host`."""
    host: str = ""
    port: int = 0
    unix: str = ""
    is_tls: bool = False
    prefix: str = ""
    """What stands before each path, where a proxy serves Headway below a path of its own."""


def read_address(url: str) -> Address:
    """Read `http://host:port`, `https://host/prefix` or `http+unix:///run/headway.sock`.

    Raises:
        ConfigError: it is none of these.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise _refused(url, str(e)) from e
    if parts.username is not None or parts.password is not None:
        raise ConfigError(where="the server's URL", problem="it holds a password; pass `key=`")
    if parts.query or parts.fragment:
        raise _refused(url, "it holds a query or a fragment")
    if parts.scheme in _UNIX:
        return _unix(url, parts)
    if parts.scheme not in _PORTS or not parts.hostname or not _HOST.fullmatch(parts.netloc):
        raise _refused(url, "expected http://HOST:PORT, https://HOST or http+unix:///PATH")
    prefix = parts.path.rstrip("/")
    return Address(
        url=f"{parts.scheme}://{parts.netloc}{prefix}",
        name=parts.netloc,
        host=parts.hostname,
        port=_PORTS[parts.scheme] if port is None else port,
        is_tls=parts.scheme == "https",
        prefix=prefix,
    )


def _unix(url: str, parts: SplitResult) -> Address:
    """`http+unix:///run/x.sock`, or `http+unix://%2Frun%2Fx.sock` as other clients write it."""
    path = unquote(parts.netloc) or unquote(parts.path)
    if not path or (parts.netloc and parts.path.strip("/")):
        raise _refused(url, "expected http+unix:///PATH")
    return Address(url=url, name="localhost", unix=path)


def _refused(url: str, problem: str) -> ConfigError:
    return ConfigError(where=f"the server's URL {url[:200]!r}", problem=problem)
