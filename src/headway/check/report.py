"""What a check has found: cases with their problems and warnings. Words only; printing is the command's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headway.errors import Exit


@dataclass(slots=True)
class Case:
    """One thing that was looked at."""

    model: str
    form: str
    """`model`, `schema`, or the way that was asked: `python`, `server/v2`."""
    name: str
    problems: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """What is not as it was accepted: problems, unless it is being accepted."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str = ""
    """Why it could not be looked at."""


@dataclass(slots=True)
class Report:
    """All that was looked at, in order."""

    cases: list[Case] = field(default_factory=list)
    is_accepting: bool = False

    def failures(self, case: Case) -> Sequence[str]:
        """What makes a case fail."""
        return case.problems if self.is_accepting else [*case.problems, *case.changed]

    def of(self, model: str) -> list[Case]:
        """The cases of one model."""
        return [case for case in self.cases if case.model == model]

    @property
    def models(self) -> list[str]:
        """The models' names, in order."""
        return list(dict.fromkeys(case.model for case in self.cases))

    def has_failed(self, model: str) -> bool:
        """Whether something is wrong with a model."""
        return any(self.failures(case) for case in self.of(model))

    @property
    def code(self) -> Exit:
        """How the command ends."""
        failed = [case for case in self.cases if self.failures(case)]
        if not failed:
            return Exit.OK
        return Exit.MODEL if all(case.name == "load" for case in failed) else Exit.MISSED
