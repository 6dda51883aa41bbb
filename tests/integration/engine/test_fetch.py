"""Files by their URLs: only from the allowed places, whatever the URL pretends; a real local server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headway.engine.fetch import Fetcher
from headway.errors import BadInput
from headway.model.media import Part

TEXT = "file: this URL can't be fetched, or may not be; send the file itself"


class Shelf(BaseHTTPRequestHandler):
    """What a place on the web may answer."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        name, _, more = self.path.removeprefix("/pics/").partition("/")
        if name.startswith("hops"):
            left = int(more)
            self.move(f"/pics/hops/{left - 1}" if left else "/pics/red.png")
        elif name == "to":
            self.move(more.replace("%3A", ":"))
        elif name == "endless":
            self.endless()
        elif name == "slow":
            self.slow()
        elif name == "short":
            self.answer(b"1234", 10)
        elif name == "missing":
            self.send_error(404)
        else:
            self.answer(b"content", 7)

    def move(self, where: str) -> None:
        self.send_response(302)
        self.send_header("location", where)
        self.end_headers()

    def answer(self, content: bytes, length: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "image/png; charset=x")
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(65536))
        except OSError:
            pass

    def slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def shelf() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    server.daemon_threads = True
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def place() -> Iterator[ThreadingHTTPServer]:
    with shelf() as server:
        yield server


def fetcher(place: ThreadingHTTPServer, timeout_s: float = 5.0) -> Fetcher:
    return Fetcher([f"http://127.0.0.1:{place.server_port}/pics/"], 1_000_000, timeout_s)


def test_a_file_of_an_allowed_place_is_got(place: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{place.server_port}/pics/red.png?size=3"
    assert fetcher(place)(url) == Part(b"content", "red.png", "image/png")


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_three_redirects_are_followed(place: ThreadingHTTPServer, hops: int) -> None:
    url = f"http://127.0.0.1:{place.server_port}/pics/hops/{hops}"
    assert fetcher(place)(url).content == b"content"


@pytest.mark.parametrize(
    "name",
    [
        *("hops/3", "endless/", "slow/", "short/", "missing/"),
        *("to/http%3A//10.0.0.1/pics/", "to/file%3A///etc/passwd", "to//private", "to/"),
        *("../private", "%2e%2e/private", "%252e%252e/private", "..\\private", "a/./b"),
        *("red.png#x", "red .png", "r\u00e9d.png", "a\nb", "x" * 3000),
    ],
)
def test_what_an_allowed_place_may_not_lead_to(place: ThreadingHTTPServer, name: str) -> None:
    asked = len(place.asked)  # type: ignore[attr-defined]
    started = time.monotonic()
    with pytest.raises(BadInput) as told:
        fetcher(place, 0.7)(f"http://127.0.0.1:{place.server_port}/pics/{name}")
    assert told.value.message == TEXT
    assert time.monotonic() - started < 10
    for path in place.asked[asked:]:  # type: ignore[attr-defined]
        assert path.startswith("/pics/")
        assert not {"..", "%2e", "."} & set(path.split("/"))


OTHERS = (
    *(
        "http://127.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://0177.0.0.1",
        "http://0x7f.1",
    ),
    *("http://[::1]", "http://[::ffff:127.0.0.1]", "http://0.0.0.0", "http://169.254.169.254"),
    *("http://10.0.0.1", "http://172.16.0.1", "http://192.168.0.1", "http://[fd00::1]"),
    *("http://100.64.0.1", "http://localhost", "https://127.0.0.1", "http://127.0.0.1."),
)


@pytest.mark.parametrize("start", OTHERS)
def test_other_addresses_are_not_asked(place: ThreadingHTTPServer, start: str) -> None:
    asked = len(place.asked)  # type: ignore[attr-defined]
    for port in ("", ":22", f":{place.server_port}"):
        if start + port == f"http://127.0.0.1:{place.server_port}":
            continue
        if start.endswith(".") and port.endswith(str(place.server_port)):
            continue
        with pytest.raises(BadInput) as told:
            fetcher(place)(f"{start}{port}/pics/red.png")
        assert told.value.message == TEXT
    assert len(place.asked) == asked  # type: ignore[attr-defined]


@pytest.mark.parametrize("start", [*OTHERS[1:5], "http://[::ffff:127.0.0.1]", "http://localhost"])
def test_a_name_of_an_inner_address_is_refused_though_it_is_allowed(
    place: ThreadingHTTPServer, start: str
) -> None:
    asked = len(place.asked)  # type: ignore[attr-defined]
    url = f"{start}:{place.server_port}/pics/"
    with pytest.raises(BadInput):
        Fetcher([url], 1000, 0.7)(url + "red.png")
    assert len(place.asked) == asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        *("http://user@127.0.0.1:{port}/pics/red.png", "http://a#@127.0.0.1:{port}/pics/red.png"),
        *(
            "http:\\\\127.0.0.1:{port}\\pics\\red.png",
            "file:///etc/passwd",
            "gopher://127.0.0.1:{port}/",
        ),
        *(
            "unix:/run/x",
            "ftp://127.0.0.1:{port}/pics/",
            "http:///pics/red.png",
            "http://127.0.0.1:x/",
        ),
        *(
            "http://127.0.0.1:{port}@evil.example/pics/",
            "http://127.0.0.1:99999/",
            "https:127.0.0.1",
            "http://",
        ),
        *("http://127.0.0.1:{port}.evil.example/pics/", "http://127.0.0.1:{port}/picsandmore/x"),
    ],
)
def test_odd_urls_are_refused(place: ThreadingHTTPServer, url: str) -> None:
    with pytest.raises(BadInput) as told:
        fetcher(place)(url.format(port=place.server_port))
    assert told.value.message == TEXT
