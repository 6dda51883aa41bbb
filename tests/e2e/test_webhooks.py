"""Webhooks, with a receiver that is a process of its own: who may be told, and receivers on bad days."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from receiver import Receiver, free_port, receiving
from serving import JSON, Server, serving, wait_until, write_subjects

ASYNC = {**JSON, "prefer": "respond-async"}
TEXT = "webhook: this URL may not be told; the server's operator allows some (webhook_urls)"


@dataclass
class Pair:
    """A server and a receiver that it may tell."""

    server: Server
    receiver: Receiver
    away: int
    """A port that may be told and where nobody listens."""
    folder: Path

    def begin(self, url: str, text: str = "a", **headers: str) -> str:
        """Ask for a job that is told there; its path."""
        given = {**ASYNC, "headway-webhook": url, **headers}
        taken = self.server.ask("subjects", {"text": text}, given)
        assert taken.status == 202, taken.body
        path: str = taken.headers["location"]
        return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, away = tmp_path_factory.mktemp("webhooks"), free_port()
    write_subjects(folder)
    with ExitStack() as opened:
        receiver = opened.enter_context(receiving(folder))
        places = [
            receiver.place,
            f"http://localhost:{receiver.port}/hooks/",
            f"http://127.0.0.1:{away}/hooks/",
        ]
        flags = ["--webhook-urls", ",".join(places), "--log-level", "debug", "--workers", "1"]
        server = opened.enter_context(serving(folder, "subjects.py:Gate", *flags))
        yield Pair(server, receiver, away, folder)


def test_the_end_is_told_when_the_result_is_there(pair: Pair) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    path = pair.begin(pair.receiver.place + "ok/1?a=b", traceparent=parent)
    (told,) = pair.receiver.wait_for("ok/1")
    assert told["path"] == "/hooks/ok/1?a=b"
    assert told["body"] == pair.server.call("GET", path).json
    assert told["body"]["status"] == "succeeded"
    assert pair.server.call("GET", told["body"]["result"]).json == "A"
    assert told["headers"]["content-type"] == "application/json"
    assert told["headers"]["host"] == f"127.0.0.1:{pair.receiver.port}"
    assert told["headers"]["user-agent"].startswith("headway/")
    assert told["headers"]["traceparent"] == parent


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0177.0.0.1/"),
        *("http://0x7f.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/"),
        *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[fd00::1]/"),
        *("http://user@127.0.0.1:{port}/hooks/x", "http://127.0.0.1:{port}@evil.com/hooks/"),
        *("http://evil.com/#@127.0.0.1:{port}/hooks/", "http://evil.com\\@127.0.0.1:{port}/hooks/"),
        *("file:///etc/passwd", "gopher://127.0.0.1:{port}/hooks/", "unix:/run/docker.sock"),
        *("http://127.0.0.1:22/hooks/", "https://127.0.0.1:{port}/hooks/", "x", "http://"),
        *("http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/hooks/../x", "//127.0.0.1/hooks/"),
        "http://127.0.0.1:{port}/hooks/%2e%2e/x",
    ],
)
def test_who_is_not_allowed_is_never_told_and_all_refusals_have_one_text(
    pair: Pair, url: str
) -> None:
    headers = {**ASYNC, "headway-webhook": url.format(port=pair.receiver.port)}
    refused = pair.server.ask("subjects", {"text": "refused"}, headers)
    assert (refused.status, refused.code, refused.json["error"]) == (400, "bad_input", TEXT)
    assert "refused" not in pair.server.lines("entered.txt")


def test_a_name_that_means_a_private_address_when_it_is_told_is_not_told(pair: Pair) -> None:
    """As a name would whose address has changed since the operator allowed it."""
    path = pair.begin(f"http://localhost:{pair.receiver.port}/hooks/ok/rebound")
    wait_for_end(pair, path)
    wait_until(lambda: failures(pair, "not public"), "the log says why")
    assert pair.receiver.told("rebound") == []


def failures(pair: Pair, reason: str) -> list[object]:
    return [r for r in pair.server.records("webhook_failed") if reason in r["reason"]]


def wait_for_end(pair: Pair, path: str) -> None:
    wait_until(lambda: pair.server.call("GET", path).json["ended_at"], f"{path} has ended")


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/", "{place}ok/moved"])
def test_a_redirect_is_followed_nowhere(pair: Pair, where: str) -> None:
    kind = f"to/{where.format(place=pair.receiver.place)}"
    pair.begin(pair.receiver.place + kind)
    pair.receiver.wait_for(kind)
    wait_until(lambda: failures(pair, "status 302"), "it counts as a failure")
    assert [t for t in pair.receiver.told("ok/moved") if "/to/" not in t["path"]] == []
    assert len(pair.receiver.told(kind)) == 1


def test_a_receiver_that_fails_is_told_the_same_again(pair: Pair) -> None:
    pair.begin(pair.receiver.place + "fails/3")
    told = pair.receiver.wait_for("fails/3", 4)
    assert [t["body"] for t in told] == [told[0]["body"]] * 4


def test_a_receiver_that_has_no_use_for_it_is_told_once(pair: Pair) -> None:
    pair.begin(pair.receiver.place + "gone/x")
    pair.receiver.wait_for("gone/x")
    wait_until(lambda: failures(pair, "status 404"), "it is given up")
    pair.begin(pair.receiver.place + "fails/2")
    pair.receiver.wait_for("fails/2", 3)
    assert len(pair.receiver.told("gone/x")) == 1


def test_a_receiver_that_is_away_is_told_when_it_is_back(pair: Pair, tmp_path: Path) -> None:
    path = pair.begin(f"http://127.0.0.1:{pair.away}/hooks/ok/back")
    wait_for_end(pair, path)
    wait_until(lambda: failures(pair, "ConnectionRefused"), "it is away")
    with receiving(tmp_path, pair.away) as back:
        back.wait_for("ok/back")


@pytest.mark.parametrize("kind", ["slow", "endless", "noise"])
def test_a_receiver_that_holds_on_holds_nobody_else_up(pair: Pair, kind: str) -> None:
    for number in range(3):
        pair.begin(f"{pair.receiver.place}{kind}/{number}")
    pair.receiver.wait_for(f"{kind}/", 3)
    pair.begin(f"{pair.receiver.place}ok/beside-{kind}")
    pair.receiver.wait_for(f"beside-{kind}")
    assert pair.server.ask("subjects", {"text": "usual"}).json == "USUAL"
    assert pair.server.call("GET", "/health/live").status == 200


def test_without_the_setting_nobody_is_told(tmp_path: Path) -> None:
    write_subjects(tmp_path)
    with receiving(tmp_path) as receiver, serving(tmp_path, "subjects.py:Gate") as server:
        headers = {**ASYNC, "headway-webhook": receiver.place + "ok"}
        refused = server.ask("subjects", {"text": "a"}, headers)
        assert (refused.status, refused.json["error"]) == (400, TEXT)
        assert receiver.told() == []
