"""What a form is: one of the ways in which a model is met, such as Python or the server.

A form is a module of this folder that satisfies `Form`. `headway check` asks every form the same questions and
compares the answers, so a new form (a container, a browser) is one new file. Not here: what is asked, and what follows.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headway.config import ModelSpec
from headway.engine.local import Loaded
from headway.model.call import Description

Ask = Callable[[Sequence[Mapping[str, Any]]], list[Any]]
"""Asks about items in their JSON form, together; gives their answers in the same form. Raises HeadwayError.

BadInput says that this way can't ask about these items together.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is checked."""

    target: str
    """What `headway serve` takes to serve it, perhaps with others."""
    spec: ModelSpec
    loaded: Loaded
    flags: Sequence[str] = ()
    """Of `headway serve`."""

    @property
    def description(self) -> Description:
        """What it takes and answers."""
        description: Description = self.loaded.description
        return description


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask one model."""

    subject: Subject
    name: str
    """`python`, `server/v2/binary`."""
    ask: Ask
    is_near: bool = False
    """Asking costs little but the model's own time, so it is asked more often."""


class Form(Protocol):
    """The contract of a form module."""

    def ways(self, subjects: Sequence[Subject]) -> Generator[Way, None, None]:
        """Open each way in turn; it is asked before the next one is taken, and let go when closed.

        Raises HeadwayError.
        """
        ...
