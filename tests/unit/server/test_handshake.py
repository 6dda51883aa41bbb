"""The handshake of a WebSocket: what is one, who asks, and the answer (RFC 6455 sections 1.3 and 4.2)."""

import pytest

from headway.server.handshake import accept, is_foreign, key_of, problem_of
from headway.server.http1 import Head, Heads, Limits

ASKED = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
NOBODY: frozenset[str] = frozenset()


def head(line: str = "GET /chat HTTP/1.1", **changes: str | None) -> Head:
    """A handshake with other headers; None leaves one out."""
    told = {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in {**ASKED, **told}.items() if value is not None]
    return Heads(Limits()).parse("\r\n".join([line, *lines, "", ""]).encode("latin-1"))


def test_the_answer_is_that_of_the_rfc() -> None:
    first, *lines = accept(head(), "id-1").decode().split("\r\n")
    assert first == "HTTP/1.1 101 Switching Protocols"
    assert lines[-2:] == ["", ""]
    found = dict(line.split(": ") for line in lines[:-2])
    assert found == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "x-request-id": "id-1",
    }


@pytest.mark.parametrize(
    ("offered", "is_answered"),
    [("headway, key.hw_a", True), ("key.hw_a,headway", True), ("chat", False), ("headways", False)],
)
def test_only_our_subprotocol_is_chosen_and_never_the_key(offered: str, is_answered: bool) -> None:
    answer = accept(head(Sec_WebSocket_Protocol=offered), "id")
    assert (b"sec-websocket-protocol: headway\r\n" in answer) == is_answered
    assert b"hw_a" not in answer


@pytest.mark.parametrize(
    "changes",
    [{}, {"Upgrade": "WebSocket"}, {"Connection": "keep-alive, upgrade"}, {"Origin": "null"}],
)
def test_a_handshake_may_be_written_in_several_ways(changes: dict[str, str]) -> None:
    assert problem_of(head(**changes)) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"line": "GET /chat HTTP/1.0"}, "GET and HTTP/1.1"),
        ({"line": "POST /chat HTTP/1.1"}, "GET and HTTP/1.1"),
        ({"Upgrade": None}, "upgrade: websocket"),
        ({"Upgrade": "h2c"}, "upgrade: websocket"),
        ({"Connection": "keep-alive"}, "connection: upgrade"),
        ({"Sec_WebSocket_Version": "8"}, "version: 13"),
        ({"Sec_WebSocket_Version": None}, "version: 13"),
        ({"Sec_WebSocket_Key": None}, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "dGhl"}, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ"}, "16 bytes in base64"),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==,x"}, "16 bytes in base64"),
    ],
)
def test_what_is_no_handshake_is_told_what_was_expected(
    changes: dict[str, str | None], problem: str
) -> None:
    assert problem in problem_of(head(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("origin", "names", "is_refused"),
    [
        (None, NOBODY, False),
        ("http://server.example.com", NOBODY, False),
        ("https://Server.Example.com:443", NOBODY, False),
        ("http://server.example.com:9000", NOBODY, True),
        ("https://evil.example", NOBODY, True),
        ("https://server.example.com.evil.example", NOBODY, True),
        ("https://server.example.com@evil.example", NOBODY, True),
        ("null", NOBODY, True),
        ("file://", NOBODY, True),
        ("", NOBODY, True),
        ("https://pages.example", frozenset({"pages.example"}), False),
        ("https://pages.example:8443", frozenset({"pages.example"}), False),
        ("http://[2001:db8::7]:8443", frozenset({"[2001:db8::7]"}), False),
        ("http://[2001:db8::7]", frozenset({"[2001:db8::7]"}), False),
        ("http://[2001:db8::8]:8443", frozenset({"[2001:db8::7]"}), True),
        ("https://evil.example", frozenset({"*"}), False),
    ],
)
def test_only_this_servers_pages_and_those_named_may_ask(
    origin: str | None, names: frozenset[str], is_refused: bool
) -> None:
    assert is_foreign(head(Origin=origin), names) == is_refused


@pytest.mark.parametrize("port", ["", ":8000", ":80"])
def test_a_server_that_is_asked_by_an_ipv6_address_knows_its_own_pages(port: str) -> None:
    asked = head(Host=f"[::1]{port}", Origin=f"http://[::1]{port}")
    assert not is_foreign(asked, NOBODY)
    assert is_foreign(head(Host=f"[::1]{port}", Origin="http://[::1]:9"), NOBODY)


@pytest.mark.parametrize(
    ("offered", "key"),
    [
        ("", ""),
        ("headway", ""),
        ("headway, key.hw_a.b", "hw_a.b"),
        (" key.hw_a ,headway", "hw_a"),
        ("key.", ""),
        ("key.hw_a, key.hw_b", ""),
    ],
)
def test_a_key_is_taken_from_the_subprotocols_if_there_is_one(offered: str, key: str) -> None:
    assert key_of(offered) == key
