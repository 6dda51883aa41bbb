"""Which predictor a Python file holds, found by reading it, never by running it.

A predictor is a class derived from `Predictor`, a function under `@predictor`, or, where a file
has neither, a fully annotated public function. Not here: importing the file (`predictor`), or
reading a signature (`signature`).
"""

import ast
import difflib
from pathlib import Path

from headway.errors import BundleError, ConfigError

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def predictors(path: Path) -> list[str]:
    """List the names of a file's predictors, classes first.

    Raises:
        BundleError: the file can't be read as Python.
    """
    tree = _parse(path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions = [node for node in tree.body if isinstance(node, _Function)]
    derived = _derived(classes)
    marked = {f.name for f in functions if any(_last(d) == "predictor" for d in f.decorator_list)}
    found = derived | marked or {f.name for f in functions if _is_annotated(f)}
    return [node.name for node in (*classes, *functions) if node.name in found]


def only(path: Path, shown: str) -> str:
    """The name of a file's only predictor; of several, the one that is called `predict`.

    Raises:
        ConfigError: there is none, or several.
        BundleError: the file can't be read as Python.
    """
    found = predictors(path)
    if not found:
        raise ConfigError(
            where=shown,
            problem="has no predictor: write a class derived from headway.Predictor, "
            "or a function with annotations",
        )
    if len(found) > 1 and "predict" not in found:
        forms = ", ".join(f"{shown}:{name}" for name in found)
        raise ConfigError(where=shown, problem=f"has several predictors; choose one: {forms}")
    return found[0] if len(found) == 1 else "predict"


def check(path: Path, name: str, shown: str) -> None:
    """Refuse a name that nothing in the file defines.

    Raises:
        ConfigError: with the nearest name.
        BundleError: the file can't be read as Python.
    """
    names = _bound(_parse(path))
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"the nearest is `{near[0]}`" if near else "nothing there is called nearly so"
        raise ConfigError(where=shown, problem=f"defines no `{name}`; {hint}")


def lines_of(path: Path, name: str) -> dict[str, int]:
    """The lines of a predictor: of each parameter by name, of the answer as "return", of itself as "".

    Raises:
        BundleError: the file can't be read as Python.
    """
    for node in ast.walk(_parse(path)):
        if not isinstance(node, ast.ClassDef | _Function) or node.name != name:
            continue
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        function = next(
            (f for f in inner if isinstance(f, _Function) and f.name in (name, "predict")), None
        )
        if function is None:
            return {"": node.lineno}
        args = function.args
        named = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        lines = {a.arg: a.lineno for a in named if a is not None}
        answer = function.returns.lineno if function.returns else function.lineno
        return {**lines, "return": answer, "": function.lineno}
    return {}


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as e:
        where = f"{path.name}, line {e.lineno}" if e.lineno else path.name
        raise BundleError(path=where, problem=e.msg) from e
    except (ValueError, RecursionError, OSError) as e:
        raise BundleError(path=path.name, problem=f"can't be read as Python: {e}") from e


def _derived(classes: list[ast.ClassDef]) -> set[str]:
    """Classes below Predictor, without those that others in the file derive from."""
    bases = {c.name: {_last(b) for b in c.bases} for c in classes}
    found: set[str] = set()
    for name, above in bases.items():  # a base stands before what derives from it
        if above & {"Predictor", *found}:
            found.add(name)
    return {name for name in found if not any(name in bases[other] for other in found)}


def _is_annotated(function: _Function) -> bool:
    args = function.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    is_plain = not (args.vararg or args.kwarg or function.name.startswith("_"))
    return is_plain and bool(named) and bool(function.returns) and all(a.annotation for a in named)


def _last(node: ast.expr) -> str:
    """The last name of an expression: `Predictor` of `hw.Predictor` and of `Predictor[int]`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _last(inner)
        case _:
            return ""


def _bound(tree: ast.Module) -> set[str]:
    """Every name that the module's top level, also below `if` and `try`, may bind."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.split(".")[0])
    return found
