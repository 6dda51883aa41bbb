"""The heads of Spaces' README.md: what Hugging Face takes, and what it would refuse."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from headway import plugins
from headway.errors import TargetError
from headway.model.call import Description
from headway.targets import Net, Page, Shown
from headway.targets._space import Card, problems, readme

FILE = Shown(
    Description("net", "1", "word " * 20, "onnx_onnxv1", (), (), {"type": "object"}, {}),
    "net.onnx",
    "onnx",
    Net("net.onnx", (), (), ()),
)
PAGE = Page(
    'A "title": é',
    [FILE],
    "net.onnx",
    {"net.onnx": Path("/a/net.onnx")},
    "headway==1",
    ["headway[onnx]==1"],
    "3.12",
    {"ort.wasm.min.mjs": Path("/o/ort.wasm.min.mjs"), "a.wasm": Path("/o/a.wasm")},
)


def head_of(name: str) -> dict[str, Any]:
    text = plugins.load("targets", name).render(PAGE)["README.md"].decode()
    start, head, body = text.split("---\n", 2)
    assert start == ""
    assert body.startswith(f"\n# {PAGE.title}")
    parsed: dict[str, Any] = yaml.safe_load(head)
    return parsed


@pytest.mark.parametrize("name", ["space_static", "space_gradio", "space_docker"])
def test_a_head_is_right(name: str) -> None:
    head = head_of(name)
    assert problems(head) == []
    assert head["title"] == PAGE.title
    assert head["short_description"] == "word " * 11 + "..."
    assert head["sdk"] == name.partition("_")[2]


def test_each_sdk_has_what_it_needs() -> None:
    gradio = head_of("space_gradio")
    assert (gradio["python_version"], gradio["app_file"]) == ("3.12", "app.py")
    assert gradio["sdk_version"] == "6.31.0"
    assert head_of("space_docker")["app_port"] == 7860
    assert head_of("space_static")["custom_headers"] == {
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "cross-origin",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colorFrom": "mauve"}, "colorFrom is 'mauve', none of red"),
        ({"sdk": "streamlit"}, "sdk is 'streamlit', none of gradio, docker, static"),
        ({"title": ""}, "title is missing"),
        ({"short_description": "x" * 61}, "more than 60 characters"),
        ({"custom_headers": {"x-frame-options": "DENY"}}, "x-frame-options can't be set"),
        ({"python_version": 3.1}, "a version is a number"),
        ({"python_version": "2.7"}, "not as 3.11"),
    ],
)
def test_a_head_that_is_wrong_is_told(change: dict[str, Any], said: str) -> None:
    assert said in "; ".join(problems({**Card("A", "static", "b").head(), **change}))


def test_a_wrong_head_is_never_written() -> None:
    with pytest.raises(TargetError, match="sdk_version is missing"):
        readme(Card("A", "gradio"), "")


def test_the_container_is_that_of_a_space() -> None:
    rendered = plugins.load("targets", "space_docker").render(PAGE)
    lines = rendered["Dockerfile"].decode().splitlines()
    assert lines[0] == "FROM python:3.12-slim"
    assert "RUN useradd --create-home --uid 1000 user" in lines
    assert lines.index("USER user") < lines.index("COPY --chown=user bundle/ bundle/")
    assert lines[-1].startswith('CMD ["headway", "serve", "net.onnx", "--host", "0.0.0.0"')
    assert rendered["bundle/net.onnx"] == Path("/a/net.onnx")
    assert rendered["requirements.txt"] == b"headway[onnx]==1\n"
    assert rendered[".gitattributes"] == b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"


def test_what_no_browser_runs_is_told_and_what_would_run_it() -> None:
    code = Shown(FILE.description, "p.py:P", reason="P.predict is Python")
    with pytest.raises(TargetError) as caught:
        plugins.load("targets", "space_static").render(Page("p", [code]))
    told = caught.value.message
    assert "net: P.predict is Python" in told
    assert "space-docker and space-gradio run it" in told
