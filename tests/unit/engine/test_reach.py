"""Which URLs may be reached: the list of server-side request forgery, against what an operator allows."""

from typing import Any

import pytest

from headway.engine.reach import Place, RefusedError, check_allowed, read_place, read_places

ALLOWED = read_places("https://hooks.example.com/in/, http://10.1.2.3:8080/ ,http://[::1]:9/a")


def found(*addresses: str) -> list[Any]:
    """What `getaddrinfo` answers."""
    return [(0, 0, 0, "", (address, 80)) for address in addresses]


def allowed(url: str) -> Place:
    place = read_place(url)
    check_allowed(place, ALLOWED)
    return place


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/in/",
        "https://hooks.example.com/in/a/b?c=d",
        "HTTPS://HOOKS.example.com.:443/in/x",
        "http://10.1.2.3:8080/anything",
        "http://[::1]:9/a",
    ],
)
def test_what_is_allowed_may_be_reached(url: str) -> None:
    assert allowed(url).target.startswith("/")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0177.0.0.1/"),
        *("http://0x7f.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/"),
        *("http://169.254.169.254/latest/meta-data/", "http://192.168.0.1/", "http://[fd00::1]/"),
        *("https://user@hooks.example.com/in/", "https://hooks.example.com@evil.com/in/"),
        *("https://evil.com/#@hooks.example.com/in/", "https://evil.com\\@hooks.example.com/in/"),
        *("file:///etc/passwd", "gopher://hooks.example.com/in/", "unix:/run/x", "//x/in/", ""),
        *("https://hooks.example.com:22/in/", "http://hooks.example.com/in/", "http://10.1.2.3/"),
        *("https://hooks.example.com/", "https://hooks.example.com/input", "https://a.com/in/"),
        *("https://hooks.example.com/in/../x", "https://hooks.example.com/in/%2e%2e/x"),
        *("https://hooks.example.com/in/%252e%252e/x", "https://hooks.example.com/in/..%5cx"),
        *("https://hooks.example.com.evil.com/in/", "https://hooks.example.com:99999/in/"),
        *("https://hooks.example.com/in/ x", "https://hooks.example.com/in/\r\nhost: x"),
        *("https://höoks.example.com/in/", "https://hooks.example.com/in/" + "x" * 2048),
        "http://10.1.2.3:8080@evil.com/",
    ],
)
def test_nothing_else_may_be(url: str) -> None:
    with pytest.raises((RefusedError, ValueError)):
        allowed(url)


@pytest.mark.parametrize(
    "addresses",
    [
        *(("127.0.0.1",), ("10.0.0.1",), ("169.254.169.254",), ("::1",), ("::ffff:10.0.0.1",)),
        *(("64:ff9b::7f00:1",), ("64:ff9b:1::5db8:d70e",), ("2002:a9fe:a9fe::1",), ("::10.0.0.1",)),
        *(("::ffff:0:10.0.0.1",), ("fec0::1",), ("ff0e::1",), ("224.0.0.1",)),
        *(("fe80::1%eth0",), ("0.0.0.0",), ("100.64.0.1",), ("93.184.215.14", "10.0.0.1"), ()),
    ],
)
def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(
    addresses: tuple[str, ...],
) -> None:
    with pytest.raises(RefusedError):
        allowed("https://hooks.example.com/in/").checked(found(*addresses))


def test_the_address_that_was_checked_is_the_one_to_connect_to() -> None:
    assert (
        allowed("https://hooks.example.com/in/").checked(found("93.184.215.14")) == "93.184.215.14"
    )


@pytest.mark.parametrize("address", ["64:ff9b::5db8:d70e", "2002:5db8:d70e::1", "2606:4700::1"])
def test_a_public_address_may_be_led_to_by_way_of_ipv6(address: str) -> None:
    assert allowed("https://hooks.example.com/in/").checked(found(address)) == address


def test_an_address_that_is_not_public_is_reached_where_it_is_itself_allowed() -> None:
    assert allowed("http://10.1.2.3:8080/x").checked(found("10.1.2.3")) == "10.1.2.3"
    with pytest.raises(RefusedError):
        allowed("http://10.1.2.3:8080/x").checked(found("10.1.2.4"))


def test_a_host_header_names_a_port_that_is_not_the_usual_one() -> None:
    assert read_place("https://a.com:443/x").authority == "a.com"
    assert read_place("http://a.com:8080/x").authority == "a.com:8080"
    assert read_place("http://[::1]:9/x").authority == "[::1]:9"
