"""The reference pages say what the code says: every setting, command, exit code, error and public name."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import headway
from headway import config, errors, plugins
from headway.server.chunks import FramingError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "errors.md", "api.md"])
def test_a_page_is_what_the_code_says_today(reference: ModuleType, name: str) -> None:
    assert page(name) == reference.pages()[name], "out of date: make docs"


def test_a_command_is_shown_as_its_users_see_it() -> None:
    """With the root's settings: click keeps a command's help option as it was first asked for."""
    assert "  -h, --help " in page("commands.md")
    assert not re.search(r"^  --help", page("commands.md"), re.MULTILINE)


def test_every_setting_is_documented() -> None:
    text = page("settings.md")
    for table in (config.ServerSettings, config.ModelSettings):
        for row in config.rows(table):
            assert f"| `{row.key}`<br>`{row.variable}`<br>`{row.flag}` |" in text
            assert row.setting.help in text


def test_every_error_code_is_documented() -> None:
    codes = re.findall(r"^    code = \"(\w+)\"", Path(errors.__file__).read_text(), re.MULTILINE)
    assert len(codes) > 20
    branches = {"bad_request", "busy", "internal", "model_error", "worker_error", "reach"}
    assert all(f"| `{code}` |" in page("errors.md") for code in {*codes} - branches | {"internal"})


def test_every_code_of_a_request_that_is_no_http_is_documented() -> None:
    codes = {status: FramingError(status, "").code for status in range(400, 600)}
    assert {"bad_request", "too_slow", "head_too_large", "http_version"} <= set(codes.values())
    told = {(code, s) for s, code in codes.items() if code != "bad_request" or s == 400}
    assert all(f"| `{code}` | {status} | " in page("errors.md") for code, status in told)


def test_every_command_and_exit_code_is_documented() -> None:
    text = page("commands.md")
    assert all(f"## headway {name}\n" in text for name in plugins.names("commands"))
    assert all(f"| {code.value} | " in text for code in errors.Exit)


def test_every_public_name_is_documented_in_words() -> None:
    sections = dict(re.findall(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", page("api.md"), re.M | re.S))
    assert sorted(sections) == sorted(headway.__all__)
    prose = {name: re.sub(r"`.*?`|^#.*", "", text, flags=re.M) for name, text in sections.items()}
    assert not [name for name, text in prose.items() if len(text.split()) < 4]
    assert "### Predictor.open_model\n\n`open_model(name: str)` → `Model`" in sections["Predictor"]
