"""Find and open plugins: a plugin is one module in a plural folder, its file name is its name.

The folder is listed first; entry points (`headway.<kind>`) are asked only for a name that the folder lacks.
Nothing imports a plugin by name: `load("runtimes", "onnx")` does, on first use. `REQUIRES` is read without importing.
"""

import ast
import difflib
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from headway.errors import PluginError

_HOME = Path(__file__).parent
_PACKAGES = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Packages that are imported by another name."""


def names(kind: str) -> list[str]:
    """List the built-in plugins of a kind (`"runtimes"`, `"protocols"`, ...), sorted."""
    return sorted(p.stem for p in (_HOME / kind).glob("*.py") if not p.stem.startswith("_"))


def in_turn(kind: str) -> Iterator[str]:
    """The names of all plugins of a kind: built-in ones first, so that a hit there asks nobody else."""
    yield from names(kind)
    yield from added(kind)


def added(kind: str) -> list[str]:
    """List the plugins of a kind that other installed packages bring, sorted."""
    return sorted(_third_parties(kind))


def load(kind: str, name: str) -> ModuleType:
    """Import one plugin.

    Raises:
        PluginError: there is no plugin of this name, or a library that it needs is missing.
    """
    if name in names(kind):
        module_name = f"headway.{kind}.{name}"
    else:
        module_name = _third_parties(kind).get(name, "")
    if not module_name:
        raise _unknown(kind, name)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as e:
        if e.name and not e.name.startswith("headway"):
            raise missing_library(kind, name, e.name) from e
        raise


def literal(kind: str, name: str, constant: str, default: Any = ()) -> Any:
    """Read a module-level literal (`REQUIRES`, `SUFFIXES`, ...) of a plugin without importing it."""
    value = _constants(_source(kind, name)).get(constant)
    return default if value is None else ast.literal_eval(value)


@functools.cache
def _constants(source: Path) -> dict[str, ast.expr]:
    """The values that a module's capital names are given, unread: several literals are asked of each."""
    found: dict[str, ast.expr] = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {t.id: node.value for t in targets if isinstance(t, ast.Name) and t.id.isupper()}
    return found


def _source(kind: str, name: str) -> Path:
    built_in = _HOME / kind / f"{name}.py"
    if built_in.exists():
        return built_in
    spec = importlib.util.find_spec(_third_parties(kind).get(name, ""))
    if spec is None or spec.origin is None:
        raise _unknown(kind, name)
    return Path(spec.origin)


def missing_library(kind: str, name: str, library: str) -> PluginError:
    """The error that names a missing library and the line that adds it."""
    return PluginError(
        f"the {name} plugin ({kind}) needs the library {library!r}, which is not installed; "
        f"add it with: pip install 'headway[{name}]'"
    )


def advice(error: ModuleNotFoundError) -> str:
    """How to get the library that somebody's code imports in vain; "" where that is not what is wrong."""
    module = (error.name or "").partition(".")[0]
    if not module or module in sys.stdlib_module_names or importlib.util.find_spec(module):
        return ""
    package = _PACKAGES.get(module, module)
    for path in sorted(_HOME.glob("*s/[!_]*.py")):
        needed = _constants(path).get("REQUIRES")
        first = ast.literal_eval(needed)[:1] if needed is not None else ()
        if any(re.fullmatch(rf"{re.escape(package)}\W.*", requirement) for requirement in first):
            return f"; add it with: pip install 'headway[{path.stem.replace('_', '-')}]'"
    return f"; if that is no file of yours, add it with: pip install {package}"


def _third_parties(kind: str) -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (16 ms, and only on a miss)

    found = {e.name: e.value for e in entry_points(group=f"headway.{kind}")}
    if clash := set(found) & set(names(kind)):
        raise PluginError(
            f"an installed package names a {kind} plugin {min(clash)!r}, which is built in; rename it"
        )
    return found


def _unknown(kind: str, name: str) -> PluginError:
    known = sorted({*names(kind), *_third_parties(kind)})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return PluginError(
        f"there is no {kind} plugin named {name!r}; known: {', '.join(known) or 'none'}{hint}"
    )
