"""`headway ui`: the page to play with a model, opened in the browser, and shared on purpose only."""

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click

from headway import plugins

_SHARED = """\
shared: {link}
        Whoever has this link can ask the models until you stop the server. The password in it is not
        sent to the server's log; without the link it is: {key}
        Only this network reaches it. Through a tunnel others do; none is opened for you:
          ssh -R 80:{place} nokey@localhost.run
          cloudflared tunnel --url {here}
          ngrok http {here}"""


class _Ui(click.Command):
    """A command whose first word may be that of another, `export`; anything else is what is to be shown."""

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The others, as a group has them."""
        from headway.commands._export import export  # noqa: PLC0415  (as below)

        return {"export": export}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args[:1] != ["export"]:
            return super().make_context(info_name, args, parent, **extra)
        return self.commands["export"].make_context(
            f"{info_name} export", args[1:], parent, **extra
        )


@click.command(cls=_Ui)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--port",
    metavar="N",
    help="Port to listen on; 0 takes a free one; default 8000.",
)
@click.option(
    "--share",
    is_flag=False,
    flag_value="0.0.0.0",  # noqa: S104  (only where it is asked for, and with a password)
    metavar="[ADDRESS]",
    help="Let others in: listen on this address (by default on every one) and demand a new password.",
)
@click.option(
    "--feedback",
    metavar="PATH",
    help="Keep what people say of answers in this file; an empty name keeps nothing.  [default: feedback.db]",
)
@click.option(
    "--gradio",
    "is_gradio",
    is_flag=True,
    help="Show a Gradio app that asks the service, on a free port from 7860 on; it needs 'headway[gradio]'.",
)
@click.option(
    "--open/--no-open", "is_opened", default=True, help="Open the browser; by default it does."
)
def command(
    targets: tuple[str, ...], share: str | None, *, is_gradio: bool, is_opened: bool, **given: Any
) -> int:
    """Serve models and open their page: a form made from the types, examples to click, the answer as it looks best.

    It is `headway serve` with feedback kept and files watched: what you change in the predictor is served after a
    moment. `headway feedback export` takes what people said.

    \b
    Examples:
      headway ui sentiment.py
      headway ui model.onnx --port 0
      headway ui sentiment.py --share               # for colleagues on this network, with a password
      headway ui sentiment.py --gradio              # as a Gradio app
      headway ui export --help                      # as files: a Space, a Gradio or a Streamlit app
    """  # noqa: D301  (click reads the backspace: keep these lines)
    import threading  # noqa: PLC0415  (so that --help stays quick)
    import webbrowser  # noqa: PLC0415  (as above)
    from urllib.parse import urlsplit  # noqa: PLC0415  (as above)

    from headway.server import hosts, keys  # noqa: PLC0415  (as above)

    serve = functools.partial(
        plugins.load("commands", "serve").serve, defaults={"feedback": "feedback.db"}
    )
    settings = {**given, "reload": True, **({"host": share} if share else {})}

    def tell(info: Mapping[str, Any], key: str = "") -> None:
        if "http" not in info:
            click.echo("no page is opened: no browser reaches a Unix socket", err=True)
            return
        here = there = str(info["http"])
        listening = urlsplit(here)
        if hosts.is_any(str(listening.hostname)):
            here, there = (
                f"{listening.scheme}://{host}:{info['port']}"
                for host in ("127.0.0.1", hosts.outward_address())
            )
        password = f"#key={key}" if key else ""
        if key:
            link, place = f"{there}/{password}", here.partition("://")[2]
            click.echo(_SHARED.format(link=link, key=key, here=here, place=place), err=True)
        if is_opened:
            # A browser may take its time, or be none.
            page = f"{here}/{password}"
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()

    if is_gradio:
        if share:
            raise click.UsageError(
                "--gradio and --share are not for one run: a Gradio app has no password"
            )
        from headway.commands import _gradio  # noqa: PLC0415  (as above)

        with _gradio.beside(is_opened=is_opened) as start:
            return int(serve(targets, settings, start))
    if not share:
        return int(serve(targets, settings, tell))
    key, line = keys.new_key()
    with _written(line) as key_file:
        return int(serve(targets, {**settings, "key_file": key_file}, lambda info: tell(info, key)))


@contextlib.contextmanager
def _written(line: str) -> Iterator[str]:
    """A file with the hash of the password, for as long as the server runs."""
    import tempfile  # noqa: PLC0415  (as above)

    descriptor, path = tempfile.mkstemp(prefix="headway-key-", text=True)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{line}\n")
        yield path
    finally:
        os.unlink(path)
