"""The reference pages say what the code says: every setting, command, exit code and error."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "errors.md"])
def test_a_page_is_what_the_code_says_today(reference: ModuleType, name: str) -> None:
    assert page(name) == reference.pages()[name], "out of date: make docs"


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
