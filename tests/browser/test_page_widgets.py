"""Each widget of the page is typed into, clicked and answered, in a real browser."""

import io
import re
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
from clicking import ask, choose, press, says, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page


PLAYS = "v => v.videoWidth || new Promise((done) => v.addEventListener('loadedmetadata', done))"
"""A video has its first picture."""


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (10, 200, 30)).save(out, "PNG")
    return out.getvalue()


def test_a_text_is_typed_and_answered_with_bars(page: "Page") -> None:
    page.get_by_label("text", exact=True).fill("fine")
    answer = ask(page)
    assert answer.locator("meter").count() == 3
    assert answer.locator(".bars span").first.inner_text() == "short"
    assert re.search(
        r"answered in [0-9.]+ ms by version 1, request \w+", page.locator("#latency").inner_text()
    )


def test_an_example_is_clicked_and_markup_in_it_stays_text(page: "Page") -> None:
    page.get_by_role("button", name="<img src=x onerror=alert(1)>").click()
    says(page.locator("#latency"), "answered")
    assert page.get_by_label("text", exact=True).input_value() == "<img src=x onerror=alert(1)>"
    assert "<b>bold</b>" in page.locator("#answer").inner_text()
    assert "<script>alert(2)</script>" in page.locator("#doc").inner_text()
    assert page.locator("#answer img, #doc script").count() == 0


def test_numbers_choices_switches_dates_lists_and_tables(page: "Page") -> None:
    choose(page, "everything")
    page.get_by_label("name", exact=True).fill("Bo")
    page.get_by_label("age (optional)").fill("")
    page.get_by_label("cabin (optional)").select_option(label="first")
    page.get_by_label("born (optional)").fill("1999-12-31")
    page.get_by_label("item 1").fill("red")
    page.get_by_role("button", name="Add one").click()
    page.get_by_label("item 2").fill("green")
    page.get_by_label("count", exact=True).fill("7")
    page.get_by_role("switch").uncheck()
    page.get_by_label("weights").fill('{"w": 0.5}')
    page.get_by_label("name, row 1").fill("Cy")
    page.get_by_label("age, row 1").fill("9")
    page.get_by_role("button", name="Add a row").click()
    page.get_by_label("name, row 2").fill("Di")
    page.get_by_label("age, row 2").fill("8")
    page.get_by_label("long (optional)").fill("9007199254740993")
    said = ask(page).locator("dd").inner_text()
    assert said == "Bo None first 1999-12-31 ['red', 'green'] 7 False {'w': 0.5} 2 9007199254740993"


def test_a_table_is_pasted_from_a_spreadsheet(page: "Page") -> None:
    choose(page, "everything")
    page.get_by_label("name, row 1").focus()
    page.evaluate(
        "navigator.clipboard.writeText('name\\tage\\tcabin\\nEd\\t1\\tfirst\\nFi\\t2\\tsecond\\nGo\\t3\\tfirst')"
    )
    page.keyboard.press("Control+V")
    assert page.get_by_label("name, row 3").input_value() == "Go"
    assert ask(page).locator("dd").inner_text().endswith(" 3 0")


def test_what_is_wrong_is_said_at_its_field(page: "Page") -> None:
    choose(page, "everything")
    page.get_by_label("count", exact=True).fill("11")
    press(page)
    count = page.get_by_label("count", exact=True)
    assert count.get_attribute("aria-invalid") == "true"
    described = count.get_attribute("aria-describedby") or ""
    texts = [page.locator(f"#{name}").inner_text() for name in described.split()]
    assert "at least 0; at most 10" in texts[0]
    assert "10" in texts[1]
    count.fill("3")
    ask(page)
    assert count.get_attribute("aria-invalid") is None


def test_what_the_server_refuses_is_said_at_the_field_that_it_names(page: "Page") -> None:
    choose(page, "mirror")
    page.get_by_label("photo").set_input_files(upload("cat.png", "image/png", b"MZ" + b"\0" * 99))
    press(page)
    page.wait_for_selector("#answer.wrong")
    assert page.locator("#latency").inner_text() == "refused with status 400"
    assert "photo" in page.locator(".field .wrong").inner_text()


def test_a_picture_is_uploaded_and_boxes_are_drawn_on_it(page: "Page") -> None:
    choose(page, "picture")
    page.get_by_label("photo").set_input_files(upload("a.png", "image/png", png(640, 480)))
    page.wait_for_selector(".view img")
    answer = ask(page)
    canvas = answer.get_by_role("img", name="1 boxes: middle")
    canvas.wait_for()
    corner = "c => [...c.getContext('2d').getImageData(160, 240, 1, 1).data]"
    assert canvas.evaluate(corner)[:3] == [225, 29, 72]  # the frame's left edge


def test_a_picture_is_dropped_pasted_drawn_and_taken(page: "Page", tmp_path: Path) -> None:
    choose(page, "mirror")
    page.get_by_role("button", name="Draw").click()
    pad = page.locator("canvas.pad")
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=5)
    page.mouse.up()
    says(page.locator(".drop .help").first, "drawing.png")
    image = ask(page).get_by_role("img", name="The answered picture")
    assert image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])") == [
        280,
        280,
    ]
    page.get_by_role("button", name="Camera").click()
    page.wait_for_selector("video")
    page.locator("video").evaluate(PLAYS)
    page.get_by_role("button", name="Take the picture").click()
    says(page.locator(".drop .help").first, "camera.jpg")
    assert ask(page).get_by_role("img", name="The answered picture").count() == 1
    page.locator(".drop").evaluate(
        """(box, bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
            box.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(png(5, 4)),
    )
    says(page.locator(".drop .help").first, "dropped.png")
    image = ask(page).get_by_role("img", name="The answered picture")
    assert image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])") == [5, 4]


def test_a_digit_is_drawn_into_an_array(page: "Page") -> None:
    choose(page, "digit")
    page.get_by_role("button", name="Draw").click()
    pad = page.locator("canvas.pad")
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 10, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 70, box["y"] + 40, steps=5)
    page.mouse.up()
    assert page.get_by_label("pixels").input_value().startswith("[[[")
    assert float(ask(page).locator(".number").inner_text()) > 0.5
    page.get_by_label("pixels").fill("\n".join([",".join(["0.5"] * 8)] * 8))
    assert ask(page).locator(".number").inner_text() == "32"
    page.get_by_label("pixels").fill("1, 2, 3")
    press(page)
    assert page.locator("#answer").inner_text() == "3 numbers do not make 1 \u00d7 8 \u00d7 8."


def test_a_sound_is_uploaded_and_recorded(page: "Page") -> None:
    choose(page, "listen")
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 8000)
    page.get_by_label("sound").set_input_files(upload("a.wav", "audio/wav", out.getvalue()))
    page.wait_for_selector(".view audio")
    assert ask(page).locator(".number").inner_text() == "0.5"
    page.get_by_role("button", name="Record").click()
    page.get_by_role("button", name="Stop", exact=True).last.wait_for()
    page.wait_for_timeout(400)  # what is recorded takes its time
    page.get_by_role("button", name="Stop", exact=True).last.click()
    says(page.locator(".drop .help").first, "recording.wav")
    assert 0.1 < float(ask(page).locator(".number").inner_text()) < 5


def test_a_stream_is_shown_as_it_comes(page: "Page") -> None:
    choose(page, "words")
    page.get_by_label("text", exact=True).fill("one two three four five six")
    press(page)
    says(page.locator("#answer"), "one two ")
    says(page.locator("#latency"), "answered")
    assert page.locator("#answer .text").inner_text().split() == [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
    ]
