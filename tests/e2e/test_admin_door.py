"""The operators' page on a bare socket: who gets its files, who gets its figures, and what they hold."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rawclient import Raw, Told
from serving import Server, serving, starting, wait_until

TOKEN = "hw_an-operators-token"
PAGE = ("/admin", "/admin/admin.js", "/admin/dom.js", "/admin/style.css", "/admin/icon.svg")
FIGURES = ("/status", "/metrics", "/errors", "/errors?after=1")
PREDICTOR = '''
import logging

log = logging.getLogger("mine")


def tell(text: str) -> str:
    """Log an error that holds secrets, or fail."""
    if text == "fail":
        raise ValueError("it can't be told")
    log.error("sent Bearer abcdef0123456789", extra={"password": "open sesame", "text": text})
    return text
'''


def write_project(folder: Path, server: str) -> None:
    folder.joinpath("tell.py").write_text(PREDICTOR)
    folder.joinpath("tokens.txt").write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    folder.joinpath("headway.yaml").write_text(
        f"server: {{{server}}}\nmodels: {{discreet: {{predictor: 'tell.py:tell', workers: 1}}}}"
    )


ADDRESS = 'admin_address: "127.0.0.1:0", admin_token_file: tokens.txt, hosts: models.example'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("door")
    write_project(folder, f"{ADDRESS}, admin_page: true")
    with serving(folder, ".") as started:
        yield started


def place(server: Server) -> tuple[str, int]:
    found = urlsplit(server.info["admin_http"])
    return found.netloc, int(found.port or 0)


def ask(server: Server, method: str, path: str, **headers: str) -> Told:
    """Ask on a bare socket; a header that is "" is left out."""
    host, port = place(server)
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in given.items() if v)]
    with Raw(port, 20) as raw:
        raw.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        return raw.read(is_bodiless=method == "HEAD")


def by_token(server: Server, path: str) -> Told:
    return ask(server, "GET", path, authorization=f"Bearer {TOKEN}")


WRONG: Mapping[str, tuple[Mapping[str, str], int]] = {
    "another name": ({"host": "evil.example"}, 421),
    "a name that begins as ours": ({"host": "127.0.0.1.evil.com"}, 421),
    "no name": ({"host": ""}, 400),
    "a page of another site": ({"origin": "https://evil.example"}, 403),
    "a page of nobody's": ({"origin": "null"}, 403),
    "cross-site": ({"sec_fetch_site": "cross-site"}, 403),
    "same-site": ({"sec_fetch_site": "same-site"}, 403),
    "a form": ({"content_type": "application/x-www-form-urlencoded"}, 415),
    "plain text": ({"content_type": "text/plain"}, 415),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_no_other_site_gets_anything(server: Server, wrong: str, method: str) -> None:
    headers, status = WRONG[wrong]
    for path, token in itertools.product((*PAGE, *FIGURES), ("", f"Bearer {TOKEN}")):
        assert ask(server, method, path, authorization=token, **headers).status == status
    assert server.process.poll() is None


@pytest.mark.parametrize("path", PAGE)
def test_the_page_holds_nothing_and_so_needs_no_token(server: Server, path: str) -> None:
    told = ask(server, "GET", path)
    assert told.status == 200
    policy = told.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "trusted-types 'none'" in policy
    assert told.headers["referrer-policy"] == "no-referrer"
    assert told.headers["cache-control"] == "no-cache"
    assert "access-control-allow-origin" not in told.headers
    assert b"discreet" not in told.body
    assert ask(server, "HEAD", path).headers["etag"] == told.headers["etag"]
    assert ask(server, "GET", path, if_none_match=told.headers["etag"]).status == 304
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, method, path).status == 401
    assert ask(server, "GET", f"{path}/../status").status in (400, 401)
    assert ask(server, "GET", f"{path}?token={TOKEN}").status == 401
    assert TOKEN not in server.log


def test_figures_need_a_token(server: Server) -> None:
    for path in FIGURES:
        assert ask(server, "GET", path).status == 401
        assert ask(server, "GET", path, authorization="Bearer hw_another").status == 401
        assert by_token(server, path).status == 200
    assert by_token(server, "/metrics").body.startswith(b"# HELP headway_requests_total")
    assert by_token(server, "/errors?before=1").status == 400
    assert by_token(server, f"/errors?after=1&token={TOKEN}").status == 401


def test_pages_and_names_of_the_operators_may(server: Server) -> None:
    host, _ = place(server)
    assert ask(server, "GET", "/admin", host="models.example").status == 200
    assert ask(server, "GET", "/admin", origin=f"http://{host}").status == 200
    assert ask(server, "GET", "/admin", sec_fetch_site="same-origin").status == 200
    assert ask(server, "GET", "/admin", sec_fetch_site="none").status == 200


def test_the_page_is_not_where_callers_ask(server: Server) -> None:
    assert server.call("GET", "/admin").status == 404
    assert server.call("GET", "/errors").status == 404
    assert server.call("GET", "/status").status == 404


def test_errors_are_kept_without_their_secrets(server: Server) -> None:
    before = server.admin("GET", "/errors").json["last"]
    for text in ("one", "two", "fail"):
        server.ask("discreet", {"text": text})

    def told() -> list[Mapping[str, str]]:
        found: list[Mapping[str, str]] = server.admin("GET", f"/errors?after={before}").json[
            "errors"
        ]
        return found

    wait_until(lambda: len(told()) == 3, "three errors are told")
    one, two, failed = told()
    assert [error["number"] for error in told()] == [before + 1, before + 2, before + 3]
    assert (one["message"], one["password"]) == ("sent Bearer ***", "***")
    assert (two["text"], two["process"], two["level"]) == ("two", "discreet-1", "error")
    assert failed["message"] == "predict_failed"
    assert "it can't be told" in failed["exception"]
    assert "abcdef0123456789" not in str(told())


def test_the_page_is_there_only_where_it_is_asked_for(tmp_path: Path) -> None:
    write_project(tmp_path, ADDRESS)
    with serving(tmp_path, ".") as server:
        assert "admin_page" not in server.info
        for path in PAGE:
            assert ask(server, "GET", path).status == 401
            assert by_token(server, path).status == 404
        text = server.path("headway.yaml").read_text()
        server.path("headway.yaml").write_text(text.replace("hosts", "admin_page: true, hosts"))
        assert server.admin("POST", "/reload").status == 202
        assert ask(server, "GET", "/admin").status == 200


def test_a_page_without_an_address_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path, "admin_page: true")
    with starting(tmp_path, ".", "--port", "0") as server:
        assert server.wait() == 2
        assert "it needs `admin_address` and a token" in server.log
