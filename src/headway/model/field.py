"""What one value of a signature looks like: to JSON, to tensors, and to the function that gets it.

Not here: how annotations are read (`signature`), how the fields of a whole signature meet the wire
(`wire`).
"""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from headway.model.call import Block, Shape


class Field(Protocol):
    """How one parameter, one output, or one field of a flat struct travels.

    A column is what a whole batch of values is: a list of Python values, or an array with the rows
    in front.
    """

    json_type: Any
    """The type that msgspec decodes one value into (constraints as `msgspec.Meta`)."""
    dtype: str
    """Of its tensor: a numpy name, or "bytes"."""
    shape: Shape
    """Of its tensor, without the rows' axis; -1 is free."""
    is_json: bool
    """Its tensor is BYTES that hold JSON."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of one value."""
        ...

    def key(self, column: Any, row: int) -> Hashable:
        """What must be equal for two rows to share a batch (free lengths); None: nothing must."""
        ...

    def share_key(self, value: Any) -> Hashable:
        """What must be equal for two rows to share this value of an unbatched parameter."""
        ...

    def gather(self, columns: Sequence[Any]) -> Any:
        """Join columns of several calls into what predict gets for a batch. Raises BadInput."""
        ...

    def from_block(self, block: Block) -> Any:
        """A column from a tensor. Raises BadInput: dtype, shape, range."""
        ...

    def check(self, values: Sequence[Any]) -> list[Any]:
        """What a predictor answered, one value a row, in its declared type. Raises BadOutput."""
        ...

    def to_block(self, column: Any) -> Block:
        """A tensor from a column of answers. Raises BadOutput."""
        ...

    def to_json(self, column: Any) -> list[Any]:
        """A column of answers as values that msgspec can write, one a row."""
        ...
