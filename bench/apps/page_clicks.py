"""Clicks through the page in Chromium, and times it. `page_clicks.py URL CLICKS MODEL...` prints JSON, in milliseconds.

A click begins with the event of the browser itself, and ends with the first frame that is drawn after the answer is
in the page. What the model took of it is the growth of `headway_compute_seconds_total`.
"""

import json
import re
import shutil
import sys
import urllib.request

from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
TIMED = """() => new Promise((done) => {
    const state = document.getElementById("latency");
    let clickedMs = 0;
    const seen = new MutationObserver(() => {
        if (!state.textContent.startsWith("answered")) return;
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - clickedMs)));
    });
    seen.observe(state, { childList: true, characterData: true, subtree: true });
    const button = document.querySelector("#form button[type=submit]");
    button.addEventListener("click", (event) => { clickedMs = event.timeStamp; }, { once: true, capture: true });
})"""


def compute_s(url: str, model: str) -> float:
    """Seconds that a model has computed so far."""
    with urllib.request.urlopen(f"{url}metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.search(
        rf'^headway_compute_seconds_total{{model="{model}"}} (.+)$', text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def click(page: Page) -> float:
    """Click once; milliseconds until the answer is drawn."""
    page.evaluate(f"() => {{ window.timed = ({TIMED})(); }}")
    page.get_by_role("button", name="Ask", exact=True).click()
    return float(page.evaluate("() => window.timed"))


def main(url: str, clicks: int, models: list[str]) -> None:
    """Print by model: what each click took, and what the model took of it."""
    found: dict[str, list[tuple[float, float]]] = {}
    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = chromium.new_page()
        page.goto(url)
        for model in models:
            page.get_by_role("navigation").get_by_role("button", name=model, exact=True).click()
            page.wait_for_function(
                "name => document.getElementById('name').textContent === name", arg=model
            )
            page.get_by_label("text", exact=True).fill("A joy from start to end.")
            click(page)  # the first one opens the connection
            for _ in range(clicks):
                before_s = compute_s(url, model)
                took_ms = click(page)
                model_ms = 1000 * (compute_s(url, model) - before_s)
                found.setdefault(model, []).append((took_ms, model_ms))
        version = chromium.version
        chromium.close()
    json.dump({"browser": f"Chromium {version}", "clicks": found}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
