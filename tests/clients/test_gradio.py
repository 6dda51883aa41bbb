"""A Gradio app made from the signature: in a browser it asks a real server, and shows what that answers."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import pytest
from chromium import looking_at
from clicking import upload
from serving import wait_until

from headway import plugins

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PAGE = Path(__file__).parents[1] / "browser"
PLAYS = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
ADDRESS = re.compile(r"Running on local URL: +(http://127\.0\.0\.1:\d+)")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`headway ui --gradio`, where Gradio is installed; it ends in good order."""
    folder = tmp_path_factory.mktemp("gradio")
    shutil.copy(PAGE / "page_subjects.py", folder)
    # What reads recordings is not installed there.
    lines = (PAGE / "headway.yaml").read_text().splitlines()
    folder.joinpath("headway.yaml").write_text("\n".join(x for x in lines if "listen" not in x))
    command = [apps.python_of("gradio"), "-m", "headway", "ui", ".", "--gradio", "--no-open"]
    settings = ["--port", "0", "--feedback", ""]
    # Not beside the code, which is watched.
    home = tmp_path_factory.mktemp("home")
    log = home / "ui.log"
    told = {**apps.environment_of(home), "HEADWAY_DRAIN_DELAY_S": "0"}
    told["XDG_RUNTIME_DIR"] = str(home)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *settings],
            cwd=folder,
            env=told,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    with process:
        try:

            def address() -> str:
                assert process.poll() is None, log.read_text()
                found = ADDRESS.search(log.read_text())
                return found[1] if found else ""

            wait_until(address, f"Gradio runs: {log}", apps.START_S)
            yield address()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    with looking_at(browser, address) as opened:
        yield opened


def choose(page: "Page", model: str) -> "Locator":
    """Take a model's tab; what it shows."""
    page.get_by_role("tab", name=model, exact=True).click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_role("heading", name=model).wait_for()
    return panel


def ask(panel: "Locator") -> None:
    panel.get_by_role("button", name="Ask", exact=True).click()


def test_shares_are_a_label_and_examples_fill_the_form(page: "Page") -> None:
    panel = choose(page, "shares")
    panel.get_by_text("A joy from start to end.").click()
    wait_until(lambda: panel.get_by_label("text").input_value(), "the example is there")
    ask(panel)
    panel.get_by_text("52%").wait_for()
    apps.SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=apps.SHOTS / "gradio.png")


def test_what_the_service_refuses_is_said_in_its_words(page: "Page") -> None:
    panel = choose(page, "double")
    panel.get_by_label("number").fill("-1")
    panel.get_by_label("name").fill("Zoë & <Co>")
    ask(panel)
    page.get_by_text("number is below 0").first.wait_for()
    panel.get_by_label("number").fill("21")
    ask(panel)
    panel.get_by_text("42").first.wait_for()
    panel.get_by_text("Zoë & <Co>").last.wait_for()


def test_every_kind_of_input_reaches_the_model(page: "Page") -> None:
    panel = choose(page, "everything")
    panel.locator("table tr.tr-body, .gallery button, td").first.click()
    count = panel.locator("input[type=number]").first
    wait_until(lambda: count.input_value() == "2", "the example is there")
    ask(panel)
    panel.get_by_text("Ada 36.0 second 2000-01-01 ['a'] 2 True {'a': 1.0} 0 0").wait_for()


def test_a_picture_is_uploaded_and_comes_back(page: "Page") -> None:
    import io

    import PIL.Image

    out = io.BytesIO()
    PIL.Image.new("RGB", (6, 4), (200, 0, 0)).save(out, "PNG")
    panel = choose(page, "mirror")
    panel.locator("input[type=file]").first.set_input_files(
        upload("red.png", "image/png", out.getvalue())
    )
    panel.locator("img").first.wait_for()
    ask(panel)
    image = panel.locator("img").nth(1)
    image.wait_for()
    assert image.evaluate(PLAYS) == [6, 4]


def test_a_stream_is_shown_as_it_comes(page: "Page") -> None:
    panel = choose(page, "words")
    panel.get_by_label("text").fill("one two three")
    ask(panel)
    wait_until(lambda: panel.get_by_label("answer").input_value() == "one two three ", "it is said")


def test_a_space_starts_the_service_and_its_page_in_one_container(
    browser: "Browser", tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copy(PAGE / "page_subjects.py", tmp_path)
    tmp_path.joinpath("headway.yaml").write_text("predictor: page_subjects.py:double\n")
    out = apps.export(tmp_path, "space-gradio")
    assert {p.name for p in out.joinpath("bundle").iterdir()} == {
        "page_subjects.py",
        "headway.yaml",
    }
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    told = {"GRADIO_SERVER_PORT": port, "HEADWAY_DRAIN_DELAY_S": "0"}
    told["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("run"))
    command = [apps.python_of("gradio"), "app.py"]
    with (
        apps.running(command, out, url, **told),
        looking_at(browser, url) as page,
    ):
        page.get_by_label("number").fill("21")
        page.get_by_label("name").fill("x")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text("42").first.wait_for()
    ready = re.search(
        r"^ready: http://127\.0\.0\.1:(\d+)", (out / "app.log").read_text(), re.MULTILINE
    )
    assert ready
    wait_until(lambda: not listens(int(ready[1])), "the service has ended with it")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_gradio_that_a_space_names_is_the_one_that_was_tested() -> None:
    pinned = (Path(__file__).parent / "gradio" / "requirements.txt").read_text()
    assert f"gradio=={plugins.literal('targets', 'space_gradio', 'SDK_VERSION')}" in pinned


def test_gradios_own_client_asks_by_the_models_name(
    address: str, run_client: Callable[..., Any]
) -> None:
    offline = {"HF_HUB_OFFLINE": "1"}
    assert run_client("gradio", "ask.py", address, "double", '[21, "x"]', **offline) == {
        "number": 42,
        "name": "x",
    }
    shares = run_client("gradio", "ask.py", address, "shares", '["so la la"]', **offline)
    assert shares["label"] == "short"


@pytest.mark.parametrize("kind", ["docker", "gradio"])
def test_the_hubs_own_library_reads_the_head_of_a_space(
    kind: str, tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    shutil.copy(PAGE / "page_subjects.py", tmp_path)
    tmp_path.joinpath("headway.yaml").write_text("predictor: page_subjects.py:double\n")
    out = apps.export(tmp_path, f"space-{kind}")
    card = run_client("gradio", "card.py", out / "README.md", HF_HUB_OFFLINE="1")
    assert (card["title"], card["sdk"]) == ("page_subjects", kind)
    assert card.get("app_port") == (7860 if kind == "docker" else None)
