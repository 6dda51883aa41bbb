"""What a kind is: how a Python type that JSON does not know looks on the wire.

A kind is a module of this folder that satisfies `Kind`. It is found by the literals `TYPES` and
`MARKS`, read without importing, so that the library behind a type is imported only where a
signature names it.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from headway.model.field import Field


class Kind(Protocol):
    """The contract of a kind module."""

    TYPES: Sequence[str]
    """Qualified names of the types it speaks for: ("PIL.Image.Image",)."""
    MARKS: Sequence[str]
    """Names of the headway marks it speaks for: ("Tensor",)."""
    REQUIRES: Sequence[str]

    def read_field(self, annotation: Any, marks: Sequence[Any]) -> Field:
        """Make the field for an annotation (without its `Annotated`) and the marks found on it.

        Raises:
            SignatureError: the annotation can't be served.
        """
        ...
