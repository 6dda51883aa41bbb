"""Python: the predictor called by hand, `predict` with the arguments that its annotations promise.

No request, no codec, no engine between: what the author's own test sees. The answer is checked against the signature
and written as JSON, so that it compares with those of other forms.
"""

import json
import traceback
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway.engine.items import fed_items, items_of
from headway.engine.local import Loaded
from headway.engine.rows import by_key
from headway.errors import HeadwayError, ModelFailed, Rejected
from headway.forms import Subject, Way
from headway.model.call import Call
from headway.model.marks import Context, Reject


def ways(subjects: Sequence[Subject]) -> Generator[Way, None, None]:
    """One way for each model."""
    for subject in subjects:
        yield Way(subject, "python", _Hand(subject.loaded).ask, is_near=True)


class _Hand:
    """Calls one predictor."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._opened = loaded.opened
        self._wire = loaded.opened.wire
        self._signature = loaded.opened.signature

    def ask(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Call predict for items that may meet together, or for each."""
        call = self._wire.read_json(
            msgspec.json.encode(items[0] if len(items) == 1 else list(items))
        )
        if not self._signature.is_batched:
            return [self._item(call, row) for row in range(call.rows)]
        keys = self._wire.keys(call)
        groups = [range(call.rows)] if keys is None else [rows for _, rows in by_key(keys)]
        answers = {
            r: a for rows in groups for r, a in zip(rows, self._batch(call, rows), strict=True)
        }
        return [answers[row] for row in range(call.rows)]

    def _batch(self, call: Call, rows: Sequence[int]) -> list[Any]:
        output = self._predict(self._wire.gather([(call, rows)]))
        result = self._wire.scatter(output, len(rows))
        if result.errors:
            raise result.errors[min(result.errors)]
        parts = self._wire.split(result, [1] * len(rows))
        return [json.loads(self._wire.write_json(part, is_single=True)) for part in parts]

    def _item(self, call: Call, row: int) -> Any:
        output = self._predict(self._wire.item(call, row))
        if not self._signature.is_stream:
            return json.loads(self._wire.write_item(self._wire.check_item(output)))
        try:
            values = list(items_of(output, self._loaded.await_all))
        except (Exception, SystemExit) as e:
            raise _told(e) from e
        return [json.loads(self._wire.write_item(self._wire.check_item(v))) for v in values]

    def _predict(self, arguments: dict[str, Any]) -> Any:
        if self._signature.context is not None:
            arguments[self._signature.context] = Context("check", {}, None)
        fed = self._signature.fed
        if fed is not None:
            arguments[fed.name] = fed_items(fed.field, arguments[fed.name], None)
        try:
            output = self._opened.predict(**arguments)
            if self._signature.is_async and not self._signature.is_stream:
                (output,) = self._loaded.await_all([output])
        # The author's own code may raise anything; the report of the check tells it.
        except (Exception, SystemExit) as e:
            raise _told(e) from e
        if isinstance(output, BaseException):
            raise _told(output) from output
        return output


def _told(error: BaseException) -> HeadwayError:
    """What a predictor raised, with the line that did."""
    if isinstance(error, Reject):
        return Rejected(str(error))
    if isinstance(error, HeadwayError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return ModelFailed(f"predict raised {type(error).__name__}: {error}{place}")
