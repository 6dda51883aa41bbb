"""Which Host a request may name where nothing but the address protects the server. Pure.

A page that somebody visits can point a name of its own at 127.0.0.1 (DNS rebinding) and then ask a server on
loopback as if it were its own. It can do so only with a name, which the browser sends as Host; addresses and
`localhost` are nobody's to point elsewhere. Not here: whether a Host is well formed (`http1`).
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Self

from headway.config import ServerSettings
from headway.errors import Misdirected
from headway.server.http1 import Head

_ANY = "*"
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::[0-9]*)?")


class Hosts:
    """The names that a request may call this server by.

    Args:
        names: beside addresses and `localhost`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower().removesuffix(".") for name in names) - {""}

    @classmethod
    def of(cls, settings: ServerSettings) -> Self | None:
        """The names for a server; None where any will do: it has keys, or is not on loopback alone."""
        names = [name.strip() for name in settings.hosts.split(",")]
        if settings.unix or settings.key_file or not is_loopback(settings.host) or _ANY in names:
            return None
        return cls(names)

    def check(self, head: Head) -> None:
        """Refuse a request that calls the server by a name that may be anybody's.

        Raises:
            Misdirected: it does.
        """
        host = head.headers.get("host")
        if host is None:  # only HTTP/1.0 may leave it out, which no browser does
            return
        name = _name(host)
        if not (_is_own(name) or name in self._names):
            raise Misdirected(host=host[:80])


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return _is_localhost(host.lower())


def _name(host: str) -> str:
    """A Host without its port, brackets and last dot."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).removesuffix(".").lower() if found else ""


def _is_own(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _is_localhost(name)
    return True


def _is_localhost(name: str) -> bool:
    """RFC 6761 section 6.3: "localhost." and names below it are loopback for everybody."""
    return name == "localhost" or name.endswith(".localhost")


def is_any(host: str) -> bool:
    """Whether an address to listen on stands for all of this machine's."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def outward_address() -> str:
    """This machine's address on the network by which it reaches others; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
