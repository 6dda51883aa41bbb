"""The gate of a worker: many together, or one alone."""

import threading

import pytest

from headway.engine.gate import Gate

WAIT_S = 10.0


def test_one_who_must_be_alone_waits_for_those_inside_and_keeps_others_out() -> None:
    gate, order = Gate(), list[str]()
    inside, leave = threading.Event(), threading.Event()
    alone, alone_leaves = threading.Event(), threading.Event()

    def first() -> None:
        with gate.together():
            inside.set()
            assert leave.wait(WAIT_S)
            order.append("first")

    def suspect() -> None:
        with gate.alone():
            alone.set()
            order.append("suspect")
            assert alone_leaves.wait(WAIT_S)

    def last() -> None:
        with gate.together():
            order.append("last")

    threads = [threading.Thread(target=first), threading.Thread(target=suspect)]
    threads[0].start()
    assert inside.wait(WAIT_S)
    threads[1].start()
    assert not alone.wait(0.05)
    leave.set()
    assert alone.wait(WAIT_S)
    threads.append(threading.Thread(target=last))
    threads[2].start()
    assert order == ["first", "suspect"]
    alone_leaves.set()
    for thread in threads:
        thread.join(WAIT_S)

    assert order == ["first", "suspect", "last"]


def test_two_suspects_go_one_after_the_other() -> None:
    gate, inside = Gate(), list[int]()
    most = 0

    def suspect() -> None:
        nonlocal most
        for _ in range(50):
            with gate.alone():
                inside.append(1)
                most = max(most, len(inside))
                inside.pop()

    threads = [threading.Thread(target=suspect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert most == 1


def test_who_fails_inside_lets_the_next_one_in() -> None:
    gate = Gate()

    with pytest.raises(ValueError, match="x"), gate.alone():
        raise ValueError("x")

    with gate.together(), gate.together():
        pass
    with gate.alone():
        pass
