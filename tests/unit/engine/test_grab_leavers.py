"""Who leaves between two calls of a grab strands none of the batch that he was to be in, wherever he stood in it."""

import time
from collections.abc import Callable

import msgspec
import pytest

import headway as hw
from headway import plugins
from headway.engine.cap import Cap
from headway.engine.grab import Run
from headway.engine.ticket import Bounds, Said, Ticket, Timing
from headway.model.opening import open_predictor
from headway.protocols import Ask


class Hooked(hw.Predictor):
    """Something happens at each call; two values of `times` are two calls."""

    on_call: Callable[[], object] = staticmethod(lambda: None)

    def predict(self, text: hw.Batch[str], times: int = 1) -> hw.Batch[str]:
        self.on_call()
        return [t * times for t in text]


@pytest.mark.parametrize("place", range(4))
def test_who_leaves_before_his_call_strands_no_mate(place: int) -> None:
    opened = open_predictor(Hooked)
    codec = plugins.load("protocols", "native")
    inputs = [{"text": "first", "times": 1}, *({"text": f"t{i}", "times": 2} for i in range(4))]
    tickets = []
    for id, row in enumerate(inputs):
        ask = Ask("predict", "m", "1", msgspec.json.encode(row), {}, "", request_id=f"r{id}")
        tickets.append(Ticket(id, codec, ask, time.monotonic() + 60))
    opened.predict.__self__.on_call = tickets[1 + place].cancel  # type: ignore[attr-defined]
    said: dict[int, Said] = {}

    def say(some: list[Said], timing: Timing, is_last: bool) -> None:
        assert not said.keys() & {s.id for s in some}
        said.update({s.id: s for s in some})

    Run(opened, Bounds(Cap(64), 2**20, 30.0), say).run(tickets)

    assert said.keys() == set(range(5))
    for id, one in said.items():
        if id == 1 + place:
            assert one.error is not None
        elif id:
            assert msgspec.json.decode(one.body) == f"t{id - 1}" * 2
