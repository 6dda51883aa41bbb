"""What to serve: a target that somebody named becomes model specs and settings.

A target is a Python file, `file.py:Name`, a model file, or a folder, with a headway.yaml or
without. Nothing of the user's is imported here, only its text is read, and no path leaves its root.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from headway import config
from headway.config import Entry, Layer, ModelSettings, ModelSpec, ServerSettings
from headway.errors import ConfigError
from headway.model import document, formats, source
from headway.model.document import Node

FILE: Final = "headway.yaml"

_NAME: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PROJECT_KEYS: Final = ("name", "predictor", "model", "models", "dependencies", "server")
_MODEL_KEYS: Final = ("predictor", "model", "root")


@dataclass(frozen=True, slots=True)
class Project:
    """What one target asks to serve."""

    models: tuple[ModelSpec, ...]
    root: str
    """Absolute path of its folder."""
    server: Layer = field(default_factory=dict)
    """What its headway.yaml says of the server."""
    dependencies: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Absolute paths of the targets' own headway.yaml that were read."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A model, and what is said of its settings."""

    name: str
    root: Path
    source: str
    settings: Layer = field(default_factory=dict)
    """Of its folder."""
    entry: Layer = field(default_factory=dict)
    """Of its own entry under `models`: above the folder's."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a folder says, by its headway.yaml or without."""

    models: tuple[_Found, ...]
    server: Layer = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Its absolute path; nothing where there is none."""


def find_models(target: str, *layers: Layer) -> Project:
    """Find the models of a target.

    Args:
        target: `file.py`, `file.py:Name`, a model file, or a folder.
        layers: model settings over those of headway.yaml: the environment's, then the flags'.

    Raises:
        ConfigError: nothing is there, or it can't be told what to serve; says what to write.
        BundleError: a Python file can't be read.
    """
    path, name = _split(target)
    if not path.exists():
        raise ConfigError(where=target, problem=_missing(path))
    root = path if path.is_dir() else path.parent
    if path.is_dir():
        folder = _in_folder(path, "")
    else:
        folder = _Folder((_in_root(root, path.name, name, str(path)),))
    specs = tuple(
        ModelSpec(m.name, str(m.root), m.source, config.read(ModelSettings, m.settings, *layers))
        for m in folder.models
    )
    return Project(specs, str(root.resolve()), folder.server, folder.dependencies, folder.files)


def join(projects: Sequence[Project]) -> Project:
    """Serve several targets as one.

    Raises:
        ConfigError: two models have one name, or two headway.yaml set the server.
    """
    models = [model for one in projects for model in one.models]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            sources = ", ".join(m.source for m in models if m.name == name)
            problem = f"two models have this name ({sources}); name them in a {FILE}"
            raise ConfigError(where=name, problem=problem)
    servers = [one.server for one in projects if one.server]
    if len(servers) > 1:
        where = next(iter(servers[1].values())).where
        raise ConfigError(where=where, problem=f"another target's {FILE} sets the server too")
    return Project(
        tuple(models),
        projects[0].root,
        servers[0] if servers else {},
        tuple(d for one in projects for d in one.dependencies),
        tuple(f for one in projects for f in one.files),
    )


def check_name(name: str, where: str) -> str:
    """Return a model's name if it can stand in a path, a label and a file name.

    Raises:
        ConfigError: it can't.
    """
    if not _NAME.fullmatch(name):
        problem = f"the name {name!r:.80} is not letters, digits, `.`, `_` and `-` (at most 128)"
        raise ConfigError(where=where, problem=problem)
    return name


def _split(target: str) -> tuple[Path, str]:
    """`file.py:Name` in its two parts."""
    head, colon, name = target.rpartition(":")
    if colon and head.endswith(".py") and name.isidentifier():
        return Path(head), name
    if "\0" in target or "://" in target:
        raise ConfigError(where=target.replace("\0", "\\0"), problem="expected a file or a folder")
    return Path(target), ""


def _missing(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {str(parent)!r}"
    near = difflib.get_close_matches(path.name, [p.name for p in parent.iterdir()], n=1)
    return "there is no such file or folder" + (f"; the nearest is {near[0]!r}" if near else "")


def _in_root(root: Path, file: str, name: str, where: str, model_name: str = "") -> _Found:
    """One model from a file below a root, both as somebody wrote them."""
    path = _confined(root, file, where)
    if not path.exists():
        raise ConfigError(where=where, problem=f"{file!r}: {_missing(path)}")
    if path.suffix == ".py" and path.is_file():
        shown = path.relative_to(root.resolve()).as_posix()
        if name:
            source.check(path, name, shown)
        text = f"{shown}:{name or source.only(path, shown)}"
    else:
        _check_format(path, where)
        text = path.relative_to(root.resolve()).as_posix()
    return _Found(model_name or _name_from(path, where), root.resolve(), text)


def _confined(root: Path, relative: str, where: str) -> Path:
    """The real path of what is below a root; a link that leads out of it is refused."""
    path = (root / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(root.resolve()):
        raise ConfigError(where=where, problem=f"{relative!r} is outside of the project's folder")
    return path


def _check_format(path: Path, where: str) -> None:
    """Say that nothing opens a model, before a server is started for it."""
    if formats.runtime_of(path):
        return
    if path.name == FILE:
        raise ConfigError(
            where=where, problem=f"give the folder that it lies in, {str(path.parent)!r}"
        )
    if path.is_dir():
        problem = f"{path.name!r} is no model's folder"
    elif formats.is_claimed(path.name):
        problem = f"{path.name!r} holds no model of a known format, whatever its ending says"
    else:
        problem = f"{path.name!r} has no ending that can be served"
    raise ConfigError(where=where, problem=f"{problem}; {formats.known(path.is_dir())}")


def _name_from(path: Path, where: str) -> str:
    """A model's name from its file: what can't stand in a name becomes a hyphen."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.partition(".")[0]).lstrip("-_")
    return check_name(stem[:128], where)


def _in_folder(folder: Path, prefix: str) -> _Folder:
    file = folder / FILE
    if not file.exists() and not file.is_symlink():
        return _Folder((_only_file(folder),))
    # Or its settings, keys among them, would be as if they had not been written.
    if not file.is_file():
        problem = "can't be read: it is a folder, a link to nothing, or otherwise no file"
        raise ConfigError(where=f"{prefix}{FILE}", problem=problem)
    return _File(folder, prefix).read()


def _only_file(folder: Path) -> _Found:
    """The model of a folder that names none: its only predictor file, else itself, else its only model file."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
    python = [p for p in files if p.suffix == ".py" and _may_predict(p)]
    if not python and formats.runtime_of(folder):
        return _in_root(folder, ".", "", str(folder))
    choices = python or [p for p in files if formats.runtime_of(p)]
    if len(choices) == 1:
        return _in_root(folder, choices[0].name, "", str(choices[0]))
    what = "several: " + ", ".join(p.name for p in choices) if choices else "none"
    advice = f"write a {FILE} there with `predictor: file.py:Name` or `model: model.onnx`"
    raise ConfigError(
        where=str(folder), problem=f"expected one predictor or model file, found {what}; {advice}"
    )


def _may_predict(path: Path) -> bool:
    is_test = path.name.startswith("test_") or path.name in ("conftest.py", "setup.py")
    return not is_test and bool(source.predictors(path))


class _File:
    """A headway.yaml being read."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.shown = f"{prefix}{FILE}"
        self.prefix = prefix
        self.root = document.parse(_bytes(folder / FILE), self.shown)

    def read(self) -> _Folder:
        """Everything that it says."""
        given: dict[str, Node] = self.root.value
        settings = self._settings(ModelSettings, given, "", _PROJECT_KEYS)
        found = self._models(given)
        server = self._mapping(given["server"], "server") if "server" in given else {}
        return _Folder(
            tuple(replace(m, settings={**m.settings, **settings, **m.entry}) for m in found),
            self._settings(ServerSettings, server, "server.", ()),
            tuple(self._dependencies(given)),
            (str(self.folder.resolve() / FILE),),
        )

    def _models(self, given: Mapping[str, Node]) -> list[_Found]:
        if "models" not in given:
            name = self._text(given, "name", "")
            return [self._model(given, "", name)]
        for key in ("name", "predictor", "model"):
            if key in given:
                where = self._where(key, given[key])
                raise ConfigError(where=where, problem="can't stand beside `models`")
        entries = self._mapping(given["models"], "models")
        if not entries:
            where = self._where("models", given["models"])
            raise ConfigError(where=where, problem="expected a name and what it serves, found none")
        return [self._entry(name, node) for name, node in entries.items()]

    def _entry(self, name: str, node: Node) -> _Found:
        path = f"models.{name}"
        check_name(name, self._where(path, node))
        given = self._mapping(node, path)
        settings = self._settings(ModelSettings, given, f"{path}.", _MODEL_KEYS)
        found = self._model(given, f"{path}.", name)
        return replace(found, entry=settings)

    def _model(self, given: Mapping[str, Node], path: str, name: str) -> _Found:
        """The one model that `predictor`, `model` or `root` names."""
        if name and not path:
            check_name(name, self._where("name", given["name"]))
        keys = [key for key in ("predictor", "model") if key in given]
        if len(keys) == 2:
            where = self._where(f"{path}model", given["model"])
            raise ConfigError(where=where, problem=f"`{path}predictor` is there too; keep one")
        root = self._root(given, path) if path else self.folder
        if keys:
            where = self._where(f"{path}{keys[0]}", given[keys[0]])
            file, attribute = _split(self._text(given, keys[0], path))
            return _in_root(root, str(file), attribute, where, name)
        return self._folder_model(root, given, path, name)

    def _folder_model(self, root: Path, given: Mapping[str, Node], path: str, name: str) -> _Found:
        """The only model of a folder; a folder below speaks for itself, this one's files do."""
        if root.resolve() == self.folder.resolve():
            found = _only_file(root)
        else:
            inner = _in_folder(root, f"{self.prefix}{root.relative_to(self.folder).as_posix()}/")
            if len(inner.models) != 1:
                names = ", ".join(m.name for m in inner.models)
                where = self._where(f"{path}root", given["root"])
                raise ConfigError(where=where, problem=f"expected one model, found: {names}")
            found = inner.models[0]
        return replace(found, name=name or found.name)

    def _root(self, given: Mapping[str, Node], path: str) -> Path:
        if "root" not in given:
            return self.folder
        where = self._where(f"{path}root", given["root"])
        relative = self._text(given, "root", path)
        _confined(self.folder, relative, where)
        root = self.folder / relative
        if not root.is_dir():
            raise ConfigError(where=where, problem=f"{relative!r} is not a folder here")
        return root

    def _settings(
        self, table: type, given: Mapping[str, Node], path: str, other: tuple[str, ...]
    ) -> Layer:
        """The layer of a mapping's settings; others are skipped, unknown keys refused."""
        known = {row.key: row for row in config.rows(table)}
        layer: dict[str, Entry] = {}
        for key, node in given.items():
            where = self._where(f"{path}{key}", node)
            if key in other:
                continue
            if key not in known:
                raise config.unknown(key, {*known, *other}, where, "key")
            value = node.plain()
            if known[key].setting.unit == "path" and isinstance(value, str) and value:
                value = str(self.folder.resolve() / value)
            layer[key] = Entry(value, where)
        return layer

    def _dependencies(self, given: Mapping[str, Node]) -> list[str]:
        if "dependencies" not in given:
            return []
        found = given["dependencies"].plain()
        is_list = isinstance(found, list)
        if not is_list or not all(isinstance(d, str) and d and d.isprintable() for d in found):
            where = self._where("dependencies", given["dependencies"])
            raise ConfigError(where=where, problem="expected a list of requirements (text)")
        return list(found)

    def _mapping(self, node: Node, path: str) -> dict[str, Node]:
        if node.value is None:
            return {}
        if isinstance(node.value, dict):
            return node.value
        problem = f"expected `key: value` lines below it, found {node.plain()!r:.80}"
        raise ConfigError(where=self._where(path, node), problem=problem)

    def _text(self, given: Mapping[str, Node], key: str, path: str) -> str:
        value = given[key].value if key in given else ""
        if isinstance(value, str) and (value or key not in given) and value.isprintable():
            return value
        where = self._where(f"{path}{key}", given[key])
        raise ConfigError(where=where, problem=f"expected text, found {given[key].plain()!r:.80}")

    def _where(self, path: str, node: Node) -> str:
        return f"`{path}` in {self.shown}, line {node.line}"


def _bytes(path: Path) -> bytes:
    """At most one byte more than a document may have."""
    try:
        with path.open("rb") as file:
            return file.read(document.LIMIT_BYTES + 1)
    except OSError as e:
        raise ConfigError(where=path.name, problem=f"can't be read: {e.strerror}") from e
