"""What people do with the page beside asking once: feedback, links, rows, code, by phone, by keyboard, in trouble."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from clicking import ask, choose, opened, press, says, upload
from needed import need
from serving import Server, serving, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


def said_of(page: "Page") -> tuple[int, int]:
    """How many have called an answer of version 1 good, and how many bad: other tests have their say too."""
    counts = re.search(
        r"version 1: (\d+) good, (\d+) bad", page.locator("#feedback-count").inner_text()
    )
    return (int(counts[1]), int(counts[2])) if counts else (0, 0)


def test_feedback_goes_there_and_comes_back(page: "Page", server: Server, tmp_path: Path) -> None:
    page.get_by_label("text", exact=True).fill("so la la")
    ask(page)
    page.get_by_role("button", name="Wrong").click()  # it is there once the counts are
    good, bad = said_of(page)
    page.get_by_label("The right answer is").fill('{"long": 1.0}')
    page.get_by_label("Comment").fill("=HYPERLINK(1) <b>no</b>")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Kept. Thank you.").wait_for()
    assert page.get_by_role("button", name="Send").is_hidden()  # it is said once
    assert said_of(page) == (good, bad + 1)
    out = tmp_path / "said.jsonl"
    command = [sys.executable, "-m", "headway", "feedback", "export", "--to", str(out)]
    subprocess.run(
        [*command, "--file", str(server.folder / "said.db")], check=True, capture_output=True
    )
    said = [json.loads(line) for line in out.read_text().splitlines()][-1]
    assert (said["model"], said["version"], said["verdict"]) == ("shares", "1", "bad")
    assert said["input"] == {"text": "so la la"}
    assert said["output"]["short"] == 1 - 8 / 50
    assert (said["expected"], said["comment"]) == ({"long": 1.0}, "=HYPERLINK(1) <b>no</b>")
    assert said["request_id"] in page.locator("#latency").inner_text()


def test_a_link_carries_the_question(page: "Page") -> None:
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("-21")
    page.get_by_label("name", exact=True).fill("Zoë & <Co>")
    page.get_by_role("button", name="Copy a link").click()
    page.get_by_text("The link is copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    other = page.context.new_page()
    other.goto(link)
    other.wait_for_selector("#model:not([hidden])")
    assert other.get_by_label("number", exact=True).input_value() == "-21"
    assert other.get_by_label("name", exact=True).input_value() == "Zoë & <Co>"
    other.get_by_role("button", name="Ask", exact=True).click()
    other.wait_for_selector("#answer.wrong")
    assert "number is below 0" in other.locator("#answer").inner_text()


def test_a_link_is_followed_while_the_page_is_open(page: "Page") -> None:
    choose(page, "shares")
    page.evaluate("""location.hash = '#double?input={"number":4,"name":"x"}'""")
    says(page.locator("#name"), "double")
    assert page.get_by_label("number", exact=True).input_value() == "4"


def test_a_link_is_followed_while_another_model_is_on_its_way(page: "Page") -> None:
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    def overtaken(route: "Route") -> None:
        held[0].continue_()
        route.fulfill(response=route.fetch())

    page.route("**/models/shares", hold)
    page.route("**/models", overtaken)
    choose(page, "shares")
    page.evaluate("location.hash = '#double'")
    says(page.locator("#name"), "double")


@pytest.mark.parametrize("link", ["#key=%zz", "#%zz", '#double?input="x"', "#double?input=[1"])
def test_a_broken_link_shows_a_model_all_the_same(page: "Page", link: str) -> None:
    page.goto("about:blank")
    page.go_back()
    page.evaluate("link => { location.hash = link; location.reload(); }", link)
    page.wait_for_selector("#model:not([hidden])")


NAMES = """
from typing import Any
import headway as hw

@hw.predictor
def unsaid(flag: bool | None = None, tags: list[str] | None = None, more: bool = False) -> Any:
    return {"flag": flag, "tags": tags, "more": more}
"""
ECHO = {"inputs": [{"name": "input.1", "dtype": "int64"}]}
MODELS = {"unsaid": {"predictor": "names.py:unsaid"}, "dotted": {"predictor": "dotted.echo"}}


def test_what_may_be_nothing_is_nothing_until_said_and_names_may_have_dots(
    browser: "Browser", tmp_path: Path
) -> None:
    (tmp_path / "names.py").write_text(NAMES)
    (tmp_path / "dotted.echo").write_text(json.dumps(ECHO))
    (tmp_path / "headway.yaml").write_text(json.dumps({"models": MODELS}))
    with (
        serving(tmp_path, ".") as server,
        opened(browser, f"http://127.0.0.1:{server.port}/#unsaid") as page,
    ):
        page.wait_for_selector("#model:not([hidden])")
        answer = ask(page).locator("pre").text_content() or ""
        assert json.loads(answer) == {"flag": None, "tags": None, "more": False}
        page.get_by_label("flag (optional)").select_option("false")
        answer = ask(page).locator("pre").text_content() or ""
        assert json.loads(answer) == {"flag": False, "tags": None, "more": False}
        choose(page, "dotted")
        rows = upload("r.csv", "text/csv", b"input.1\n4\n5")
        page.get_by_label("A file of rows").set_input_files(rows)
        page.get_by_text("2 of 2 rows").wait_for()


def ask_again(page: "Page") -> str:
    """Press the button; what the page says then."""
    press(page)
    latency = page.locator("#latency:not(:empty)")
    latency.wait_for()
    return latency.inner_text()


def test_a_form_follows_a_model_that_takes_other_inputs(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def p(text: str) -> str:\n    return text\n")
    with (
        serving(tmp_path, "p.py", "--reload", "--gateways", "1", "--workers", "1") as server,
        opened(browser, f"http://127.0.0.1:{server.port}/") as page,
    ):
        page.wait_for_selector("#model:not([hidden])")
        page.get_by_label("text", exact=True).fill("ab")
        assert ask(page).inner_text() == "ab"
        changed = "def p(text: str, times: int) -> str:\n    return text * times\n"
        (tmp_path / "p.py").write_text(changed)
        # Until the new worker is ready the old one answers.
        wait_until(lambda: not ask_again(page).startswith("answered"), "it is reloaded")
        says(page.locator("#latency"), "This model takes other inputs now")
        assert page.get_by_label("text", exact=True).input_value() == "ab"
        page.get_by_label("times", exact=True).fill("2")
        assert ask(page).inner_text() == "abab"


def test_rows_are_uploaded_answered_and_saved(page: "Page") -> None:
    choose(page, "double")
    rows = [f"{i},=n{i}" for i in range(-1, 149)]
    text = "\n".join(["number,name", *rows])
    page.get_by_label("A file of rows").set_input_files(upload("r.csv", "text/csv", text.encode()))
    page.get_by_text("150 of 150 rows, 1 refused").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the answers as CSV").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert lines[0] == "number,name,error,output.number,output.name"
    assert lines[1] == "-1,'=n-1,number is below 0,,"
    assert lines[-1] == "148,'=n148,,296,'=n148"
    bad = upload("r.csv", "text/csv", b"number,nam\n1,x")
    page.get_by_label("A file of rows").set_input_files(bad)
    page.get_by_text("No input is called nam; expected number, name.").wait_for()


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_program_that_is_shown_gives_the_same_answer(page: "Page", language: str) -> None:
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("21")
    page.get_by_label("name", exact=True).fill('it\'s "quoted" true $HOME `x` ü')
    page.get_by_role("group", name="The same as a program").get_by_role(
        "button", name=language
    ).click()
    code = page.locator("#code").inner_text()
    command = ["bash", "-c", f"{code} -s"] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(ran.stdout) if language == "curl" else eval(ran.stdout)
    assert answer == {"number": 42, "name": 'it\'s "quoted" true $HOME `x` ü'}


def test_the_javascript_that_is_shown_gives_the_same_answer(page: "Page") -> None:
    choose(page, "double")
    page.get_by_label("number", exact=True).fill("21")
    page.get_by_label("name", exact=True).fill("x")
    page.get_by_role("group", name="The same as a program").get_by_role(
        "button", name="JavaScript"
    ).click()
    code = page.locator("#code").inner_text().replace("console.log(await", "return (await")
    assert page.evaluate(f"(async () => {{ {code} }})()") == {"number": 42, "name": "x"}


def test_a_slow_model_can_be_stopped(page: "Page") -> None:
    choose(page, "slow")
    page.get_by_label("seconds (optional)").fill("30")
    press(page)
    says(page.locator("#latency"), "asked 1 s ago")
    page.get_by_role("button", name="Stop", exact=True).first.click()
    says(page.locator("#latency"), "stopped")


def test_a_file_that_is_too_large_is_refused_by_the_page(page: "Page", tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(2**31)
    choose(page, "mirror")
    page.get_by_label("photo").set_input_files(large)
    page.get_by_text("large.png has 2048 MB; this page sends at most 48 MB.").wait_for()


def test_a_server_that_goes_away_and_comes_back(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def p(text: str) -> str:\n    return text.upper()\n")
    context = browser.new_context()
    page = context.new_page()
    with serving(tmp_path, "p.py") as first:
        page.goto(f"http://127.0.0.1:{first.port}/")
        page.get_by_label("text", exact=True).fill("hi")
        ask(page)
        os.kill(first.process.pid, signal.SIGTERM)
        first.process.wait()
        press(page)
        page.get_by_text(
            "The server does not answer; this page goes on when it is back."
        ).wait_for()
        with serving(tmp_path, "p.py", "--port", str(first.port)):
            page.wait_for_selector("#notice", state="hidden")
            assert ask(page).inner_text() == "HI"
    context.close()


def test_a_page_with_a_key_in_its_link_asks_with_it(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def p(text: str) -> str:\n    return text.upper()\n")
    made = subprocess.run(
        [sys.executable, "-m", "headway", "key"], capture_output=True, text=True, check=True
    )
    (tmp_path / "keys.txt").write_text(made.stdout)
    key = made.stderr.rpartition(" ")[2].strip()
    context = browser.new_context()
    page = context.new_page()
    with serving(tmp_path, "p.py", "--key-file", "keys.txt") as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.get_by_label("API key").wait_for()
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Use this key").click()
        page.get_by_text("A valid API key is needed").wait_for()
        page.get_by_label("API key").fill("hw_€")
        page.get_by_role("button", name="Use this key").click()
        page.get_by_text("This is no key").wait_for()
        page.goto("about:blank")
        page.goto(f"http://127.0.0.1:{server.port}/#key={key}")
        page.get_by_label("text", exact=True).fill("hi")
        assert ask(page).inner_text() == "HI"
        assert key not in page.url
    context.close()


@pytest.mark.parametrize("model", ["shares", "everything", "mirror", "digit", "listen"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_a_screen_reader(
    page: "Page", model: str, scheme: Literal["light", "dark"]
) -> None:
    axe = need("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    choose(page, model)
    if model in {"shares", "everything"}:
        ask(page)
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_keyboard_is_enough(page: "Page") -> None:
    page.get_by_label("text", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("typed")
    page.keyboard.press("Control+Enter")
    says(page.locator("#latency"), "answered")
    page.get_by_role("button", name="Right").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "say-bad"


def test_a_phone_shows_it_all(page: "Page") -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, size in {"phone": (390, 844), "desktop": (1100, 900)}.items():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        choose(page, "shares")
        ask(page)
        page.screenshot(path=SHOTS / f"page-{name}.png", full_page=True)
        choose(page, "everything")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0]
        page.screenshot(path=SHOTS / f"form-{name}.png", full_page=True)
