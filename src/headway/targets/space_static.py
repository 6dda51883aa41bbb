"""A static Space: the page runs ONNX files in the visitor's browser with onnxruntime-web; there is no server.

Source: <https://huggingface.co/docs/hub/spaces-sdks-static>. The page is ours, file for file, but for what it asks:
`server.js` runs the model, and `code.js` shows programs that open it. Everything lies in the folder: nothing is asked
of a CDN. WebAssembly's threads need a page that is isolated from others, which the three headers ask for.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from headway.errors import TargetError
from headway.server.assets import load_page
from headway.targets import Page, Rendered, Shown
from headway.targets._space import Card, attributes, described, pushed, readme

SUBJECT: Final = "page"
HELP: Final = "a Hugging Face Space that runs an ONNX model in the visitor's browser: no server"
REQUIRES: Sequence[str] = ()
NEEDS: Sequence[str] = ("files", "ort")

_OWN: Final = Path(__file__).with_name("static")
_HEADERS: Final[Mapping[str, str]] = {
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "cross-origin",
}
_LINKS: Final = re.compile(rb'\s*<p class="links">.*?</p>', re.DOTALL)
"""To what a server tells beside the page."""
_CHARSET: Final = b'<meta charset="utf-8">\n'
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; style-src 'self'; "
    "img-src 'self' data: blob:; media-src data: blob:; connect-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
"""As the server's own, and WebAssembly; a page can't say of itself who may frame it."""
_INSTEAD: Final = "space-docker and space-gradio run it in a container; there it needs no change"
_BODY: Final = """\
# {title}

{doc}

The model runs in the browser of whoever looks at this page: there is no server, and nothing that is typed leaves the
machine. Made by `headway ui export --to space-static`. Locally: `python -m http.server`.
"""


def render(page: Page) -> Rendered:
    """README.md, the page, the models and onnxruntime-web.

    Raises:
        TargetError: a model needs what no browser has.
    """
    refused = [f"{s.description.name}: {s.reason}" for s in page.models if s.net is None]
    if refused:
        raise TargetError(
            target="space-static", what=page.title, reason=f"{'; '.join(refused)}; {_INSTEAD}"
        )
    card = Card(page.title, "static", described(page), settings={"custom_headers": dict(_HEADERS)})
    body = _BODY.format(title=page.title, doc=described(page))
    models = {f"model/{name}": path for name, path in _weights(page).items()}
    return {
        "README.md": readme(card, body),
        ".gitattributes": attributes([*models, *page.ort]),
        "models.json": msgspec.json.encode([_told(page, shown) for shown in page.models]),
        **_page(),
        **models,
        **{f"ort/{name}": path for name, path in page.ort.items()},
    }


def advice(folder: str) -> Sequence[str]:
    """How to look at it, and how it becomes a Space."""
    return (f"python -m http.server -d {folder}      # look at it here", *pushed(folder, "static"))


def _weights(page: Page) -> Mapping[str, Path]:
    wanted = {name for shown in page.models if shown.net for name in shown.net.files}
    return {name: path for name, path in page.files.items() if name in wanted}


def _told(page: Page, shown: Shown) -> dict[str, Any]:
    """What the page knows of a model: as a server tells it, and how the file is fed."""
    assert shown.net is not None, "a model without one was refused"
    net = shown.net
    return {
        **page.as_json(shown),
        "file": net.file,
        "beside": list(net.beside),
        "inputs": [
            {
                **msgspec.to_builtins(i.spec),
                "to": i.to,
                "steps": [(s.operator, s.number) for s in i.steps],
            }
            for i in net.inputs
        ],
        "outputs": net.outputs,
        "labels": list(net.labels),
    }


def _page() -> dict[str, bytes]:
    """The files of the server's page, with ours in place of those that ask it."""
    assets = {path.lstrip("/"): asset.body for path, asset in load_page().items()}
    index = assets.pop("")
    policy = f'    <meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'.encode()
    assets["index.html"] = _LINKS.sub(b"", index).replace(_CHARSET, _CHARSET + policy, 1)
    return {**assets, **{f"page/{p.name}": p.read_bytes() for p in sorted(_OWN.iterdir())}}
