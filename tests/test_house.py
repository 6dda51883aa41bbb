"""The house's four rules and its words, held over the syntax trees of the package.

Rows import downwards only; plugins are opened, never imported; every side effect has one home;
nothing is kept in modules. An offence is shown as file:line and what to do about it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import headway

HOME: Final = Path(headway.__file__).parent
ROWS: Final = (
    ("errors", "config", "plugins"),
    ("model",),
    ("kinds",),
    ("runtimes", "protocols", "transforms", "connectors", "stores", "exporters", "observe"),
    ("rollout",),
    ("engine",),
    ("server", "batch", "container", "client", "traffic", "executors"),
    ("targets", "importers", "forms"),
    ("check",),
    ("commands",),
    ("__main__",),
)
RANK: Final = {name: rank for rank, row in enumerate(ROWS) for name in row}
PLURAL: Final = {
    "kinds",
    "runtimes",
    "protocols",
    "transforms",
    "connectors",
    "stores",
    "exporters",
    "executors",
    "targets",
    "importers",
    "forms",
    "commands",
}
FACADE: Final = "headway"
"""`headway/__init__.py` shows names of every row, and opens each on first use."""

IO_FILES: Final = tuple(
    f"engine.{name}"
    for name in (
        *("channel", "mailbox", "link", "slot", "inbox", "listening"),
        *("supervisor", "worker", "gateway", "gateways", "party", "fetch"),
    )
)
LIBRARIES: Final = {
    "an ML library": (
        "torch onnx onnxruntime sklearn skops joblib tensorflow xgboost lightgbm threadpoolctl "
        "catboost openvino ai_edge_litert mlflow transformers safetensors",
        ("runtimes", "transforms"),
    ),
    "a media library": ("PIL pandas polars pyarrow soundfile soxr cv2 av", ("kinds",)),
    "opentelemetry": ("opentelemetry", ("exporters",)),
    "unpickling": ("pickle cloudpickle dill marshal shelve", ("runtimes",)),
    "processes": (
        "subprocess multiprocessing pty",
        ("engine.child", "executors", "container", "forms", "targets.gradio"),
    ),
    "click": ("click rich", ("commands",)),
    "sockets": (
        "socket ssl",
        ("server", "client", "traffic.connection", "connectors", "stores", *IO_FILES),
    ),
    "numpy": (
        "numpy",
        ("model", "kinds", "runtimes", "transforms", "connectors", "engine", "batch", "client"),
    ),
    "protobuf": ("google grpc", ()),
}
"""What may be imported only there; a plugin that needs more says so in its own folder's row."""

BANNED_WORDS: Final = {
    "registry",
    "manager",
    "handler",
    "service",
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "base",
    "core",
}


class Module(NamedTuple):
    """One file of the package."""

    name: str
    """Without `headway.`: "model.wire"; a folder's own file is the folder."""
    path: Path
    tree: ast.Module
    text: str

    @property
    def row(self) -> str:
        return self.name.partition(".")[0]

    def at(self, node: ast.AST, words: str) -> str:
        """An offence, as people want to read it."""
        return f"{self.path.relative_to(HOME)}:{getattr(node, 'lineno', 1)} {words}"


def read_modules() -> Iterator[Module]:
    for path in sorted(HOME.rglob("*.py")):
        parts = path.relative_to(HOME).with_suffix("").parts
        if "starter" in parts:  # a user's project, not ours
            continue
        name = ".".join(p for p in parts if p != "__init__") or FACADE
        text = path.read_text(encoding="utf-8")
        yield Module(name, path, ast.parse(text), text)


MODULES: Final = tuple(read_modules())
NAMES: Final = frozenset(module.name for module in MODULES)


def imports(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """Every import anywhere in a module, as (statement, full dotted name)."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, module.at(node, "relative import")
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def inner_imports(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """Imports of our own modules, as (statement, name without `headway.`)."""
    for node, full in imports(module):
        if full == "headway" or full.startswith("headway."):
            name = full.removeprefix("headway").removeprefix(".")
            yield node, next((n for n in (name, name.rpartition(".")[0]) if n in NAMES), "")


def show(offences: Sequence[str]) -> str:
    return "\n" + "\n".join(offences)


def test_every_folder_has_a_row() -> None:
    rows = {module.row for module in MODULES} - {FACADE}
    assert rows <= set(RANK)


def test_folders_are_at_most_one_deep() -> None:
    deep = [str(m.path) for m in MODULES if len(m.path.relative_to(HOME).parts) > 2]
    assert not deep, show(deep)


def test_a_row_imports_only_rows_below_it() -> None:
    offences = [
        module.at(node, f"imports {name}: it is not in a row below {module.row}")
        for module in MODULES
        if module.name != FACADE
        for node, name in inner_imports(module)
        if name and name.partition(".")[0] != module.row
        if RANK[name.partition(".")[0]] >= RANK[module.row] > 0
    ]
    assert not offences, show(offences)


def test_nothing_imports_a_plugin_by_name() -> None:
    offences = []
    for module in MODULES:
        for node, name in inner_imports(module):
            folder, _, plugin = name.partition(".")
            is_own_private = plugin.startswith("_") and folder == module.row
            if folder in PLURAL and plugin and not is_own_private:
                offences.append(module.at(node, f"imports the plugin {name}: plugins.load it"))
    assert not offences, show(offences)


def test_a_plugin_is_a_module_of_its_folder_with_a_contract() -> None:
    for folder in sorted(PLURAL):
        if (HOME / folder).is_dir():
            contract = next(m for m in MODULES if m.name == folder)
            classes = [n for n in contract.tree.body if isinstance(n, ast.ClassDef)]
            is_there = any(
                isinstance(b, ast.Name) and b.id == "Protocol" for c in classes for b in c.bases
            )
            assert is_there, f"{folder}/__init__.py has no Protocol for its plugins"


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {
        m.name: {name for node, name in inner_imports(m) if node not in typed_only(m)} - {m.name}
        for m in MODULES
        if m.name != FACADE
    }
    done: set[str] = set()
    while ready := {
        name for name in graph if name not in done and not (graph[name] & set(graph)) - done
    }:
        done |= ready
    assert not set(graph) - done, f"in circles: {sorted(set(graph) - done)}"


def typed_only(module: Module) -> set[ast.AST]:
    """What stands below `if TYPE_CHECKING`, which never runs."""
    blocks = [n for n in ast.walk(module.tree) if isinstance(n, ast.If)]
    return {
        inner
        for block in blocks
        if ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for inner in ast.walk(statement)
    }


def is_within(module: Module, homes: Sequence[str]) -> bool:
    return any(module.name == home or module.name.startswith(f"{home}.") for home in homes)


def test_every_library_is_imported_in_its_home_only() -> None:
    homes = {
        name: (what, allowed)
        for what, (names, allowed) in LIBRARIES.items()
        for name in names.split()
    }
    offences = [
        module.at(node, f"{what} ({full}) belongs in {', '.join(allowed) or 'no module yet'}")
        for module in MODULES
        for node, full in imports(module)
        if (top := full.partition(".")[0]) in homes
        for what, allowed in [homes[top]]
        if not is_within(module, allowed)
    ]
    assert not offences, show(offences)


ATTRIBUTES: Final = {
    ("os", "environ"): ("config",),
    ("os", "getenv"): ("config",),
    ("os", "putenv"): ("config",),
    ("os", "fork"): ("engine.supervisor",),
    ("os", "forkpty"): ("engine.supervisor",),
    ("os", "posix_spawn"): ("engine.supervisor",),
    ("os", "system"): (),
    ("os", "popen"): (),
    ("logging", "basicConfig"): ("observe",),
    ("click", "echo"): ("commands",),
    ("yaml", "load"): (),
    ("yaml", "safe_load"): (),
}


def test_every_side_effect_has_one_home() -> None:
    offences = [
        module.at(node, f"import the module, not {full}, so that its uses are seen")
        for module in MODULES
        for node, full in imports(module)
        if tuple(full.rsplit(".", 1)) in ATTRIBUTES and module.row != "commands"
    ]
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                homes = ATTRIBUTES.get((node.value.id, node.attr))
                if homes is not None and not is_within(module, homes):
                    name = f"{node.value.id}.{node.attr}"
                    offences.append(module.at(node, f"{name} belongs in {homes or 'no module'}"))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in ("eval", "exec", "__import__", "breakpoint", "input"):
                    offences.append(module.at(node, f"{node.func.id}() belongs nowhere"))
                if node.func.id == "print" and module.row != "commands":
                    offences.append(module.at(node, "printing belongs in commands"))
    assert not offences, show(offences)


MAKERS: Final = ("list", "dict", "set", "defaultdict", "Counter", "deque", "bytearray", "count")
DISPLAYS: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTATORS: Final = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "update",
}


def test_modules_keep_no_mutable_state() -> None:
    offences = [
        module.at(node, f"{name} holds state: make it a constant, or give it to those who need it")
        for module in MODULES
        for node, name in containers(module)
        if not name.isupper() or is_empty(node.value) or name in changed(module)
        if name != "__all__"
    ]
    offences += [
        module.at(node, "`global` makes module state")
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    assert not offences, show(offences)


def containers(module: Module) -> Iterator[tuple[ast.Assign | ast.AnnAssign, str]]:
    """The lists, dicts and sets that a module makes when it is imported."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            value = node.value
            called = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
            if isinstance(value, DISPLAYS) or called.rpartition(".")[2] in MAKERS:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                yield node, ast.unparse(target)


def is_empty(value: ast.expr | None) -> bool:
    """An empty container is there to be filled."""
    return not any(
        isinstance(child, ast.expr) for child in ast.walk(value or ast.Pass()) if child is not value
    )


def changed(module: Module) -> set[str]:
    """Names of which an item is set or deleted, or a changing method called."""
    found = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                found |= {name} & ({name} if method in MUTATORS else set())
            case ast.AugAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def test_an_import_inside_a_function_says_why() -> None:
    offences = []
    for module in MODULES:
        lines = module.text.splitlines()
        functions = [
            n
            for n in ast.walk(module.tree)
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        inside = {
            n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)
        }
        for node in inside:
            first, last = lines[node.lineno - 1], lines[(node.end_lineno or node.lineno) - 1]
            above = lines[node.lineno - 2].strip()
            has_reason = re.search(r"PLC0415\s+\(.+\)", first + last) or above.startswith("#")
            if not has_reason and module.row not in ("runtimes", "transforms", "kinds"):
                offences.append(module.at(node, "say why in a comment: `# noqa: PLC0415  (why)`"))
    assert not offences, show(sorted(offences))


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_words_that_name_nothing_name_nothing() -> None:
    offences = [
        module.at(node, f"{name} holds a word that says nothing: {sorted(banned)}")
        for module in MODULES
        for node, name in [
            (module.tree, module.name.rpartition(".")[2]),
            *((n, n.name) for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)),
        ]
        if (banned := words_of(name) & BANNED_WORDS)
    ]
    assert not offences, show(offences)


def test_every_error_is_made_somewhere() -> None:
    tree = next(m for m in MODULES if m.name == "errors").tree
    assert isinstance(tree, ast.Module)
    classes = {
        n.name: {ast.unparse(b) for b in n.bases}
        for n in tree.body
        if isinstance(n, ast.ClassDef) and "Error" in ast.unparse(n.bases[0] if n.bases else n)
    }
    leaves = {name for name in classes if not any(name in b for b in classes.values())}
    made = {
        ast.unparse(n.func).rpartition(".")[2]
        for m in MODULES
        for n in ast.walk(m.tree)
        if isinstance(n, ast.Call)
    }
    # `raise errors.X` without a call makes one, too.
    made |= {
        ast.unparse(n.exc).rpartition(".")[2]
        for m in MODULES
        for n in ast.walk(m.tree)
        if isinstance(n, ast.Raise) and n.exc
    }
    assert len(leaves) > 15
    assert leaves <= made, f"raised by nobody: {sorted(leaves - made)}"


def test_every_module_says_what_it_is() -> None:
    offences = [m.at(m.tree, "has no docstring") for m in MODULES if not ast.get_docstring(m.tree)]
    assert not offences, show(offences)


def loaded_by(statement: str) -> set[str]:
    """Top-level and headway modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_headway_costs_next_to_nothing() -> None:
    loaded = loaded_by("import headway")
    assert not loaded & {
        "numpy",
        "yaml",
        "click",
        "msgspec",
        "uvloop",
        "asyncio",
        "google.protobuf",
    }
    plugins = {n for n in loaded if n.startswith("headway.") and n.split(".")[1] in PLURAL}
    assert not plugins


def test_the_gateway_process_imports_no_numpy_no_protobuf_and_no_model_code() -> None:
    opened = "; ".join(
        f"plugins.load('protocols', {p.stem!r})"
        for p in sorted((HOME / "protocols").glob("[!_]*.py"))
    )
    loaded = loaded_by(f"import headway.server.process; from headway import plugins; {opened}")
    assert not loaded & {
        "numpy",
        "google.protobuf",
        "onnxruntime",
        "sklearn",
        "PIL",
        "pandas",
        "simdjson",
    }
    assert not {n for n in loaded if n.startswith(("headway.kinds", "headway.runtimes"))}
    assert "headway.model.wire" not in loaded


def test_no_folder_takes_the_name_of_something_public() -> None:
    """Importing `headway.load` would put a module in the place of the function."""
    import headway

    taken = {p.stem for p in HOME.iterdir() if p.is_dir() or p.suffix == ".py"}
    modules = {"errors"}
    assert not taken & set(headway.__all__) - modules
