"""Who is told what when a gateway wants the credit of a slot."""

from headway.engine.loan import Loan, Notice


def test_who_has_the_credit_and_who_is_unknown_recall_nobody() -> None:
    loan = Loan()
    assert loan.want(7) == [], "nobody has joined"
    assert loan.join(1) == [(1, Notice.CREDIT)]
    assert loan.want(1) == []
    assert loan.want(7) == []
    assert loan.keeps(1), "nobody else waits"


def test_who_wants_has_it_recalled_and_is_next() -> None:
    loan = Loan()
    loan.join(1)
    assert loan.join(2) == []
    assert loan.want(2) == [(1, Notice.RECALL)]
    assert not loan.keeps(1)
    assert loan.returned(1) == [(2, Notice.CREDIT)]
