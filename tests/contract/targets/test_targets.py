"""What every target keeps to: its literals, the same files each time, files that parse, and nothing of this machine."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headway import plugins
from headway.model.call import Description, TensorSpec
from headway.targets import Input, Net, Page, Shown, Target

NAMES = plugins.names("targets")
TEXT = {"type": "string", "description": 'a "text"\n```'}
FIELDS: Mapping[str, Any] = {
    "text": TEXT,
    "count": {"type": "integer", "minimum": 0, "maximum": 10},
    "share": {"type": "number", "default": 1},
    "is kind": {"type": "boolean"},
    "is open": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
    "said": {"anyOf": [{"type": "integer", "minimum": -(2**63)}, {"type": "null"}]},
    "class": {"enum": ["first", "second", 3], "default": "second"},
    "photo": {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
    "sound": {"type": "string", "contentEncoding": "base64", "contentMediaType": "audio/wav"},
    "blob": {"type": "string", "contentEncoding": "base64"},
    "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}},
    "maybe": {"anyOf": [{"$ref": "#/$defs/Row"}, {"type": "null"}], "default": None},
}
DEFS = {"Row": {"type": "object", "properties": {"a": {"type": "number"}, "b": TEXT}}}
EXAMPLE = {
    "text": "'''\"\"\"{x}\\",
    "count": 2,
    "rows": [{"a": 1, "b": "x"}],
    "photo": "iVBORw0KGgo=",
}


def model(name: str, output: Mapping[str, Any], **more: Any) -> Description:
    schema = {
        "type": "object",
        "properties": FIELDS,
        "required": ["text", "rows", "said"],
        "$defs": DEFS,
    }
    return Description(
        name=name,
        version="1",
        doc='It says """ and </script>\n{braces} \\',
        platform="headway_python",
        inputs=(),
        outputs=(),
        input_schema=schema,
        output_schema=output,
        examples=(EXAMPLE, {"text": "b"}),
        **more,
    )


def file_model() -> Shown:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    described = Description(
        name="net",
        version="1",
        doc="The model file net.onnx.",
        platform="onnx_onnxv1",
        inputs=(TensorSpec("x", "float32", (2,)),),
        outputs=(TensorSpec("y", "float32", (2,)),),
        input_schema={"type": "object", "properties": {"x": numbers}, "required": ["x"]},
        output_schema=numbers,
    )
    net = Net("net.onnx", (), [Input(described.inputs[0], "x")], described.outputs)
    return Shown(described, "net.onnx", "onnx", net)


def page(name: str) -> Page:
    """Something that the target can show."""
    ort = {file: Path("/ort") / file for file in ("ort.wasm.min.mjs", "a.mjs", "a.wasm")}
    if "ort" in plugins.literal("targets", name, "NEEDS"):
        return Page("net", [file_model()], "net.onnx", {"net.onnx": Path("/net.onnx")}, ort=ort)
    outputs: list[tuple[str, Mapping[str, Any], dict[str, Any]]] = [
        ("a-b", {"type": "object", "additionalProperties": {"type": "number"}}, {}),
        ("a.b", {"type": "string"}, {"is_stream": True}),
        ("picture", FIELDS["photo"], {}),
        ("sound", FIELDS["sound"], {}),
        ("file", FIELDS["blob"], {}),
        ("rows", {**FIELDS["rows"], "$defs": DEFS}, {}),
        ("number", {"type": "integer"}, {}),
        ("text", {"type": "string"}, {}),
        ("json", {"type": "object"}, {}),
    ]
    models = [Shown(model(n, o, **more), f"p.py:{n}") for n, o, more in outputs]
    files = {"p.py": Path("/project/p.py"), "net.onnx": Path("/project/net.onnx")}
    return Page("Models", models, ".", files, "headway==1", ["headway[onnx]==1", "pillow==9"])


@pytest.mark.parametrize("name", NAMES)
def test_a_target_says_what_it_is_and_needs(name: str) -> None:
    target: Target = plugins.load("targets", name)
    assert target.SUBJECT == "page"
    assert target.HELP
    assert set(target.NEEDS) <= {"files", "ort"}
    assert target.advice("there")
    assert all("there" in line or "`" in line or "YOU" in line for line in target.advice("there"))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_page_gives_the_same_files(name: str) -> None:
    target: Target = plugins.load("targets", name)
    rendered = target.render(page(name))
    assert rendered == target.render(page(name))
    assert all(not Path(path).is_absolute() and ".." not in Path(path).parts for path in rendered)
    for path, content in rendered.items():
        if isinstance(content, bytes) and path.endswith(".py"):
            ast.parse(content)
            compile(content, path, "exec")


@pytest.mark.parametrize("name", [n for n in NAMES if n in ("gradio", "streamlit", "space_gradio")])
def test_a_page_of_one_model_needs_no_choice(name: str) -> None:
    whole = page(name)
    one = Page("text", whole.models[-2:-1], "p.py:text", whole.files, "headway==1", ["headway==1"])
    for path, content in plugins.load("targets", name).render(one).items():
        if path.endswith(".py") and isinstance(content, bytes):
            ast.parse(content)
            assert b"Tabbed" not in content
            assert b"sidebar" not in content


def test_a_gradio_app_shows_no_markup_of_others() -> None:
    app = plugins.load("targets", "gradio").render(page("gradio"))["app.py"].decode()
    assert "gr.Error(html.escape(str(error), quote=False)" in app
    assert "import html\n" in app
    assert "info='a \"text\"\\n\\\\`\\\\`\\\\`'" in app


def test_a_gradio_app_takes_inputs_of_any_name() -> None:
    app = plugins.load("targets", "gradio").render(page("gradio"))["app.py"]
    (said,) = [
        n for n in ast.parse(app).body if isinstance(n, ast.FunctionDef) and n.name == "said"
    ]
    space: dict[str, Any] = {}
    exec(compile(ast.Module([said], []), "app.py", "exec"), space)
    given = {"optional": "", "nullable": "a", "self": 1}
    assert space["said"](["optional"], [], **given) == {"nullable": "a", "self": 1}


def test_what_may_be_nothing_is_no_switch() -> None:
    for name, sign in (("gradio", "gr.Dropdown([True, False]"), ("streamlit", "st.selectbox(")):
        app = plugins.load("targets", name).render(page(name))["app.py"].decode()
        (line,) = {line.strip() for line in app.splitlines() if "'is open (optional)'" in line}
        assert sign in line
