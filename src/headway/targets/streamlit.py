"""A Streamlit app of a few lines: a form made from the signature, asking a Headway service that runs elsewhere.

Streamlit 1.67: <https://docs.streamlit.io>. The script runs from top to bottom at each click, so that it holds no
model and no state: it asks the service at HEADWAY_URL.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headway.targets import Page, Rendered, Shown
from headway.targets._fields import Field, Kind, View, fields_of, functions_of, starts_of, view_of

SUBJECT: Final = "page"
HELP: Final = "a Streamlit app that asks a service which you run"
REQUIRES: Sequence[str] = ("streamlit>=1.40",)
NEEDS: Sequence[str] = ()

_HEAD: Final = '''"""A Streamlit app that asks a Headway service. Made by `headway ui export`; it is yours to change.

HEADWAY_URL is the address of the service, HEADWAY_KEY its API key, if it demands one.
"""

{imports}
import streamlit as st
from headway import Client
from headway.errors import HeadwayError

HEADWAY_URL = os.environ.get("HEADWAY_URL", "http://127.0.0.1:8000")

st.set_page_config(page_title={title!r})
client = Client(HEADWAY_URL, timeout_s=300)
'''
_CHOOSE: Final = """MODELS = {{{pairs}}}
MODELS[st.sidebar.radio("Model", MODELS)]()
"""
_CONFIG: Final = b"""# Streamlit counts its users elsewhere unless told not to.
[browser]
gatherUsageStats = false
"""
_VIEWS: Final[Mapping[View, str]] = {
    "shares": """shares = sorted(answer.items(), key=lambda share: -share[1])
            st.bar_chart({"label": [s[0] for s in shares], "share": [s[1] for s in shares]}, x="label", y="share",
                         horizontal=True, sort=False)
            st.json(answer, expanded=False)""",
    "text": "st.text(answer)",
    "number": 'st.metric("answer", answer)',
    "image": "st.image(base64.b64decode(answer))",
    "audio": "st.audio(base64.b64decode(answer), format=MEDIA)",
    "file": 'st.download_button("Save the answer", base64.b64decode(answer), "answer.bin")',
    "table": "st.dataframe(answer)",
    "json": "st.json(answer)",
}
_ENDINGS: Final[Mapping[Kind, Sequence[str]]] = {
    "image": ["png", "jpg", "jpeg", "webp"],
    "audio": ["wav", "flac", "ogg"],
}


def render(page: Page) -> Rendered:
    """The app, what it needs, and its settings."""
    functions = functions_of(page.models, "show")
    parts = ["\n".join(_lines(shown, functions[shown.description.name])) for shown in page.models]
    text = "\n\n".join(parts)
    modules = [name for name in ("base64", "json") if f"{name}." in text]
    head = _HEAD.format(
        title=page.title, imports="".join(f"import {name}\n" for name in (*modules, "os"))
    )
    pairs = ", ".join(f"{name!r}: {function}" for name, function in functions.items())
    tail = (
        _CHOOSE.format(pairs=pairs) if len(parts) > 1 else f"{next(iter(functions.values()))}()\n"
    )
    needed = "".join(f"{line}\n" for line in (page.headway, *REQUIRES))
    return {
        "app.py": f"{head}\n{text}\n\n\n{tail}".encode(),
        "requirements.txt": needed.encode(),
        ".streamlit/config.toml": _CONFIG,
    }


def advice(folder: str) -> Sequence[str]:
    """How to start it."""
    return (
        f"pip install -r {folder}/requirements.txt",
        f"cd {folder} && HEADWAY_URL=http://127.0.0.1:8000 streamlit run app.py",
        "The service is yours to run: `headway serve` where the model is.",
    )


def _lines(shown: Shown, function: str) -> Iterator[str]:
    model = shown.description
    fields = fields_of(model)
    yield from ("", f"def {function}():", f"    st.title({model.name!r})")
    if model.doc:
        yield f"    st.text({model.doc!r})"
    yield from _examples(starts_of(model, fields))
    yield "    given = {}"
    yield f"    with st.form({model.name!r}):"
    for field in fields:
        yield f"        given[{field.name!r}] = {_widget(field)}"
    yield '        is_asked = st.form_submit_button("Ask")'
    yield from ("    if is_asked:", "        try:")
    for field in fields:
        if read := _read(field):
            place = f"given[{field.name!r}]"
            yield f"            {place} = {read.replace('VALUE', place)}"
    # Of optional ones an empty text and an empty list say nothing.
    unsaid = "None, '', []" if any(f.label != f.name for f in fields) else "None,"
    nullable = [field.name for field in fields if field.must_say]
    unless = f" or name in {nullable!r}" if nullable else ""
    asked = f"value not in ({unsaid}){unless}"
    yield f"            item = {{name: value for name, value in given.items() if {asked}}}"
    view, media = view_of(model)
    if view == "stream":
        yield f"            st.write_stream(client.stream({model.name!r}, **item))"
    else:
        yield f"            answer = client({model.name!r}, **item)"
        yield f"            {_VIEWS[view].replace('MEDIA', repr(media))}"
    is_parsed = any(field.kind == "json" for field in fields)
    yield f"        except {'(HeadwayError, ValueError)' if is_parsed else 'HeadwayError'} as error:"
    # An error is Markdown, and words of refusal may hold what was typed.
    yield '            st.error("This was refused:")'
    yield "            st.text(error)"


def _examples(starts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(starts) == 1:
        yield f"    example = {starts[0]!r}"
        return
    yield "    examples = ["
    yield from (f"        {start!r}," for start in starts)
    yield "    ]"
    yield '    example = examples[st.selectbox("Example", range(len(examples)), format_func=lambda i: f"{i + 1}")]'


def _widget(field: Field) -> str:
    """The call that makes a field's widget."""
    label = repr(field.label)
    told = f", help={field.help!r}" if field.help else ""
    start = f"example[{field.name!r}]"
    match field.kind:
        case "text":
            return f"st.text_area({label}, {start}{told})"
        case "integer" | "number":
            return f"st.number_input({label}, value={start}{_limits(field)}{told})"
        case "switch":
            return f"st.toggle({label}, bool({start}){told})"
        case "choice":
            choices = repr(list(field.choices))
            at = f"{choices}.index({start}) if {start} in {choices} else None"
            return f"st.selectbox({label}, {choices}, index={at}{told})"
        case "table":
            return f'st.data_editor({start}, num_rows="dynamic")'
        case "json":
            return f"st.text_area({label}, {start}, help={field.help or 'JSON'!r})"
        case _:
            return f"st.file_uploader({label}, {_ENDINGS.get(field.kind)!r}{told})"


def _limits(field: Field) -> str:
    """Streamlit wants limits, value and step of one type."""
    kind = int if field.kind == "integer" else float
    limits = {"min_value": field.least, "max_value": field.most}
    said = "".join(f", {name}={kind(n)!r}" for name, n in limits.items() if n is not None)
    return f"{said}, step=1" if kind is int else said


def _read(field: Field) -> str:
    """What becomes of what a widget gives; "" for nothing."""
    if field.is_file:
        return "VALUE and VALUE.getvalue()"
    if field.kind == "json":
        return "json.loads(VALUE) if VALUE else None"
    if field.kind == "table":
        return (
            "[row for row in ({k: v for k, v in r.items() if v is not None} for r in VALUE) if row]"
        )
    return ""
