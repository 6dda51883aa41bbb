"""Which predictors are one model file and steps that any language has: read from the code, never by running it.

Such a `predict` is one expression: a call of a model that `load` has opened with `self.open_model`, its arguments the
parameters, each perhaps with numbers added, subtracted, multiplied or divided; of the answer one output may be taken,
and its numbers named by labels:

    return self.net((pixels - 0.5) / np.float32(255))["scores"]
    return [dict(zip(self.labels, row)) for row in self.classify(text)["probabilities"]]

Pure. Not here: whether the model's file can be run elsewhere, and by what (`targets`).
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Operator = Literal["+", "-", "*", "/"]
_OPERATORS: Final[Mapping[type[ast.operator], Operator]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}
_EXPECTED: Final = "one call of a model that `load` opens with self.open_model"


@dataclass(frozen=True, slots=True)
class Step:
    """A number that is applied to each element of an array of floats, on its right: `x / 255`."""

    operator: Operator
    number: float


@dataclass(frozen=True, slots=True)
class Feed:
    """A parameter that goes into the model."""

    parameter: str
    to: str | int
    """The model's input, by name or by place."""
    steps: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A predictor as a model and what is done before and after it."""

    file: str
    """The model's, as it was opened."""
    attribute: str
    """That holds the model."""
    feeds: Sequence[Feed]
    output: str = ""
    """The only output that is taken; "" for all."""
    labels: str = ""
    """The attribute that holds a name for each number of a row; "" for none."""


class _Other(Exception):
    """The code has something else."""

    def __init__(self, node: ast.AST, expected: str) -> None:
        place = f"line {getattr(node, 'lineno', 0)}, `{_short(ast.unparse(node))}`"
        super().__init__(f"{place}: expected {expected}")


def read_plan(text: str, name: str) -> Plan | str:
    """Read a predictor's class.

    Args:
        text: of its file.
        name: of the class.

    Returns:
        The plan; or what stands in its way, in words.
    """
    found = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == name]
    if not found:
        return f"{name} is no class with a model that `load` opens"
    methods = {n.name: n for n in found[0].body if isinstance(n, ast.FunctionDef)}
    if "predict" not in methods:
        return f"{name}.predict is not written in the class itself, or is async"
    try:
        return _plan(methods["predict"], methods.get("load"))
    except _Other as e:
        return f"{name}.predict, {e}"


def _plan(predict: ast.FunctionDef, load: ast.FunctionDef | None) -> Plan:
    if predict.decorator_list:
        raise _Other(predict.decorator_list[0], "no decorator")
    parameters = [a.arg for a in (*predict.args.args[1:], *predict.args.kwonlyargs)]
    value, labels = _unlabelled(_returned(predict))
    output = ""
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        output, value = str(value.slice.value), value.value
    files = _opened(load)
    if not (isinstance(value, ast.Call) and (attribute := _own(value.func)) in files):
        raise _Other(value, _EXPECTED)
    feeds = (
        *(_feed(one, place, parameters) for place, one in enumerate(value.args)),
        *(_feed(one.value, str(one.arg), parameters) for one in value.keywords),
    )
    if sorted(feed.parameter for feed in feeds) != sorted(parameters):
        raise _Other(value, f"each parameter ({', '.join(parameters)}) once")
    return Plan(files[attribute], attribute, feeds, output, labels)


def _returned(predict: ast.FunctionDef) -> ast.expr:
    """What is returned, where that is all that is done; a name that it was given first is looked through."""
    match [n for n in predict.body if not _is_text(n)]:
        case [ast.Return(value=ast.expr() as value)]:
            return value
        case [
            ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            | ast.Assign(targets=[ast.Name(id=name)], value=value),
            ast.Return(value=ast.Name(id=returned)),
        ] if name == returned:
            return value
        case body:
            other = next((n for n in body if not isinstance(n, ast.Return)), predict)
            raise _Other(other, "nothing but `return`")


def _unlabelled(value: ast.expr) -> tuple[ast.expr, str]:
    """Of `[dict(zip(self.labels, row)) for row in X]` the X, and the attribute of the labels."""
    if not isinstance(value, ast.ListComp):
        return value, ""
    match value:
        case ast.ListComp(
            elt=ast.Call(
                func=ast.Name(id="dict"),
                args=[ast.Call(func=ast.Name(id="zip"), args=[labels, row])],
                keywords=[],
            ),
            generators=[ast.comprehension(target=ast.Name(id=name), iter=rows, ifs=[], is_async=0)],
        ) if (attribute := _own(labels)) and _as_is(row) == name:
            listed = _listed(rows)
            return listed, attribute
    raise _Other(value, "`[dict(zip(self.labels, row)) for row in ...]`")


def _feed(value: ast.expr, to: str | int, parameters: Sequence[str]) -> Feed:
    """A parameter, and the numbers that are applied to it, the first one first."""
    steps: list[Step] = []
    while isinstance(value, ast.BinOp) and (operator := _OPERATORS.get(type(value.op))):
        left, right = _number(value.left), _number(value.right)
        if right is not None:
            steps.append(Step(operator, right))
            value = value.left
        elif left is not None and operator in "+*":
            steps.append(Step(operator, left))
            value = value.right
        else:
            break
    if isinstance(value, ast.Name) and value.id in parameters:
        return Feed(value.id, to, tuple(steps[::-1]))
    raise _Other(value, f"a parameter ({', '.join(parameters)}), and numbers")


def _opened(load: ast.FunctionDef | None) -> dict[str, str]:
    """The files that `load` opens, by the attributes that hold the models and are set once."""
    found: dict[str, str] = {}
    if load is None:
        return found
    stored = [
        n for n in ast.walk(load) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
    ]
    names = [_own(node) for node in stored]
    for node in load.body:
        match node:
            case ast.Assign(
                targets=[ast.Attribute() as target],
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name(id="self"), attr="open_model"),
                    args=[ast.Constant(value=str(file))],
                ),
            ) if names.count(_own(target)) == 1:
                found[_own(target)] = file
    return found


def _own(node: ast.expr) -> str:
    """The name of `self.name`; "" for anything else."""
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return node.attr if is_own and node.value.id == "self" else ""  # type: ignore[attr-defined]


def _number(node: ast.expr) -> float | None:
    """A number as it stands, or in `np.float32(...)`."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            found = _number(inner)
            return None if found is None else -found
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="float32" | "float64"),
            args=[inner],
            keywords=[],
        ):
            return _number(inner)
    return None


def _listed(node: ast.expr) -> ast.expr:
    """Of `x.tolist()` the x."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="tolist"), args=[], keywords=[]):
            return inner
    return node


def _as_is(node: ast.expr) -> str:
    """The name of a row that is taken as it is, or as a list."""
    inner = _listed(node)
    return inner.id if isinstance(inner, ast.Name) else ""


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]}..."
