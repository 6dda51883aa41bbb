"""Which predictors are one model with steps that any language has, and what is said of the others."""

import pytest

from headway.model.portable import Feed, Plan, Step, read_plan

LOAD = """
class P(hw.Predictor):
    '''It says nothing.'''
    def load(self):
        self.net = self.open_model("net.onnx")
        self.labels = self.path("labels.txt").read_text().split()
"""


def plan_of(signature: str, *body: str) -> Plan | str:
    lines = "\n".join(f"        {line}" for line in body)
    return read_plan(f"{LOAD}    def predict(self, {signature}):\n{lines}\n", "P")


@pytest.mark.parametrize(
    ("signature", "body", "feeds", "output", "labels"),
    [
        ("x", ["return self.net(x)"], [Feed("x", 0)], "", ""),
        ("x", ["'''Docs.'''", "return self.net(x)['y']"], [Feed("x", 0)], "y", ""),
        ("a, b", ["return self.net(u=b, v=a)"], [Feed("b", "u"), Feed("a", "v")], "", ""),
        ("x", ["y: Y = self.net(x)", "return y"], [Feed("x", 0)], "", ""),
        (
            "x",
            ["return self.net((x - 0.5) / np.float32(255))"],
            [Feed("x", 0, (Step("-", 0.5), Step("/", 255.0)))],
            "",
            "",
        ),
        (
            "x",
            ["return self.net(2 * x + -1)"],
            [Feed("x", 0, (Step("*", 2), Step("+", -1)))],
            "",
            "",
        ),
        (
            "x",
            ["return [dict(zip(self.labels, row)) for row in self.net(x)['p']]"],
            [Feed("x", 0)],
            "p",
            "labels",
        ),
        (
            "x",
            ["return [dict(zip(self.labels, r.tolist(), strict=True)) for r in self.net(x)]"],
            [Feed("x", 0)],
            "",
            "labels",
        ),
        (
            "x",
            ["return [dict(zip(self.labels, r)) for r in self.net(x).tolist()]"],
            [Feed("x", 0)],
            "",
            "labels",
        ),
    ],
)
def test_one_call_of_a_model_is_a_plan(
    signature: str, body: list[str], feeds: list[Feed], output: str, labels: str
) -> None:
    assert plan_of(signature, *body) == Plan("net.onnx", "net", tuple(feeds), output, labels)


@pytest.mark.parametrize(
    ("signature", "body", "told"),
    [
        ("x", ["if not x: return 0", "return self.net(x)"], "line 8, `if not x: return 0`"),
        ("x", ["return self.net(x).argmax()"], "expected one call of a model that `load` opens"),
        ("x", ["return self.other(x)"], "`self.other(x)`: expected one call of a model"),
        ("x", ["return self.net(clean(x))"], "`clean(x)`: expected a parameter (x), and numbers"),
        ("x", ["return self.net(1 - x)"], "`1 - x`"),
        ("x", ["return self.net(x ** 2)"], "`x ** 2`"),
        ("x", ["return self.net(x / SCALE)"], "`x / SCALE`"),
        ("x, y", ["return self.net(x)"], "each parameter (x, y) once"),
        ("x", ["return self.net(x, x)"], "each parameter (x) once"),
        ("x", ["return self.net(*x)"], "expected a parameter (x)"),
        ("x", ["return [r for r in self.net(x)]"], "expected `[dict(zip(self.labels, row))"),
        (
            "x",
            ["return [dict(zip(self.labels, r)) for r in self.net(x) if r[0]]"],
            "expected `[dict(zip",
        ),
        ("x", ["yield self.net(x)"], "expected nothing but `return`"),
    ],
)
def test_more_than_that_is_told_with_its_line(signature: str, body: list[str], told: str) -> None:
    found = plan_of(signature, *body)
    assert isinstance(found, str)
    assert found.startswith("P.predict, line ")
    assert told in found


def test_what_is_no_class_with_a_predict_is_told() -> None:
    assert "is no class" in str(read_plan("def f(x): return x", "f"))
    assert "not written in the class itself" in str(read_plan("class P(Q):\n    pass", "P"))
    asynchronous = "class P:\n    async def predict(self, x):\n        return self.net(x)"
    assert "is async" in str(read_plan(asynchronous, "P"))
    without = "class P:\n    def predict(self, x):\n        return self.net(x)"
    assert "one call of a model" in str(read_plan(without, "P"))


def test_a_model_that_may_be_another_one_is_none() -> None:
    twice = LOAD + "        if big: self.net = self.open_model('b.onnx')\n"
    found = read_plan(f"{twice}    def predict(self, x):\n        return self.net(x)\n", "P")
    assert "expected one call of a model that `load` opens" in str(found)
