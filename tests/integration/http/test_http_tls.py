"""TLS on the listening socket, with certificates made for the test."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from headway.config import ServerSettings
from headway.errors import ConfigError
from headway.server.tls import server_context

GET = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
CA = trustme.CA()
CERTIFICATE = CA.issue_cert("localhost")


@pytest.fixture
def files(tmp_path: Path) -> ServerSettings:
    CERTIFICATE.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    CERTIFICATE.private_key_pem.write_to_path(tmp_path / "key.pem")
    return ServerSettings(
        tls_certificate=str(tmp_path / "chain.pem"), tls_key=str(tmp_path / "key.pem")
    )


def trusting(ca: trustme.CA = CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def check_served(house: Any) -> None:
    client = await house.connect(ssl=trusting(), server_hostname="localhost")
    for path in (b"/echo", b"/stream"):
        await client.send(GET.replace(b"/echo", path))
        assert (await client.answer()).status == 200


def test_requests_are_answered_over_tls(play: Any, files: ServerSettings) -> None:
    async def scene(house: Any) -> None:
        await check_served(house)
        client = await house.connect(ssl=trusting(), server_hostname="localhost")
        await client.send(GET.replace(b"/echo", b"/big?3000000") + b"nonsense\r\n\r\n")
        assert len((await client.answer()).body) == 3_000_000
        assert (await client.answer()).status == 400
        assert await client.rest() == b""

    play(scene, context=server_context(files))


def test_old_tls_wrong_trust_and_plain_http_are_refused(play: Any, files: ServerSettings) -> None:
    async def scene(house: Any) -> None:
        old = trusting()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        for context in (old, trusting(trustme.CA())):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await house.connect(ssl=context, server_hostname="localhost")
        plain = await house.connect()
        await plain.send(GET)
        assert b"200" not in await plain.rest()
        assert not house.app.asked
        await check_served(house)

    play(scene, context=server_context(files))


def test_answer_outlives_a_body_that_nobody_wants(play: Any, files: ServerSettings) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(ssl=trusting(), server_hostname="localhost")
        body = b"x" * 8_000_000
        await client.send(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Body: unwanted\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert [body for _, body in house.app.asked] == [b""]
        assert await client.rest() == b""

    play(scene, context=server_context(files), max_body_bytes=10_000_000)


def test_client_that_leaves_over_tls_is_told_of(play: Any, files: ServerSettings) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect(ssl=trusting(), server_hostname="localhost")
        await client.send(GET.replace(b"/echo", b"/hold"))
        await house.app.until(lambda: bool(house.app.held))
        await client.close()
        await house.app.until(lambda: house.app.departed == [1])

    play(scene, context=server_context(files))


def test_handshake_that_never_comes_is_ended(play: Any, files: ServerSettings) -> None:
    async def scene(house: Any) -> None:
        client = await house.connect()
        assert b"200" not in await asyncio.wait_for(client.rest(), 5)

    play(scene, context=server_context(files), head_timeout_s=0.2)


def test_without_a_certificate_tls_is_off() -> None:
    assert server_context(ServerSettings()) is None


def test_wrong_files_are_refused_with_their_setting(tmp_path: Path, files: ServerSettings) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    locked = tmp_path / "locked.pem"
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    wrong = [
        ("tls_certificate", "/none", files.tls_key),
        ("tls_key", files.tls_certificate, "/none"),
        ("tls_certificate", files.tls_key, files.tls_key),
        ("mismatch", files.tls_certificate, str(other)),
        ("locked", files.tls_certificate, str(locked)),
    ]
    for word, certificate, key in wrong:
        settings = ServerSettings(tls_certificate=certificate, tls_key=key)
        with pytest.raises(ConfigError) as caught:
            server_context(settings)
        assert word in str(caught.value)


def test_who_is_silent_in_the_queue_holds_nobody_up_at_the_end(
    play: Any, files: ServerSettings
) -> None:
    """Those who wait to be accepted when a drain begins are adopted together, each with its time-out."""
    context = server_context(files)

    async def scene(house: Any) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        for sock in (sock for pair in pairs for sock in pair):
            sock.setblocking(False)
        adopting = asyncio.gather(house.listener.adopt([ours for ours, _ in pairs]))
        *silent, (_, last) = pairs
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                sock=last, ssl=trusting(), server_hostname="localhost"
            )
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert not adopting.done(), "the others have their time"
            await adopting
        writer.transport.abort()
        for _, theirs in silent:
            theirs.close()

    play(scene, context=context, head_timeout_s=1.0)
