"""A few thousand requests of every mood, and the ledger of them: the quick form of what the faults do at length."""

from pathlib import Path

import pytest
from harness.case import Case, ledger_server
from harness.checker import ways
from harness.ledger import Mix
from harness.truth import End, Mood

MIX = Mix(leaver=0.05, hurried=0.03, sick=0.02, rejected=0.02, bad=0.02, many=0.2, timeout_s=4.0)


@pytest.mark.parametrize("gateways", [1, 2])
def test_three_thousand_requests_of_every_mood_end_as_they_should(
    tmp_path: Path, gateways: int
) -> None:
    with ledger_server(tmp_path, gateways=gateways, workers=1) as server:
        case = Case(server, mix=MIX, per_s=0, clients=24, most=3000).run(0)
        case.see()
        assert case.ledger.count(End.EXACT) > 2400
        assert set(Mood) - {mood for mood, _, _ in case.ledger.counts} == {Mood.POISON}


def test_one_poison_among_hundreds_is_told_so_and_nobody_else_notices(tmp_path: Path) -> None:
    with ledger_server(tmp_path, gateways=1) as server:
        mix = Mix(poison=0.004, many=0.0, timeout_s=10.0)
        case = Case(server, mix=mix, per_s=300, clients=24, most=700, allowed=ways()).run(0)
        case.see()
        assert case.ledger.counts[Mood.POISON, End.FAILED, "model_crashed"] >= 1, case.report
