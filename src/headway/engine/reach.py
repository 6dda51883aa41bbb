"""Which URLs may be reached for a caller: those that the operator allows, at addresses that are theirs to reach.

A URL must begin with one of the allowed ones, compared by scheme, host, port and path. Its host is resolved once,
every address is checked, and the connection goes to one that was checked: a name that means another address a moment
later leads nowhere else. An address that is not public is reached only where the allowed URL names that very address.
Not here: connections (`fetch`, `server.webhooks`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

PORTS = {"http": 80, "https": 443}
_LOCAL = ip_network("64:ff9b:1::/48")
"""RFC 8215: a network's own way to others of its addresses."""
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::/96"), ip_network("::ffff:0:0:0/96"))
"""Whose last 32 bits are an address of IPv4 that a network may lead to: RFC 6052, 4291 (2.5.5.1) and 2765."""
_MAX_URL = 2048


class RefusedError(Exception):
    """Why a URL was not reached: for the log, never for the caller."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def target(self) -> str:
        """What a request line asks for."""
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def authority(self) -> str:
        """What a Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def is_within(self, allowed: "Place") -> bool:
        """Whether this is an allowed place, or below it."""
        is_there = (self.scheme, self.host, self.port) == (
            allowed.scheme,
            allowed.host,
            allowed.port,
        )
        home = allowed.path if allowed.path.endswith("/") else allowed.path + "/"
        return is_there and (self.path == allowed.path or self.path.startswith(home))

    def checked(self, found: Iterable[Any]) -> str:
        """The address to connect to, of what a resolver found (`getaddrinfo`).

        Raises:
            RefusedError: one of them is not public, and is not the host itself; or there is none.
        """
        addresses = [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
        plain = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
        if not plain:
            raise RefusedError("no address")
        for address in plain:
            if not _is_public(address) and self.host != str(address):
                raise RefusedError("an address that is not public")
        return str(plain[0])


def read_place(url: str) -> Place:
    """Take a URL apart; what readers of URLs disagree on is refused.

    Raises:
        RefusedError: it is odd.
        ValueError: it is no URL.
    """
    if "\\" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedError("an odd URL")
    if len(url) > _MAX_URL:
        raise RefusedError("a long URL")
    parts: SplitResult = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".").lower()
    if scheme not in PORTS or not host or "@" in parts.netloc or parts.fragment:
        raise RefusedError("an odd URL")
    path = parts.path or "/"
    if any(p in ("..", ".") for p in unquote(unquote(path)).replace("\\", "/").split("/")):
        raise RefusedError("a path with dots")
    return Place(scheme, host, parts.port or PORTS[scheme], path, parts.query)


def read_places(urls: str) -> Sequence[Place]:
    """The places that a setting allows: URLs with commas between. Raises RefusedError, ValueError."""
    return [read_place(url.strip()) for url in urls.split(",") if url.strip()]


def check_allowed(place: Place, allowed: Sequence[Place]) -> None:
    """Raise RefusedError unless a place is within one of the allowed ones."""
    if not any(place.is_within(a) for a in allowed):
        raise RefusedError("no allowed URL")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is anybody's to reach, and so is one of IPv4 that it leads to."""
    if isinstance(address, IPv6Address):
        if address.is_site_local or address in _LOCAL:
            return False
        if any(address in network for network in _TRANSLATED):
            return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour is not None:
            return _is_public(address.sixtofour)
    return address.is_global and not address.is_multicast
