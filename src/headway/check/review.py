"""One model under review: what it answers, held against what was accepted and against itself."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from headway.check import samples
from headway.check.report import Case, Report
from headway.check.samples import ABSENT, Question
from headway.config import ModelSpec
from headway.errors import BadInput, BundleError, HeadwayError, ModelFailed
from headway.forms import Subject, Way
from headway.model import drift, golden, parity
from headway.model.golden import Golden

SLOW_FIRST: Final = 5.0
SLOW_FIRST_S: Final = 0.1
LARGE_BYTES: Final = 2**20
_WRITE: Final = (
    "write `examples = ({...},)` in the predictor, or give --samples FILE, then --accept"
)


class Review:
    """What is found out about one model.

    Args:
        subject: the model.
        models: all of its project.
        tolerance: by dtype, where somebody set one.
        more: items to ask besides.
        report: where the findings go.
    """

    def __init__(
        self,
        subject: Subject,
        models: Sequence[ModelSpec],
        tolerance: Mapping[str, float],
        more: Sequence[Mapping[str, Any]],
        report: Report,
    ) -> None:
        self.subject = subject
        self.questions: list[Question] = []
        self._report = report
        self._tolerance = parity.tolerances(tolerance, subject.spec.settings.tolerance)
        self._path = samples.golden_path(subject.spec, models)
        self._accepted: Golden | None = None
        self._answers: dict[int, Any] = {}
        """Of the first way."""
        self._baseline: dict[int, Any] = {}
        """What the later ways are held against."""
        self._first: Way | None = None
        self._is_deterministic = samples.traits(subject).deterministic
        self._read(more)

    def _case(self, form: str, name: str) -> Case:
        case = Case(self.subject.spec.name, form, name)
        self._report.cases.append(case)
        return case

    # Before

    def _read(self, more: Sequence[Mapping[str, Any]]) -> None:
        """What was accepted, and what will be asked."""
        case = self._case("model", "samples")
        try:
            self._accepted = golden.read(self._path)
            self._check_owner()
            is_accepting = self._report.is_accepting
            found, problems = samples.questions(
                self.subject, self._accepted, more, is_accepting=is_accepting
            )
        except BundleError as e:
            case.problems.append(e.message)
            return
        self.questions = found
        case.problems += problems
        self._weigh(case)
        if self._accepted is not None:
            self._compare_schemas(self._accepted)

    def _check_owner(self) -> None:
        if self._accepted is not None and self._accepted.predictor != self.subject.spec.source:
            problem = f"holds the samples of {self._accepted.predictor!r}, this is {self.subject.spec.source!r}"
            advice = "remove the file if that is no more, or give each its own folder"
            raise BundleError(path=self._path.name, problem=f"{problem}; {advice}")

    def _weigh(self, case: Case) -> None:
        """Say what these samples can't show."""
        kept = [q for q in self.questions if q.is_kept]
        if not self.questions and self._accepted is None and not self._report.is_accepting:
            case.problems.append(
                f"there are no examples, so that nothing was asked, and nothing compared: {_WRITE}"
            )
            return
        if not kept:
            asked = "asked with zeros, which shows little" if self.questions else "not asked"
            case.warnings.append(f"there are no examples, so it was {asked}: {_WRITE}")
            return
        if self._accepted is None and not self._report.is_accepting:
            case.warnings.append(
                f"nothing is accepted yet: `headway check --accept` writes {self._path.name}"
            )
        new = sum(q.expected is ABSENT for q in kept)
        if self._accepted is not None and new and not self._report.is_accepting:
            case.warnings.append(
                f"{new} of {len(kept)} samples are not accepted yet: `headway check --accept`"
            )
        if len(kept) == 1 and self.subject.description.is_batched:
            case.warnings.append(
                "one sample shows little of how rows bear with each other; write two that differ"
            )
        for p in self.subject.loaded.opened.signature.parameters:
            if p.is_optional and not any(p.name in q.item for q in kept):
                case.warnings.append(
                    f"no sample sets {p.name!r}, so only its default {p.default!r} is checked"
                )

    def _compare_schemas(self, accepted: Golden) -> None:
        case = self._case("schema", "drift")
        for change in drift.changes(accepted.schema, drift.schema_of(self.subject.description)):
            if change.is_breaking:
                case.changed.append(change.text)
            else:
                case.notes.append(change.text)
        if case.notes and not self._report.is_accepting:
            case.warnings.append(
                "the schema is not the accepted one, though no client breaks: --accept it"
            )

    # Asking

    def ask(self, way: Way) -> None:
        """Ask a model in one way, and compare."""
        is_first = self._first is None
        self._first = self._first or way
        case = self._case(way.name, "alone")
        answers: dict[int, Any] = {}
        costs: list[float] = []
        for i, question in enumerate(self.questions):
            started = time.perf_counter()
            try:
                (answers[i],) = way.ask([question.item])
            except BadInput as e:
                # What a dialect can't say is no fault of the model's; a wrong sample is told by the near ways.
                (case.problems if way.is_near else case.notes).append(
                    f"sample {i + 1}: {e.message}"
                )
                case.skipped = "" if way.is_near else e.message
            except HeadwayError as e:
                case.problems.append(f"sample {i + 1}: {told(e)}")
            costs.append(time.perf_counter() - started)
        case.seconds = sum(costs)
        if answers or case.problems:
            case.skipped = ""
        elif case.skipped:
            case.notes.clear()  # they say of each sample what is said of all
        if is_first:
            self._answers = answers
            self._compare_accepted(case, answers)
            self._weigh_answers(case, answers)
        else:
            self._compare(case, self._baseline, answers, "")
        if answers and way.is_near:
            self._ask_again(way, answers, costs if is_first else [])
        if answers and not self.subject.description.is_stream:
            self._ask_together(way, answers)

    def _compare(
        self, case: Case, expected: Mapping[int, Any], found: Mapping[int, Any], why: str
    ) -> None:
        if not self._is_deterministic:
            return
        for i in sorted(expected.keys() & found.keys()):
            if differences := self._differences(expected[i], found[i]):
                case.problems.append(f"sample {i + 1}{why}: {parity.told(differences)}")

    def _differences(self, expected: Any, found: Any) -> list[parity.Difference]:
        return parity.compare(expected, found, self.subject.description, self._tolerance)

    def _compare_accepted(self, case: Case, answers: Mapping[int, Any]) -> None:
        """Hold the first way against what was accepted; later ones are held against that, or where it failed, it."""
        for i, question in enumerate(self.questions):
            if i not in answers:
                continue
            self._baseline[i] = answers[i]
            if question.expected is ABSENT or not self._is_deterministic:
                continue
            if differences := self._differences(question.expected, answers[i]):
                case.changed.append(f"sample {i + 1}: {parity.told(differences)}")
            else:
                self._baseline[i] = question.expected
        if not self._is_deterministic:
            case.notes.append("it says that it is not deterministic: its answers are not compared")

    def _weigh_answers(self, case: Case, answers: Mapping[int, Any]) -> None:
        for i, answer in answers.items():
            size = len(msgspec.json.encode(answer))
            if size > LARGE_BYTES:
                limit = LARGE_BYTES // 2**20
                case.warnings.append(
                    f"sample {i + 1}: its answer has {size / 2**20:.1f} MiB, more than {limit} MiB"
                )

    def _ask_again(self, way: Way, answers: Mapping[int, Any], costs: list[float]) -> None:
        """Two equal calls get equal answers; and the first may not be much slower than those that follow."""
        case = self._case(way.name, "twice")
        again: dict[int, Any] = {}
        for i in answers:
            started = time.perf_counter()
            self._try(case, way, [i], again)
            costs.append(time.perf_counter() - started)
        case.seconds = sum(costs[-len(answers) :])
        self._compare(
            case, answers, again, ", asked twice, has two answers (or say deterministic = False)"
        )
        if len(costs) > len(answers) and costs[0] > SLOW_FIRST_S:
            later = statistics.median(costs[1:])
            if costs[0] > SLOW_FIRST * later:
                warm = "" if self.subject.description.examples else ": examples would warm it up"
                case.warnings.append(
                    f"the first answer took {costs[0]:.2f} s, later ones {later:.3f} s{warm}"
                )

    def _ask_together(self, way: Way, answers: Mapping[int, Any]) -> None:
        case = self._case(way.name, "among others")
        started = time.perf_counter()
        for order in _orders(list(answers), is_near=way.is_near):
            found: dict[int, Any] = {}
            self._try(case, way, order, found)
            others = f" among {len(order) - 1} others is answered otherwise than alone"
            before = len(case.problems)
            self._compare(case, answers, found, others)
            if len(case.problems) > before:
                break
        case.seconds = time.perf_counter() - started

    def _try(self, case: Case, way: Way, order: Sequence[int], found: dict[int, Any]) -> None:
        """Ask some samples together; of one that is there twice, the answer that is further off counts."""
        try:
            answers = way.ask([self.questions[i].item for i in order])
        except BadInput as e:
            case.skipped = e.message
        except HeadwayError as e:
            case.problems.append(f"{len(order)} samples together: {told(e)}")
        else:
            for i, answer in zip(order, answers, strict=True):
                if i not in found or self._differences(found[i], answer):
                    found[i] = answer

    # After

    def conclude(self, *, is_whole: bool) -> None:
        """Accept the answers, if that is asked for and all forms agree."""
        if not self._report.is_accepting:
            return
        case = self._case("model", "accept")
        name = self.subject.spec.name
        if self._report.has_failed(name) or not is_whole:
            reason = "not all forms were asked" if is_whole is False else "mend what is wrong first"
            case.problems.append(f"nothing was accepted: {reason}")
            return
        kept = {i: q for i, q in enumerate(self.questions) if q.is_kept and i in self._answers}
        after = Golden(
            self.subject.spec.source,
            self.subject.spec.version,
            drift.schema_of(self.subject.description),
            [self._recorded(i, q) for i, q in kept.items()],
        )
        data = golden.render(after)
        if self._path.is_file() and self._path.read_bytes() == data:
            case.notes.append(f"{self._path.name}: as it was")
            return
        golden.write(self._path, data)
        new = sum(q.expected is ABSENT for q in kept.values())
        gone = sum(not q.is_kept and q.expected is not ABSENT for q in self.questions)
        words = [
            f"{len(kept)} samples",
            *([f"{new} new"] if new else []),
            *([f"{gone} gone"] if gone else []),
        ]
        case.notes.append(f"{self._path.name}: {', '.join(words)}")

    def _recorded(self, i: int, question: Question) -> golden.Sample:
        """A sample with its answer: the accepted one while it is right, so that rounding changes no line."""
        return msgspec.structs.replace(question.sample, answer=self._baseline[i])


def _orders(indices: list[int], *, is_near: bool) -> Iterator[list[int]]:
    """Ways to put samples together: backwards; and, where it costs little, in order with each of them twice."""
    if len(indices) > 1:
        yield indices[::-1]
    if is_near or len(indices) == 1:
        yield [i for i in indices for _ in range(2)]


def told(error: HeadwayError) -> str:
    """An error in words, with what the predictor itself raised."""
    cause = error.__cause__
    if (
        isinstance(error, ModelFailed)
        and cause is not None
        and type(cause).__name__ not in error.message
    ):
        return f"predict raised {type(cause).__name__}: {cause}"
    return error.message
