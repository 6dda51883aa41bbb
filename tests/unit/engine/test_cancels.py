"""Cancels that overtake their requests are found once, by whom they concern, and never pile up."""

from headway.engine.cancels import MOST, EarlyCancels


def test_a_cancel_is_taken_once_by_its_own_request() -> None:
    cancels = EarlyCancels()
    cancels.note(0, 7)
    assert not cancels.take(1, 7)
    assert not cancels.take(0, 8)
    assert cancels.take(0, 7)
    assert not cancels.take(0, 7)


def test_a_new_gateway_of_the_same_number_inherits_none() -> None:
    cancels = EarlyCancels()
    cancels.note(0, 7)
    cancels.note(1, 7)
    cancels.forget(0)
    assert not cancels.take(0, 7)
    assert cancels.take(1, 7)


def test_only_the_newest_are_kept() -> None:
    cancels = EarlyCancels()
    for id in range(3 * MOST):
        cancels.note(0, id)
    taken = [id for id in range(3 * MOST) if cancels.take(0, id)]
    assert taken == list(range(2 * MOST, 3 * MOST))
