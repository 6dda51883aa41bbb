"""A Gradio Space: one container that runs `headway serve` and, in front of it, the Gradio app that asks it.

Source: <https://huggingface.co/docs/hub/spaces-sdks-gradio>. The app is that of the target `gradio`, as `page.py`;
`app.py` starts the service first. Port and address of Gradio are the Space's to say, by its environment.
"""

from collections.abc import Sequence
from typing import Final

from headway import plugins
from headway.targets import Page, Rendered
from headway.targets._space import (
    BUNDLE,
    Card,
    attributes,
    bundled,
    described,
    lines,
    pushed,
    readme,
)

SUBJECT: Final = "page"
HELP: Final = "a Space that runs `headway serve` and a Gradio app in front of it"
REQUIRES: Sequence[str] = ()
NEEDS: Sequence[str] = ("files",)
SDK_VERSION: Final = "6.31.0"
"""The Gradio that the tests have seen the app run with; the Space brings it."""

_APP: Final = '''\
"""Starts the service and its page in one container: Gradio asks Headway, and Headway asks the model."""

import atexit
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

# Who is told to end takes the service along.
signal.signal(signal.SIGTERM, lambda *told: sys.exit(0))
service = subprocess.Popen(
    [sys.executable, "-m", "headway", "serve", {serve!r}, "--port", "0"],
    cwd=Path(__file__).parent / {bundle!r},
    stdout=subprocess.PIPE,
)
atexit.register(service.terminate)
# The one line that it writes there tells that it is ready, and where.
ready = service.stdout.readline()
if not ready:
    raise SystemExit("the service did not start; its own lines above say why")
os.environ["HEADWAY_URL"] = json.loads(ready)["http"]

from page import app

app.launch()
'''
_BODY: Final = """\
# {title}

{doc}

A Gradio app in front of `headway serve`, in one container. Made by `headway ui export --to space-gradio`. Locally:
`pip install gradio=={version} -r requirements.txt && python app.py`.
"""


def render(page: Page) -> Rendered:
    """README.md, both apps, the requirements, the examples' files and the project."""
    versions = {"sdk_version": SDK_VERSION, "python_version": page.python, "app_file": "app.py"}
    card = Card(page.title, "gradio", described(page), settings=versions)
    app = dict(plugins.load("targets", "gradio").render(page))
    app.pop("requirements.txt")
    body = _BODY.format(title=page.title, doc=described(page), version=SDK_VERSION)
    return {
        "README.md": readme(card, body),
        "page.py": app.pop("app.py"),
        "app.py": _APP.format(serve=page.serve, bundle=BUNDLE).encode(),
        "requirements.txt": lines(page),
        ".gitattributes": attributes([*page.files, *app]),
        **app,
        **bundled(page),
    }


def advice(folder: str) -> Sequence[str]:
    """How it becomes a Space."""
    return pushed(folder, "gradio")
