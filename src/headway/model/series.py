"""A parameter that is a stream of items: an array where a request holds them all, one by one where it goes on."""

from typing import Any

import msgspec

from headway.errors import BadInput
from headway.model.field import Field
from headway.model.integers import larger
from headway.model.values import ValueField
from headway.model.wording import told


class SeriesField(ValueField):
    """Items of a field, one after another.

    Args:
        item: the field of one.
        is_async: the predictor gets an async iterator.
    """

    def __init__(self, item: Field, *, is_async: bool) -> None:
        super().__init__(list[item.json_type])  # type: ignore[name-defined]
        self.item = item
        self.is_async = is_async
        self._decode = msgspec.json.Decoder(item.json_type).decode
        self._is_item_open = bool(getattr(item, "is_open", False))

    def schema(self) -> dict[str, Any]:
        """JSON Schema of all items."""
        item = dict(self.item.schema())
        defs = item.pop("$defs", None)
        return {"type": "array", "items": item, **({"$defs": defs} if defs else {})}

    def one(self, value: Any) -> Any:
        """An item as the predictor gets it, of its JSON form. Raises BadInput."""
        if isinstance(self.item, ValueField):
            return value
        return self.item.gather([[value]])[0]

    def read(self, data: bytes, is_text: bool) -> Any:
        """An item from a message: JSON where it is text, else bytes, an array's numbers, or an encoded file.

        Raises:
            BadInput: it is no such item.
        """
        if not is_text:
            return self._from_bytes(data)
        try:
            value = self._decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
            raise BadInput(f"an item of the stream: {told(e, data)}") from None
        if self._is_item_open and (said := larger(data, value)):
            raise BadInput(f"an item of the stream: {said}")
        return self.one(value)

    def _from_bytes(self, data: bytes) -> Any:
        item: Any = self.item
        if item.json_type is bytes:
            return data
        if hasattr(item, "from_bytes"):
            return item.from_bytes(data)
        if hasattr(item, "from_media"):
            return item.gather([[item.from_media(data)]])[0]
        raise BadInput(where="an item of the stream", expected="JSON as text", found="bytes")
