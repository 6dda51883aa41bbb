"""A Gradio app made from the signature, that asks a Headway service: it calls the service, not the model.

Gradio 6.31: <https://www.gradio.app/docs>. A component for each type, an interface for each model, a tab for each
where there are several. It is also what `headway ui --gradio` shows, and what a Gradio Space has before its service.
"""

import base64
import mimetypes
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from headway import config
from headway.targets import Page, Rendered, Shown
from headway.targets._fields import Field, View, fields_of, functions_of, view_of

SUBJECT: Final = "page"
HELP: Final = "a Gradio app that asks a service which you run"
REQUIRES: Sequence[str] = ("gradio>=6,<7",)
NEEDS: Sequence[str] = ()

_HEAD: Final = '''"""A Gradio app that asks a Headway service. Made by `headway ui export`; it is yours to change.

HEADWAY_URL is the address of the service, HEADWAY_KEY its API key, if it demands one.
"""

IMPORTS
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
PICTURESfrom headway import Client
from headway.errors import HeadwayError

HEREHEADWAY_URL = os.environ.get("HEADWAY_URL", "http://127.0.0.1:8000")
client = Client(HEADWAY_URL, timeout_s=300)


@contextlib.contextmanager
def told():
    """What the service refuses is shown in its words; Gradio takes them for HTML."""
    try:
        yield
    except (HeadwayError, ValueError) as error:
        raise gr.Error(html.escape(str(error), quote=False), print_exception=False) from error


def said(optional, nullable, /, **values):
    """What was given; an optional input that was left empty is left out, one that may be null is null then."""
    said = {name: None if name in optional and value in ("", []) else value for name, value in values.items()}
    return {name: value for name, value in said.items() if value is not None or name in nullable}
'''
_FILE: Final = '''

def saved(content, suffix):
    """An answered file, where Gradio serves files from."""
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as file:
        file.write(base64.b64decode(content))
    return file.name
'''
_ROWS: Final = '''

def rows_of(names, table):
    """The rows of a table as objects, without what was left empty."""
    rows = [{name: cell for name, cell in zip(names, row) if cell not in (None, "")} for row in table]
    return [row for row in rows if row]
'''
_STREAM: Final = '''

def pieces(items):
    """What a stream has said so far, again with each item."""
    text = ""
    for item in items:
        text += item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) + "\\n"
        yield text
'''
_TAIL: Final = """

if __name__ == "__main__":
    app.launch()
"""
_VIEWS: Final[Mapping[View, tuple[str, str]]] = {
    "stream": ('gr.Textbox(label="answer", lines=5)', ""),
    "shares": ('gr.Label(label="answer")', "answer"),
    "text": ('gr.Textbox(label="answer", lines=3)', "answer"),
    "number": ('gr.Number(label="answer")', "answer"),
    "image": (
        'gr.Image(label="answer", format="png")',
        "PIL.Image.open(io.BytesIO(base64.b64decode(answer)))",
    ),
    "audio": ('gr.Audio(label="answer")', "saved(answer, SUFFIX)"),
    "file": ('gr.File(label="answer")', "saved(answer, SUFFIX)"),
    "table": ('gr.JSON(label="answer")', "answer"),
    "json": ('gr.JSON(label="answer")', "answer"),
}
"""The component of an answer, and what it is given."""
_CELLS: Final = {"integer": "number", "number": "number", "switch": "bool"}


def render(page: Page) -> Rendered:
    """The app, what it needs, and the files of its examples."""
    functions = functions_of(page.models, "ask")
    samples: dict[str, bytes] = {}
    asking, shown = [], []
    for model in page.models:
        function = functions[model.description.name]
        asking.append("\n".join(_function(model, function)))
        shown.append("\n".join(_interface(model, function, samples)))
    text = _HEAD
    for part, sign in ((_FILE, "saved("), (_ROWS, "rows_of("), (_STREAM, "pieces(")):
        text += part if any(sign in one for one in asking) else ""
    pages = ", ".join(_page_name(function) for function in functions.values())
    if len(functions) == 1:
        made = f"app = {pages}\n"
    else:
        made = f"app = gr.TabbedInterface([{pages}], {list(functions)!r}, title={page.title!r})\n"
    needed = "".join(f"{line}\n" for line in (page.headway, *REQUIRES))
    return {
        "app.py": _with_imports("\n".join([text, *asking, "", "", *shown, made, _TAIL])),
        "requirements.txt": needed.encode(),
        **samples,
    }


def advice(folder: str) -> Sequence[str]:
    """How to start it."""
    return (
        f"pip install -r {folder}/requirements.txt",
        f"cd {folder} && HEADWAY_URL=http://127.0.0.1:8000 python app.py",
        "The service is yours to run: `headway serve` where the model is.",
    )


def start(folder: Path, url: str, *, is_opened: bool) -> "subprocess.Popen[bytes]":
    """Run an app that was rendered, in a process of its own; its lines go where errors go.

    Args:
        folder: where its files are.
        url: of the service.
        is_opened: whether it opens the browser.
    """
    program = f"from app import app; app.launch(inbrowser={is_opened})"
    return subprocess.Popen(  # noqa: S603  (our own text, run by our own interpreter)
        [sys.executable, "-u", "-c", program],
        cwd=folder,
        env=config.child_environment({"HEADWAY_URL": url}),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
    )


def _with_imports(text: str) -> bytes:
    """The app with the modules that it uses, and no others."""
    here = "HERE = Path(__file__).parent\n" if "(HERE /" in text else ""
    text = text.replace("HEREHEADWAY", f"{here}HEADWAY", 1)
    names = ("base64", "contextlib", "html", "io", "json", "os", "tempfile")
    modules = [f"import {name}\n" for name in names if re.search(rf"\b{name}\.", text)]
    modules += ["from pathlib import Path\n"] * ("Path(" in text)
    pictures = "import PIL.Image\n" if "PIL.Image." in text else ""
    return text.replace("IMPORTS", "".join(modules), 1).replace("PICTURES", pictures, 1).encode()


def _function(shown: Shown, function: str) -> Iterator[str]:
    """The function that asks about one model."""
    model = shown.description
    fields = fields_of(model)
    arguments = ", ".join(f"x{i}" for i in range(len(fields)))
    optional = sorted(field.name for field in fields if not field.is_required or field.is_nullable)
    nullable = sorted(field.name for field in fields if field.must_say)
    # Names of inputs are a model file's own, and may be no names of Python's.
    given = ", ".join(f"{f.name!r}: {_read(f, f'x{i}')}" for i, f in enumerate(fields))
    yield from ("", "", f"def {function}({arguments}):", "    with told():")
    yield f"        item = said({optional!r}, {nullable!r}, **{{{given}}})"
    view, media = view_of(model)
    if view == "stream":
        yield f"        yield from pieces(client.stream({model.name!r}, **item))"
        return
    yield f"        answer = client({model.name!r}, **item)"
    suffix = mimetypes.guess_extension(media) or ".bin"
    yield f"        return {_VIEWS[view][1].replace('SUFFIX', repr(suffix))}"


def _read(field: Field, name: str) -> str:
    """What becomes of what a component gives."""
    if field.is_file:
        return f"{name} and Path({name})"
    if field.kind == "json":
        return f"json.loads({name}) if {name} else None"
    if field.kind == "table":
        return f"rows_of({[column for column, _ in field.columns]!r}, {name})"
    return name


def _page_name(function: str) -> str:
    return f"page_{function.removeprefix('ask_')}"


def _interface(shown: Shown, function: str, samples: dict[str, bytes]) -> Iterator[str]:
    """The interface of one model; the files of its examples go to `samples`."""
    model = shown.description
    fields = fields_of(model)
    yield from (f"{_page_name(function)} = gr.Interface(", f"    {function},", "    [")
    yield from (f"        {_component(field)}," for field in fields)
    yield from ("    ],", f"    {_VIEWS[view_of(model)[0]][0]},")
    yield from (f"    title={model.name!r},", f"    description={_told(model.doc)!r},")
    if model.examples and fields:
        yield "    examples=["
        for i, example in enumerate(model.examples, 1):
            place = f"examples/{model.name}-{i}"
            row = ", ".join(_example(field, example, place, samples) for field in fields)
            yield f"        [{row}],"
        yield "    ],"
    yield from ("    cache_examples=False,", '    flagging_mode="never",', '    submit_btn="Ask",')
    yield f"    api_name={function.removeprefix('ask_')!r},"
    # How many the service does at a time is its own to say: it queues, and refuses in words.
    yield from ("    concurrency_limit=None,", ")")


def _told(doc: str) -> str:
    """A text as Markdown that means nothing but itself: Gradio renders what describes models and inputs."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|~$&" else letter for letter in doc)


def _example(
    field: Field, example: Mapping[str, Any], place: str, samples: dict[str, bytes]
) -> str:
    """An example's value as Python writes it; a file is written beside the app."""
    if not field.is_file:
        value = field.start(example)
        return repr(_cells(field, value) if field.kind == "table" else value)
    if not isinstance(content := example.get(field.name), str):
        return "None"
    path = f"{place}-{len(samples)}{mimetypes.guess_extension(field.media) or '.bin'}"
    samples[path] = base64.b64decode(content)
    return f"str(HERE / {path!r})"


def _cells(field: Field, rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    return [[row.get(name) for name, _ in field.columns] for row in rows]


def _component(field: Field) -> str:
    """The component of an input."""
    label = f"label={field.label!r}"
    info = f", info={_told(field.help)!r}" if field.help else ""
    start = field.start({})
    match field.kind:
        case "text":
            return f"gr.Textbox({label}, lines=3, value={start!r}{info})"
        case "integer" | "number":
            return _number(field, f"{label}, value={start!r}{info}")
        case "switch":
            return f"gr.Checkbox({label}, value={bool(start)!r}{info})"
        case "choice":
            return f"gr.Dropdown({list(field.choices)!r}, {label}, value={start!r}{info})"
        case "image":
            return f'gr.Image({label}, type="filepath", format="png")'
        case "audio":
            return f'gr.Audio({label}, type="filepath", format="wav")'
        case "file":
            return f'gr.File({label}, type="filepath")'
        case "table":
            names = [name for name, _ in field.columns]
            cells = [_CELLS.get(kind, "str") for _, kind in field.columns]
            return (
                f"gr.Dataframe({label}, headers={names!r}, datatype={cells!r}, column_count={len(names)}, "
                f'row_count=1, type="array")'
            )
        case "json":
            return f"gr.Code({label}, language='json', value={start!r}, lines=3)"


def _number(field: Field, settings: str) -> str:
    """A slider between two limits, else a number."""
    step = ", precision=0, step=1" if field.kind == "integer" else ""
    if field.least is not None and field.most is not None:
        step = (
            ", step=1"
            if field.kind == "integer"
            else f", step={(field.most - field.least) / 100!r}"
        )
        return f"gr.Slider({field.least!r}, {field.most!r}, {settings}{step})"
    least = "" if field.least is None else f", minimum={field.least!r}"
    most = "" if field.most is None else f", maximum={field.most!r}"
    return f"gr.Number({settings}{least}{most}{step})"
