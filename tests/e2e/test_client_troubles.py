"""What a client does when its server, or what lies between, is in trouble: nothing wrong, nothing twice."""

import asyncio
import gc
import http.server
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asked import asked, write_project
from harness.proxy import Fault, Proxy
from serving import in_background, serving, wait_until

from headway import AsyncClient, Client, errors

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with asked(tmp_path_factory.mktemp("served"), ["echo", "story", "slow", "once"]) as (_, url):
        yield url


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def speaking(answer: Callable[[str, int], bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers each request (path, number) with bytes, for what Headway never says."""
    paths: list[str] = []
    lock = threading.Lock()

    class Speaker(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                paths.append(self.path)
                number = len(paths)
            said = answer(self.path, number)
            self.wfile.write(said)
            self.close_connection = not said

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Speaker)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(status: str, body: bytes, *headers: str, media: str = "application/json") -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"content-type: {media}",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


DETAILS = b'{"name":"m","idempotent":%s,"input_schema":{"properties":{"n":{"type":"integer"}}},"output_schema":{}}'


def model(idempotent: bytes, answer: Callable[[int], bytes]) -> Callable[[str, int], bytes]:
    """A model whose predictions are answered by their number."""
    predictions = iter(range(1, 1000))

    def speak(path: str, number: int) -> bytes:
        if path.endswith("/predict"):
            return answer(next(predictions))
        return said("200 OK", DETAILS % idempotent)

    return speak


# What others say


def test_a_proxys_page_is_told_as_one() -> None:
    page = said("502 Bad Gateway", b"<html>nginx</html>", media="text/html")
    with speaking(lambda path, n: page) as (url, paths), Client(url) as client:
        with pytest.raises(errors.BadAnswer, match=r"502 with text/html.*nginx"):
            client.echo(text="a")
        assert len(paths) == 4  # a gateway's trouble passes


@pytest.mark.parametrize(
    "answer",
    [
        said("200 OK", b"<html>Log in</html>", media="text/html"),
        said("200 OK", b"{not json"),
        said("404 Not Found", b"nothing", media="text/plain"),
        said("302 Found", b"", "location: https://login.example"),
    ],
)
def test_what_is_no_answer_of_headways_is_told_and_not_asked_again(answer: bytes) -> None:
    with speaking(lambda path, n: answer) as (url, paths), Client(url) as client:
        with pytest.raises(errors.BadAnswer, match=url):
            client.echo(text="a")
        assert len(paths) == 1


def test_a_refusal_is_asked_again_after_the_time_that_it_names() -> None:
    busy = said("429 Too Many", b'{"error":"full","code":"queue_full"}', "retry-after: 1")
    answers = model(b"false", lambda n: busy if n < 2 else said("200 OK", b"7"))
    with speaking(answers) as (url, _), Client(url) as client:
        start = time.monotonic()
        assert client.m(n=1) == 7
        assert 1.0 <= time.monotonic() - start < 10


def test_a_refusal_that_would_outlast_the_deadline_is_told_at_once() -> None:
    busy = said("429 Too Many", b'{"error":"full","code":"queue_full"}', "retry-after: 60")
    with speaking(model(b"true", lambda n: busy)) as (url, _), Client(url, timeout_s=30) as client:
        start = time.monotonic()
        with pytest.raises(errors.QueueFull) as told:
            client.m(n=1)
        assert told.value.retry_after_s == 60
        assert time.monotonic() - start < 15


@pytest.mark.parametrize(("idempotent", "times"), [(b"true", 2), (b"false", 1)])
@pytest.mark.parametrize(
    "trouble",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\nconnection: close\r\n\r\n1",
        said("503 Unavailable", b'{"error":"it died","code":"worker_lost"}'),
        said("503 Unavailable", b"<html>maintenance</html>", media="text/html"),
    ],
)
def test_what_may_have_been_computed_is_asked_twice_only_if_that_does_no_harm(
    idempotent: bytes, times: int, trouble: bytes
) -> None:
    predictions: list[int] = []

    def answer(n: int) -> bytes:
        predictions.append(n)
        return trouble if n == 1 else said("200 OK", b"7")

    def speak(path: str, number: int) -> bytes:
        return inner(path, number)

    inner = model(idempotent, answer)
    with speaking(speak) as (url, _), Client(url) as client:
        client.schema("m")
        client._caller.asker.io.pool.drop()
        if trouble.startswith(b"HTTP/1.1 200"):
            with pytest.raises(errors.HeadwayError):
                client.model("m", timeout_s=0.3)(n=1)
            return  # the speaker holds the connection open: a deadline, which is never asked again
        if times == 2:
            assert client.m(n=1) == 7
        else:
            with pytest.raises(errors.HeadwayError):
                client.m(n=1)
        assert len(predictions) == times


def test_retries_of_all_together_keep_to_the_budget() -> None:
    down = said("503 Unavailable", b'{"error":"not yet","code":"not_ready"}')
    with speaking(model(b"true", lambda n: down)) as (url, paths), Client(url) as client:
        client.schema("m")
        with ThreadPoolExecutor(16) as threads:
            asks = [threads.submit(client.m, n=n) for n in range(100)]
        assert {type(ask.exception()) for ask in asks} == {errors.NotReady}
        retries = len(paths) - 101
        assert 3 <= retries <= 0.2 * 101 + 3


# The way there


def test_nobody_there_is_told_with_the_address() -> None:
    port = free_port()
    refused = pytest.raises(errors.Unreachable, match=rf"127\.0\.0\.1:{port}.*refused")
    with Client(f"http://127.0.0.1:{port}") as client, refused:
        client.echo(text="a")
    with Client("http+unix:///not/there.sock") as client, pytest.raises(errors.Unreachable):
        client.echo(text="a")


@pytest.mark.parametrize("kind", ["cut", "reset", "half_close"])
def test_a_connection_that_breaks_is_replaced(url: str, kind: str) -> None:
    async def ask() -> int:
        proxy = Proxy(int(url.rpartition(":")[2]))
        async with proxy.listening(), AsyncClient(f"http://127.0.0.1:{proxy.own_port}") as client:
            await client.schema("echo")
            proxy.back = Fault(kind, after_bytes=40)
            client._io.pool.drop()
            task = asyncio.create_task(client.echo(text="a"))
            while not proxy.faults:
                await asyncio.sleep(0.001)
            proxy.back = Fault()
            assert await task == "a"
        return proxy.faults

    assert asyncio.run(ask()) >= 1


@pytest.mark.parametrize("kind", ["trickle", "delay"])
def test_a_slow_way_is_waited_for(url: str, kind: str) -> None:
    async def ask() -> None:
        proxy = Proxy(int(url.rpartition(":")[2]), back=Fault(kind, wait_s=0.0005))
        async with proxy.listening(), AsyncClient(f"http://127.0.0.1:{proxy.own_port}") as client:
            assert await client.echo(text="a") == "a"
            assert await client.story(prompt="b") == ["b 0", "b 1", "b 2"]

    asyncio.run(ask())


def test_a_way_that_stalls_ends_at_the_deadline(url: str) -> None:
    async def ask() -> None:
        proxy = Proxy(int(url.rpartition(":")[2]), back=Fault("stall", after_bytes=20))
        async with (
            proxy.listening(),
            AsyncClient(f"http://127.0.0.1:{proxy.own_port}", timeout_s=0.3) as client,
        ):
            with pytest.raises(errors.DeadlineError):
                await client.echo(text="a")

    asyncio.run(ask())


def test_a_stream_that_breaks_is_told_and_not_begun_again(url: str) -> None:
    async def ask() -> None:
        proxy = Proxy(int(url.rpartition(":")[2]))
        async with proxy.listening(), AsyncClient(f"http://127.0.0.1:{proxy.own_port}") as client:
            await client.schema("story")
            proxy.back = Fault("cut", after_bytes=600)
            client._io.pool.drop()
            seen: list[str] = []

            async def read() -> None:
                async for item in client.stream("story", prompt="word", most=200):
                    seen.append(item)  # noqa: PERF401  (what came before the error counts)

            with pytest.raises(errors.Unreachable, match="middle"):
                await read()
            assert seen == [f"word {i}" for i in range(len(seen))]
            assert seen

    asyncio.run(ask())


# The server's life


def test_a_server_that_is_drained_and_started_again_gives_no_wrong_answer(tmp_path: Path) -> None:
    port = str(free_port())
    write_project(tmp_path, ["slow"])
    done = threading.Event()
    answers: list[tuple[int, int]] = []
    refused: list[Exception] = []

    def ask_on(client: Client, first: int) -> None:
        number = first
        while not done.is_set():
            try:
                answers.append((number, client.slow(number=number)))
            except (errors.Unreachable, errors.BusyError) as e:
                refused.append(e)
                done.wait(0.01)
            else:
                number += 8

    with Client(f"http://127.0.0.1:{port}") as client:
        with serving(tmp_path, ".", "--port", port, "--drain-delay-s", "0.3") as server:
            assert client.slow(number=1) == 3
            asks = [in_background(partial(ask_on, client, n)) for n in range(8)]
            wait_until(lambda: len(answers) > 200, "answers come")
            assert not refused
            assert server.stop() == 0, server.log
        wait_until(lambda: len(refused) > 20, "the budget is spent, and the rest is told")
        with serving(tmp_path, ".", "--port", port):
            count = len(answers)
            wait_until(lambda: len(answers) > count + 200, "answers come again")
            done.set()
            for ask in asks:
                ask.result(30)
    assert all(answer == number * 3 for number, answer in answers)
    numbers = [number for number, _ in answers]
    assert len(numbers) == len(set(numbers))


def test_what_must_not_be_asked_twice_is_not_when_workers_die(tmp_path: Path) -> None:
    with asked(tmp_path, ["once"]) as (server, url), Client(url) as client:
        client.schema("once")
        told: list[int] = []
        failed = 0
        for number in range(30):
            later = in_background(partial(client.once, number=number, wait_s=0.05))
            if number % 10 == 5:
                server.wait_for_line("slow.txt", str(number))
                os.kill(server.workers("once")[0], signal.SIGKILL)
            try:
                assert later.result(60) == number * 3
                told.append(number)
            except errors.WorkerLost:
                failed += 1
        lines = server.lines("slow.txt")
        assert failed == 3
        assert len(lines) == len(set(lines)) == 30


def test_an_overloaded_server_is_asked_again_within_the_budget(tmp_path: Path) -> None:
    extra = "max_queue: 4\nmax_batch: 1\n"

    def ask(client: Client, number: int) -> bool:
        try:
            assert client.slow(number=number, wait_s=0.05) == number * 3
        except errors.QueueFull:
            return False
        return True

    with asked(tmp_path, ["slow"], extra=extra) as (server, url):
        with Client(url) as client, ThreadPoolExecutor(12) as threads:
            client.schema("slow")
            ends = list(threads.map(lambda n: ask(client, n), range(60)))
        assert sum(ends) > 20
        refused = server.metric("requests_total", model="slow", outcome="busy")
        retries = refused - ends.count(False)
        assert 3 <= retries <= 0.2 * 61 + 3
        computed = server.lines("slow.txt")
        assert len(computed) == len(set(computed)) == sum(ends)


# The pool


def test_many_threads_share_few_connections_and_all_are_answered(url: str) -> None:
    with Client(url, max_connections=8) as client, ThreadPoolExecutor(200) as threads:
        answers = list(threads.map(lambda n: client.echo(text=str(n)), range(1000)))
        assert answers == [str(n) for n in range(1000)]
        assert len(client._io.pool) <= 8


def test_who_finds_no_place_in_time_is_told(url: str) -> None:
    with Client(url, max_connections=1) as client:
        client.schema("echo")
        stream = client.stream("story", prompt="a", wait_s=0.3)
        next(stream)
        with pytest.raises(errors.DeadlineError):
            client.model("echo", timeout_s=0.1)(text="a")
        assert list(stream) == ["a 1", "a 2"]
        assert client.echo(text="a") == "a"


def test_a_stale_connection_is_replaced_in_silence(tmp_path: Path) -> None:
    port = str(free_port())
    write_project(tmp_path, ["once"])
    with Client(f"http://127.0.0.1:{port}", retries=0) as client:
        for number in range(2):
            with serving(tmp_path, ".", "--port", port):
                assert client.once(number=number) == number * 3
        assert len(client._io.pool) == 1


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_nothing_stays_open_whatever_happened(url: str) -> None:
    before = open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(5):
            client = Client(url, timeout_s=5)
            client.echo(text="a")
            next(client.stream("story", prompt="a"))
            with pytest.raises(errors.DeadlineError):
                client.model("slow", timeout_s=0.05)(number=1, wait_s=0.2)
            with pytest.raises(errors.BadInput):
                client.echo(txt="a")
            del client
        assert open_files() <= before


def test_a_forks_child_has_connections_of_its_own(url: str) -> None:
    with Client(url) as client:
        assert client.echo(text="a") == "a"
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # other tests' threads are no concern
            child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if [client.echo(text="child") for _ in range(20)] == ["child"] * 20 else 2
            finally:
                os._exit(code)
        assert [client.echo(text="parent") for _ in range(20)] == ["parent"] * 20
        assert os.waitpid(child, 0)[1] == 0
        assert len(client._io.pool) == 1
