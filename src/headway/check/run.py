"""A check: each model is loaded, asked in every form, and held to what was accepted.

Every way gets every sample alone. Its answers must agree with those that were accepted, or else with those of the
first way. Rows may not depend on their batch-mates and two equal calls get equal answers, which the near ways show
with more calls. Not here: how forms are asked (`forms`), what agreement is (`model.parity`).
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headway import config, plugins
from headway.check.report import Case, Report
from headway.check.review import Review
from headway.config import ModelSpec
from headway.engine import local
from headway.errors import HeadwayError, SignatureError
from headway.forms import Form, Subject
from headway.model import opening, signature, source

SLOW_LOAD_S: Final = 10.0
_FORMS: Final = ("python", "engine")
"""These come first: what a model answers by itself is what the others are held against."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to check, and how."""

    target: str
    models: Sequence[ModelSpec]
    """All of the target."""
    name: str = ""
    """Of the only one that is asked; "": all."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Items to be asked besides the examples and the accepted ones."""
    tolerance: Mapping[str, float] = field(default_factory=dict)
    """By dtype."""
    only: Sequence[str] = ()
    """Forms; none for all."""
    is_accepting: bool = False
    flags: Sequence[str] = ()
    """Of `headway serve`."""


def run(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Check.

    Args:
        plan: what.
        tell: takes a line when something that may be slow begins.

    Raises:
        ConfigError: there is no such form.
    """
    report = Report(is_accepting=plan.is_accepting)
    forms = _forms(plan.only)
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        reviews: dict[str, Review] = {}
        for spec in plan.models:
            if plan.name in ("", spec.name):
                tell(f"{spec.name}: loading")
                if (subject := _load(spec, plan, report)) is not None:
                    stack.callback(subject.loaded.close)
                    reviews[spec.name] = Review(
                        subject, plan.models, plan.tolerance, plan.samples, report
                    )
        for name in forms:
            _ask(name, reviews, report, tell)
        for review in reviews.values():
            review.conclude(is_whole=not plan.only)
    return report


def _forms(only: Sequence[str]) -> list[str]:
    """The forms that are asked, those of this process first."""
    known = [*_FORMS, *(n for n in plugins.in_turn("forms") if n not in _FORMS)]
    for name in only:
        if name not in known:
            raise config.unknown(name, known, "`--only`", "form")
    return [name for name in known if not only or name in only]


def _ask(
    name: str, reviews: Mapping[str, Review], report: Report, tell: Callable[[str], None]
) -> None:
    """Ask all models in one form."""
    subjects = [r.subject for r in reviews.values() if r.questions]
    form: Form = plugins.load("forms", name)
    tell(f"asking: {name}")
    # One way of a form that breaks down is a fault of the form, which is told for every model that it left out.
    asked: set[str] = set()
    try:
        with contextlib.closing(form.ways(subjects)) as ways:
            for way in ways:
                reviews[way.subject.spec.name].ask(way)
                asked.add(way.subject.spec.name)
    except HeadwayError as e:
        report.cases += [
            Case(s.spec.name, name, "open", [e.message])
            for s in subjects
            if s.spec.name not in asked
        ]


def _load(spec: ModelSpec, plan: Plan, report: Report) -> Subject | None:
    case = Case(spec.name, "model", "load")
    report.cases.append(case)
    printed = io.StringIO()
    started = time.perf_counter()
    try:
        with contextlib.redirect_stdout(printed):
            loaded = local.load_spec(spec)
    except SignatureError as e:
        case.problems += list(_faults(spec, e))
        return None
    except HeadwayError as e:
        case.problems.append(e.message)
        return None
    case.seconds = time.perf_counter() - started
    if case.seconds > SLOW_LOAD_S:
        case.warnings.append(
            f"loading took {case.seconds:.0f} s, more than {SLOW_LOAD_S:g} s: every worker that starts waits for it"
        )
    if words := " ".join(printed.getvalue().split()):
        case.warnings.append(f"it printed while it was loaded, {words[:60]!r}: use logging")
    if loaded.opened.note:
        case.warnings.append(loaded.opened.note)
    if not loaded.description.doc:
        case.warnings.append("it has no docstring, which the page and the API's docs show")
    return Subject(plan.target, spec, loaded, plan.flags)


def _faults(spec: ModelSpec, first: SignatureError) -> Iterator[str]:
    """All that is wrong with a signature, each with its line."""
    file, _, name = spec.source.partition(":")
    with contextlib.redirect_stdout(sys.stderr):
        found = signature.faults(opening.find_predictor(spec)) if name else []
    if not found:
        yield first.message
        return
    lines = source.lines_of(Path(spec.root) / file, name)
    for parameter, error in found:
        line = lines.get(parameter) or lines.get("", 1)
        yield f"{file}, line {line}: {error.message}"
