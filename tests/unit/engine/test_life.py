"""A request's life: told exactly once, whatever happens to it."""

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.life import MAX_ATTEMPTS, TABLE, Act, Event, Flight, State

TELLING = {Act.REFUSE_LATE, Act.STOP_LATE, Act.GIVE_UP, Act.BREAK_OFF}
SILENT_ENDS = {Act.WITHDRAW, Act.RECALL}


def flight() -> Flight:
    return Flight(1, b"body", 4, 10.0, 5.0, 15.0)


@given(st.lists(st.sampled_from(Event)), st.booleans())
def test_a_request_ends_once_and_nothing_happens_to_it_afterwards(
    events: list[Event], is_idempotent: bool
) -> None:
    request, ends = flight(), 0
    for event in events:
        was_done = request.state is State.DONE
        if event is Event.LOST:
            act = request.lose(is_idempotent=is_idempotent)
        else:
            act = request.step(event)
            request.attempts += act is Act.SEND
        if was_done:
            assert act is Act.DROP
        delivered = act is Act.DELIVER and request.state is State.DONE
        ends += act in TELLING or act in SILENT_ENDS or delivered
    assert ends == (request.state is State.DONE)


def test_a_lost_request_is_tried_again_alone_then_given_up() -> None:
    request = flight()
    for attempt in range(MAX_ATTEMPTS):
        assert request.step(Event.DISPATCH) is Act.SEND
        request.attempts += 1
        act = request.lose(is_idempotent=True)
        assert act is (Act.RETRY if attempt + 1 < MAX_ATTEMPTS else Act.GIVE_UP)
        assert request.is_alone

    assert request.state is State.DONE


def test_a_request_that_may_not_be_repeated_is_given_up_at_once() -> None:
    request = flight()
    request.step(Event.DISPATCH)

    assert request.lose(is_idempotent=False) is Act.GIVE_UP


def test_a_stream_that_has_begun_is_broken_off_not_repeated() -> None:
    request = flight()
    request.step(Event.DISPATCH)
    request.step(Event.HEAD)

    assert request.lose(is_idempotent=True) is Act.BREAK_OFF


def test_the_table_names_every_state_and_event() -> None:
    assert len(TABLE) == len(State)
    assert {len(row) for row in TABLE} == {len(Event)}
