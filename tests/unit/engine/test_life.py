"""A request's life: told exactly once, whatever happens to it."""

from hypothesis import given
from hypothesis import strategies as st

from headway.engine.life import MAX_ATTEMPTS, Act, Event, Flight, State

TELLING = {Act.REFUSE_LATE, Act.STOP_LATE, Act.GIVE_UP, Act.BREAK_OFF, Act.REFUSE_DETACHED}
SILENT_ENDS = {Act.WITHDRAW, Act.RECALL, Act.DETACH}
PATHS: dict[State, list[Event]] = {
    State.QUEUED: [],
    State.SENT: [Event.DISPATCH],
    State.STREAMING: [Event.DISPATCH, Event.HEAD],
    State.DONE: [Event.CANCEL],
    State.ATTACHED: [Event.ATTACH],
}
"""How a request gets into a state."""
MAY_HAPPEN = {
    (State.QUEUED, Event.DISPATCH): (Act.SEND, State.SENT),
    (State.QUEUED, Event.CANCEL): (Act.WITHDRAW, State.DONE),
    (State.QUEUED, Event.EXPIRE): (Act.REFUSE_LATE, State.DONE),
    (State.SENT, Event.ANSWER): (Act.DELIVER, State.DONE),
    (State.SENT, Event.HEAD): (Act.DELIVER, State.STREAMING),
    (State.SENT, Event.CANCEL): (Act.RECALL, State.DONE),
    (State.SENT, Event.EXPIRE): (Act.STOP_LATE, State.DONE),
    (State.SENT, Event.LOST): (Act.RETRY, State.QUEUED),
    (State.STREAMING, Event.CHUNK): (Act.DELIVER, State.STREAMING),
    (State.STREAMING, Event.END): (Act.DELIVER, State.DONE),
    (State.STREAMING, Event.CANCEL): (Act.RECALL, State.DONE),
    (State.STREAMING, Event.EXPIRE): (Act.BREAK_OFF, State.DONE),
    (State.STREAMING, Event.LOST): (Act.BREAK_OFF, State.DONE),
    (State.QUEUED, Event.ATTACH): (Act.WAIT, State.ATTACHED),
    (State.ATTACHED, Event.ANSWER): (Act.DELIVER, State.DONE),
    (State.ATTACHED, Event.CANCEL): (Act.DETACH, State.DONE),
    (State.ATTACHED, Event.EXPIRE): (Act.REFUSE_DETACHED, State.DONE),
    (State.ATTACHED, Event.LOST): (Act.GIVE_UP, State.DONE),
    (State.ATTACHED, Event.RELEASE): (Act.QUEUE, State.QUEUED),
    (State.STREAMING, Event.FEED): (Act.PASS_ON, State.STREAMING),
}


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


def test_what_may_not_happen_to_a_request_changes_nothing() -> None:
    for state, path in PATHS.items():
        for event in Event:
            request = flight()
            for earlier in path:
                request.step(earlier)
            assert request.state is state
            act = request.step(event)
            assert (act, request.state) == MAY_HAPPEN.get((state, event), (Act.DROP, state))


def test_a_death_before_it_was_sent_or_after_its_end_does_not_send_it_again() -> None:
    for path in (PATHS[State.QUEUED], PATHS[State.DONE]):
        request = flight()
        for earlier in path:
            request.step(earlier)
        was = request.state
        assert request.lose(is_idempotent=True) is Act.DROP
        assert (request.state, request.is_alone) == (was, False)
