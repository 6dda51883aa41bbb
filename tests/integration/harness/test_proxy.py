"""The fault proxy does to a connection what it is told, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from harness.proxy import Fault, Proxy

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def through(talk: Talk, there: Fault | None = None, back: Fault | None = None) -> bytes:
    """Talk to an echoing server through a proxy."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.write(b"end")
        writer.close()

    async def play() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy = Proxy(port, there or Fault(), back or Fault())
        async with server, proxy.listening():
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.own_port)
            try:
                said = await asyncio.wait_for(talk(reader, writer), 5)
            finally:
                writer.close()
            assert proxy.faults == (there is not None) + (back is not None)
            return said

    return asyncio.run(play())


async def send_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello world")
    writer.write_eof()
    return await reader.read()


def test_without_a_fault_all_passes() -> None:
    assert through(send_all) == b"hello worldend"


@pytest.mark.parametrize("kind", ["delay", "trickle"])
def test_what_is_slow_arrives_whole(kind: str) -> None:
    fault = Fault(kind, 3, 0.01)
    assert through(send_all, there=fault, back=fault) == b"hello worldend"


def test_one_byte_is_changed() -> None:
    assert through(send_all, there=Fault("corrupt", 1)) == b"hEllo worldend"


def test_a_half_closed_direction_ends_and_the_other_goes_on() -> None:
    assert through(send_all, there=Fault("half_close", 5)) == b"helloend"


def test_a_cut_ends_both_directions_inside_a_message() -> None:
    assert through(send_all, back=Fault("cut", 4)) == b"hell"


def test_a_reset_is_seen_as_one() -> None:
    with pytest.raises(ConnectionResetError):
        through(send_all, there=Fault("reset", 2))


def test_a_stalled_direction_says_nothing_and_stays_open() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"hello world")
        said = await reader.readexactly(5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        return said

    assert through(wait, there=Fault("stall", 5)) == b"hello"
