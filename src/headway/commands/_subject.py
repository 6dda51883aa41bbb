"""What `headway ui` shows, read for targets: its models are loaded here, its files listed, its requirements found."""

import ast
import fnmatch
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import headway
from headway import config, plugins
from headway.commands._net import net_of_code, net_of_file
from headway.config import ModelSettings, ModelSpec
from headway.errors import ConfigError, TargetError
from headway.model import formats, project
from headway.targets import Page, Shown

MARK: Final = ".headway-export.json"
"""Says that a folder was written by an export: it may be written again, and is no part of a project."""
MOST_FILES: Final = 2000
MOST_BYTES: Final = 2**30
_ORT: Final = "onnxruntime-web"
_ORT_FILES: Final = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
_SKIPPED: Final = (
    *("test_*.py", "conftest.py", "*.pyc", "*.db", "*.db-shm", "*.db-wal"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
)
"""What no copy has, private keys by their usual names among it."""
_SKIPPED_FOLDERS: Final = ("__pycache__", "node_modules")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    target: str
    """What `headway serve` takes."""
    needs: Sequence[str]
    """As the target says in `NEEDS`."""
    out: Path
    """The folder that will be written: no part of the project."""
    headway: str = ""
    exclude: Sequence[str] = ()
    ort: str = ""
    is_trusted: bool = False


def read_page(wish: Wish) -> Page:
    """Load the models, and find what the target needs of them.

    Raises:
        HeadwayError: one can't be loaded, the project is too large to be copied, or onnxruntime-web is nowhere.
    """
    from headway.engine import local  # noqa: PLC0415  (quick --help)

    flags = config.flags(ModelSettings, {"trusted": wish.is_trusted or None})
    found = project.find_models(wish.target, config.environment(ModelSettings), flags)
    shown = []
    for spec in found.models:
        with local.load_spec(spec) as loaded:
            shown.append(_shown(Path(found.root), spec, loaded))
    root = Path(found.root)
    files = _files(root, shown, wish) if "files" in wish.needs else {}
    pip = wish.headway or f"headway=={headway.__version__}"
    is_alone = len(shown) == 1 and not Path(wish.target).is_dir()
    return Page(
        title=shown[0].description.name if len(shown) == 1 else _title(root),
        models=shown,
        serve=shown[0].source if is_alone else ".",
        files=files,
        headway=pip,
        requirements=[
            _with_extras(pip, _extras(files, shown)),
            *_needed(found.dependencies, files, shown),
        ],
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        ort=_ort(wish.ort) if "ort" in wish.needs else {},
    )


def _title(root: Path) -> str:
    kept = "".join(letter for letter in root.name if letter.isalnum() or letter in " ._-")
    return kept or "Models"


def _shown(root: Path, spec: ModelSpec, loaded: Any) -> Shown:
    file, colon, name = spec.source.partition(":")
    path = Path(spec.root) / file
    source = f"{path.resolve().relative_to(root.resolve()).as_posix()}{colon}{name}"
    if file.endswith(".py"):
        runtime = ""
        net = net_of_code(source, path, loaded)
    else:
        runtime = formats.runtime_of(path) or ""
        net = net_of_file(source, runtime, loaded)
    if isinstance(net, str):
        return Shown(loaded.description, source, runtime, reason=net)
    return Shown(loaded.description, source, runtime, net)


# Files


def _files(root: Path, shown: Sequence[Shown], wish: Wish) -> dict[str, Path]:
    """What a copy of the project holds: of a model file that file, of anything else its folder.

    Raises:
        ConfigError: it is too large, or what is served is left out.
    """
    served = _served(root, shown, wish.exclude)
    if Path(wish.target).is_file() and shown[0].runtime:
        return served
    found = dict(served)
    size = 0
    for file in _walk(root.resolve(), wish.out.resolve()):
        name = file.relative_to(root.resolve()).as_posix()
        if name not in served and _is_like(name, (*_SKIPPED, *wish.exclude)):
            continue
        found[name] = file
        size += file.stat().st_size
        if len(found) > MOST_FILES or size > MOST_BYTES:
            problem = (
                f"holds more than {MOST_FILES} files or {MOST_BYTES // 2**20} MB; put what is served into a folder "
                "of its own, or leave files out with --exclude"
            )
            raise ConfigError(where=str(root), problem=problem)
    return found


def _served(root: Path, shown: Sequence[Shown], exclude: Sequence[str]) -> dict[str, Path]:
    """The files without which nothing is served."""
    names = [name for one in shown for name in (one.net.files if one.net else ())]
    names += [one.source.partition(":")[0] for one in shown]
    for name in names:
        if _is_like(name, exclude):
            raise ConfigError(where="--exclude", problem=f"leaves out {name}, which is served")
    return {name: root / name for name in names}


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits a place in the project's folder, or its last part."""
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(last, p) for p in patterns)


def _walk(folder: Path, out: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones, links, environments of Python, and what was exported."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink() or path == out:
            continue
        if path.is_file():
            yield path
        elif path.name not in _SKIPPED_FOLDERS and not any(
            (path / mark).exists() for mark in ("pyvenv.cfg", MARK)
        ):
            yield from _walk(path, out)


# Requirements


def _with_extras(pip: str, extras: Sequence[str]) -> str:
    """`headway==1` with extras: `headway[onnx]==1`."""
    if not extras:
        return pip
    name = next(
        (i for i, letter in enumerate(pip) if not (letter.isalnum() or letter in "-_.")), len(pip)
    )
    return f"{pip[:name]}[{','.join(extras)}]{pip[name:]}"


def _extras(files: Mapping[str, Path], shown: Sequence[Shown]) -> list[str]:
    """The extras that open the weights among the files, and what the models take and answer."""
    runtimes = {formats.runtime_of(path) for path in files.values() if path.suffix != ".py"}
    runtimes |= {one.runtime for one in shown}
    found = {name for name in runtimes if name and plugins.literal("runtimes", name, "REQUIRES")}
    schemas = json.dumps(
        [[one.description.input_schema, one.description.output_schema] for one in shown]
    )
    found |= {kind for kind in ("audio", "image") if f'"contentMediaType": "{kind}/' in schemas}
    return sorted(name.replace("_", "-") for name in found)


def _needed(
    dependencies: Sequence[str], files: Mapping[str, Path], shown: Sequence[Shown]
) -> list[str]:
    """What `headway.yaml` names; where it names nothing, what the predictors import, in the versions that are here."""
    if dependencies:
        return list(dependencies)
    from importlib import metadata  # noqa: PLC0415  (quick --help)

    packages = metadata.packages_distributions()
    found = {
        name
        for module in _imported([s.source.partition(":")[0] for s in shown if not s.runtime], files)
        for name in packages.get(module, ())
        if name != "headway"
    }
    return [f"{name}=={metadata.version(name)}" for name in sorted(found, key=str.lower)]


def _imported(sources: Sequence[str], files: Mapping[str, Path]) -> set[str]:
    """Top-level names that files import, and files of the project that those import."""
    waiting, seen = list(sources), set[str]()
    found: set[str] = set()
    while waiting:
        source = waiting.pop()
        if source in seen or source not in files:
            continue
        seen.add(source)
        for node in ast.walk(ast.parse(files[source].read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in names:
                found.add(name.partition(".")[0])
                waiting += [f"{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py")]
    return found - set(sys.stdlib_module_names)


# onnxruntime-web


def _ort(given: str) -> dict[str, Path]:
    """The three files of onnxruntime-web that a page needs, from where npm has put the package."""
    here = Path.cwd()
    places = (
        [Path(given), Path(given) / "dist", Path(given) / "node_modules" / _ORT / "dist"]
        if given
        else [folder / "node_modules" / _ORT / "dist" for folder in (here, *here.parents)]
    )
    for place in places:
        if all((place / name).is_file() for name in _ORT_FILES):
            return {name: place / name for name in _ORT_FILES}
    where = f"it is not in {given}" if given else "it is in no node_modules from here up"
    raise TargetError(
        f"a page that runs the model needs onnxruntime-web, and {where}: `npm install {_ORT}`, or say with --ort "
        "where npm has put it"
    )
