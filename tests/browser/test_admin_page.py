"""The operators' page in a real browser: who is let in, what moves, what is ordered, what is not run."""

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from clicking import opened, says
from needed import need
from proxying import proxying
from serving import Server, serving, wait_until

from headway.observe.exposition import exposition
from headway.observe.metrics import Board
from headway.observe.scrape import Scrape
from headway.observe.view import view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
TOKEN = "hw_an-operators-token"
YAML = """
server: {admin_address: "127.0.0.1:0", admin_token_file: tokens.txt, admin_page: true}
models:
  shout: {predictor: "loud.py:shout", workers: 2}
  calm: {predictor: "loud.py:calm", workers: 1}
"""
PREDICTORS = '''
def shout(text: str) -> str:
    """Say it louder."""
    if text == "boom":
        raise ValueError("<img src=x onerror=alert(1)>")
    return text.upper()


def calm(text: str) -> str:
    """Say it lower."""
    return text.lower()
'''


def write_project(folder: Path) -> Path:
    folder.joinpath("loud.py").write_text(PREDICTORS)
    folder.joinpath("headway.yaml").write_text(YAML)
    folder.joinpath("tokens.txt").write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(write_project(tmp_path_factory.mktemp("admin")), ".") as started:
        yield started


@pytest.fixture
def door(browser: "Browser", server: Server) -> Iterator["Page"]:
    """The page, before anybody is let in."""
    with opened(browser, server.info["admin_page"]) as page:
        yield page


@pytest.fixture
def page(door: "Page") -> "Page":
    """The page of who has the token."""
    enter(door, TOKEN)
    card(door, "shout").wait_for()
    return door


def enter(page: "Page", token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Use this token").click()


def card(page: "Page", model: str) -> "Locator":
    return page.get_by_role("region", name=model, exact=True)


def fact(place: "Locator", name: str) -> "Locator":
    """The value of a fact, by its name."""
    row = place.locator("dl div").filter(has=place.page.get_by_text(name, exact=True))
    return row.locator("dd")


def draws(line: "Locator") -> None:
    """Wait until a line has two points."""
    need("playwright.sync_api").expect(line).to_have_attribute("d", re.compile("L"))


def order(page: "Page", model: str, verb: str, *, answer: str = "") -> None:
    """Press a button, and say yes, or something else."""
    card(page, model).get_by_role("button", name=verb, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=answer or verb, exact=True).click()


def test_only_who_has_the_token_sees_anything(door: "Page") -> None:
    assert door.locator("#view").is_hidden()
    enter(door, "hw_wrong")
    door.get_by_text("A valid API key is needed").wait_for()
    enter(door, "hw_€")
    door.get_by_text("This is no key").wait_for()
    assert door.locator("#view").is_hidden()
    enter(door, TOKEN)
    card(door, "calm").wait_for()
    assert door.locator("#token-form").is_hidden()


def test_the_token_stays_in_its_tab_and_out_of_addresses(page: "Page", server: Server) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.reload()
    card(page, "shout").wait_for()
    assert addresses
    assert not [url for url in [*addresses, page.url] if TOKEN in url]
    assert page.context.cookies() == []
    assert page.evaluate("Object.keys(localStorage)") == []
    assert TOKEN not in server.log
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_label("Token").wait_for()
    page.get_by_role("button", name="Forget the token").click()
    page.get_by_label("Token").wait_for()
    assert card(page, "shout").count() == 0
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_numbers_move_when_somebody_asks(page: "Page", server: Server) -> None:
    shout = card(page, "shout")
    before = int(fact(shout, "requests").inner_text())
    for _ in range(5):
        assert server.ask("shout", {"text": "a"}).status == 200
    says(fact(shout, "requests"), str(before + 5))
    picture = shout.get_by_role("img", name="Latencies: ")
    picture.locator("rect").first.wait_for()
    assert "up to" in (picture.get_attribute("aria-label") or "")
    rate = shout.get_by_role("img", name="Requests a second: ")
    assert "at most" in (rate.get_attribute("aria-label") or "")
    draws(rate.locator("path.line"))


def test_its_figures_are_those_that_headway_top_works_out(page: "Page") -> None:
    board, seconds = Board.create(1, 1), 2.0
    tally = board.tally(0, 0)
    tally.answered(0, 0.004, 0.001)
    texts = [exposition(board, ["m"], started_s=1.0)]
    for latency_s in (0.0007, 0.003, 0.003, 0.02, 1.7):
        tally.answered(0, latency_s, 0.001)
        tally.executed(3)
    texts.append(exposition(board, ["m"], started_s=1.0))
    told = page.evaluate(
        """async ([before, after, seconds]) => {
            const { Scrape, rate, seen, mean, quantile } = await import("/admin/metrics.js");
            const [then, now] = [new Scrape(before, 0), new Scrape(after, 1000 * seconds)];
            const anew = new Scrape(before, 2000 * seconds);
            const took = seen(then, now, "request_seconds", "m");
            return {
                rate: rate(then, now, "requests_total", { model: "m" }),
                p50: quantile(took, 0.5),
                p99: quantile(took, 0.99),
                batch: mean(then, now, "batch_rows", "m"),
                anew: rate(now, anew, "requests_total", { model: "m" }),
            };
        }""",
        [*texts, seconds],
    )
    (model,) = view(Scrape(texts[0]), Scrape(texts[1]), seconds).models
    assert told["rate"] == model.outcomes["ok"] == 2.5
    assert told["p50"] == pytest.approx(model.p50_s)
    assert told["p99"] == pytest.approx(model.p99_s)
    assert told["batch"] == model.batch == 3
    assert told["anew"] == 0.5  # a counter that is less has begun anew: one, in two seconds


def test_a_killed_worker_is_seen_and_so_is_its_successor(page: "Page", server: Server) -> None:
    shout = card(page, "shout")
    pids = server.workers("shout")
    victim = pids[0]
    shout.get_by_role("cell", name=str(victim), exact=True).wait_for()
    os.kill(victim, signal.SIGKILL)
    shout.get_by_role("cell", name=str(victim), exact=True).wait_for(state="detached")
    server.wait_for_workers("shout", 2, without=victim)
    successor = next(pid for pid in server.workers("shout") if pid not in pids)
    row = shout.get_by_role("row").filter(has=page.get_by_role("cell", name=str(successor)))
    row.get_by_text("ready", exact=True).wait_for()
    assert "MB" in row.inner_text()
    page.get_by_role("listitem").filter(has_text="worker_ended").first.wait_for()
    assert int(fact(shout, "restarts").inner_text()) >= 1


def test_markup_in_an_error_is_shown_and_not_run(page: "Page", server: Server) -> None:
    assert server.ask("shout", {"text": "boom"}).status == 500
    line = page.get_by_role("listitem").filter(has_text="predict_failed").first
    line.get_by_text("Trace", exact=True).click()
    assert "<img src=x onerror=alert(1)>" in line.locator("pre").inner_text()
    assert page.locator("#errors img").count() == 0


def test_a_model_is_unloaded_and_loaded_by_a_button(page: "Page", server: Server) -> None:
    calm = card(page, "calm")
    order(page, "calm", "Unload", answer="Leave it")
    assert server.ask("calm", {"text": "A"}).json == "a"
    order(page, "calm", "Unload")
    says(calm.get_by_role("status"), "Unload: done.")
    assert server.ask("calm", {"text": "A"}).code == "unloaded"
    calm.get_by_role("button", name="Load", exact=True).wait_for()
    assert calm.get_by_role("button", name="Unload").is_disabled()
    order(page, "calm", "Load")
    says(calm.get_by_role("status"), "Load: done.")
    assert server.ask("calm", {"text": "A"}).json == "a"


def test_a_reload_that_fails_says_why(page: "Page", server: Server) -> None:
    code = server.path("loud.py")
    text = code.read_text()
    code.write_text("raise ImportError('<b>gone</b>')")
    try:
        order(page, "calm", "Reload")
        said = card(page, "calm").get_by_role("status")
        says(said, "Reload: load of 'calm'")
        assert "<b>" not in said.inner_html()
    finally:
        code.write_text(text)
    assert server.ask("calm", {"text": "A"}).json == "a"


def test_all_is_reloaded_by_the_keyboard_alone(page: "Page", server: Server) -> None:
    generation = server.status()["generation"]
    button = page.get_by_role("button", name="Reload all")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "reload-all"
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    wait_until(lambda: server.status()["generation"] > generation, "it reloads")


def test_an_order_is_asked_again_before_the_page_hears_that_it_was_left(
    page: "Page", server: Server
) -> None:
    generation = server.status()["generation"]
    page.evaluate(
        """async () => {
            const click = (id) => document.getElementById(id).click();
            click("reload-all");
            click("confirm-no");
            click("reload-all");
            await new Promise((done) => setTimeout(done, 100)); // the first one's `close` comes
            click("confirm-yes");
        }"""
    )
    wait_until(lambda: server.status()["generation"] > generation, "it reloads")


def test_nobody_looks_while_the_tab_is_hidden(page: "Page") -> None:
    hide = """(isHidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with page.expect_response("**/status"):
        pass
    page.evaluate(hide, True)
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)  # longer than the time between two looks
    assert asked == []
    with page.expect_response("**/status"):
        page.evaluate(hide, False)


def test_a_server_that_goes_away_and_comes_back(browser: "Browser", tmp_path: Path) -> None:
    write_project(tmp_path)
    with serving(tmp_path, ".") as first, opened(browser, first.info["admin_page"]) as page:
        enter(page, TOKEN)
        assert first.ask("shout", {"text": "boom"}).status == 500
        page.get_by_text("predict_failed").wait_for()
        first.process.send_signal(signal.SIGTERM)
        first.process.wait()
        page.get_by_text("The server does not answer; these are its last figures.").wait_for()
        place = first.info["admin_http"].rpartition("/")[2]
        with serving(tmp_path, ".", "--admin-address", place) as second:
            page.wait_for_selector("#notice", state="hidden")
            page.get_by_text(f"pid {second.info['pid']}").wait_for()
            page.get_by_text("None has been logged.").wait_for()
            assert second.ask("shout", {"text": "boom"}).status == 500
            page.get_by_text("predict_failed").wait_for()


def test_it_works_below_a_path_of_a_proxy(browser: "Browser", server: Server) -> None:
    port = int(server.info["admin_http"].rpartition(":")[2])
    with (
        proxying(port, "/ops", is_stripping=True) as shown,
        opened(browser, f"http://127.0.0.1:{shown}/ops/admin") as page,
    ):
        enter(page, TOKEN)
        order(page, "calm", "Reload")
        says(card(page, "calm").get_by_role("status"), "Reload: done.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_a_screen_reader(
    page: "Page", server: Server, scheme: Literal["light", "dark"]
) -> None:
    axe = need("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    assert server.ask("shout", {"text": "boom"}).status == 500
    page.get_by_text("predict_failed").first.wait_for()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    card(page, "calm").get_by_role("button", name="Unload").click()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Forget the token").click()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_shows_it_all(page: "Page", server: Server) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    shout = card(page, "shout")
    before = int(fact(shout, "requests").inner_text())
    for i in range(40):
        server.ask("shout", {"text": "a"})
        if i % 10 == 9:
            says(fact(shout, "requests"), str(before + i + 1))
    for name, size in {"phone": (390, 844), "desktop": (1100, 900)}.items():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.screenshot(path=SHOTS / f"admin-{name}.png", full_page=True)
