"""A Gradio app beside a server of ours: rendered from what the server tells, started, and ended with it."""

import contextlib
import importlib.util
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from headway import plugins
from headway.commands._export import write
from headway.errors import HeadwayError
from headway.model.call import Description
from headway.targets import Page, Shown


@contextlib.contextmanager
def beside(*, is_opened: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What is to be called when the server is ready; at the end of the block the app is ended.

    Raises:
        PluginError: Gradio is not installed.
    """
    target = plugins.load("targets", "gradio")
    if importlib.util.find_spec("gradio") is None:
        raise plugins.missing_library("targets", "gradio", "gradio")
    started: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="headway-gradio-") as name:

        def start(info: Mapping[str, Any]) -> None:
            if "http" not in info:
                click.echo(
                    "no Gradio app is shown: the service has no address but a socket", err=True
                )
                return
            try:
                url = str(info["http"])
                write(Path(name), target.render(_asked(url)))
                started.append(target.start(Path(name), url, is_opened=is_opened))
            except HeadwayError as e:
                click.echo(f"no Gradio app is shown: {e.message}", err=True)

        # The server is not held up by what is asked of it.
        try:
            yield lambda info: threading.Thread(target=start, args=(info,), daemon=True).start()
        finally:
            for process in started:
                process.terminate()
                process.wait()


def _asked(url: str) -> Page:
    """The models of a server."""
    from headway.client.blocking import Client  # noqa: PLC0415  (quick --help)

    with Client(url) as client:
        told = [client.schema(model["name"]) for model in client.models()]
    models = [Shown(_description(one), one["name"]) for one in told]
    return Page(models[0].description.name if len(models) == 1 else "Headway", models)


def _description(told: Mapping[str, Any]) -> Description:
    return Description(
        name=told["name"],
        version=told["version"],
        doc=told["doc"],
        platform=told["platform"],
        inputs=(),
        outputs=(),
        input_schema=told["input_schema"],
        output_schema=told["output_schema"],
        examples=told["examples"],
        is_stream=told["stream"],
    )
