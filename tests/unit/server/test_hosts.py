"""Which Host a request may name on loopback."""

import pytest

from headway.config import ServerSettings
from headway.errors import Misdirected
from headway.server.hosts import Hosts, is_loopback
from headway.server.http1 import Heads, Limits

NAMED = Hosts.of(ServerSettings(hosts="models.example, Other.Example"))


def check(host: str) -> None:
    assert NAMED
    NAMED.check(Heads(Limits()).parse(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()))


@pytest.mark.parametrize(
    "host", ["models.example", "MODELS.example:8000", "other.example.", "localhost", "127.0.0.1"]
)
def test_named_hosts_and_addresses_are_served(host: str) -> None:
    check(host)


@pytest.mark.parametrize("host", ["a.models.example", "models.example.evil", "example", ""])
def test_any_other_name_is_misdirected(host: str) -> None:
    with pytest.raises(Misdirected):
        check(host)


def test_a_request_of_http_1_0_needs_no_host() -> None:
    assert NAMED
    NAMED.check(Heads(Limits()).parse(b"GET / HTTP/1.0\r\n\r\n"))


@pytest.mark.parametrize(
    "settings",
    [
        ServerSettings(host="0.0.0.0"),
        ServerSettings(host="10.0.0.1"),
        ServerSettings(unix="/run/x.sock"),
        ServerSettings(key_file="keys.txt"),
        ServerSettings(hosts="*"),
    ],
    ids=["everywhere", "an address", "unix", "keys", "any"],
)
def test_any_name_will_do_where_the_address_is_not_what_protects(settings: ServerSettings) -> None:
    assert Hosts.of(settings) is None


@pytest.mark.parametrize(
    ("host", "is_so"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("example.org", False)),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, is_so: bool) -> None:
    assert is_loopback(host) is is_so
