"""The bound over all bodies that a gateway holds."""

import pytest

from headway.server.http1 import FramingError
from headway.server.room import SMALL_BYTES, Room

LIMIT = 10 * SMALL_BYTES


def test_bodies_that_wait_and_bodies_that_arrive_share_one_bound() -> None:
    waiting = 4 * SMALL_BYTES
    room = Room(LIMIT, lambda: waiting)
    room.take(4 * SMALL_BYTES, 4 * SMALL_BYTES)
    room.expect(2 * SMALL_BYTES)
    with pytest.raises(FramingError) as caught:
        room.expect(2 * SMALL_BYTES + 1)
    assert (caught.value.status, caught.value.code) == (503, "busy")
    waiting = 5 * SMALL_BYTES
    room.take(SMALL_BYTES, SMALL_BYTES)
    with pytest.raises(FramingError):
        room.take(1, SMALL_BYTES + 1)


def test_what_is_given_back_is_room_for_others() -> None:
    room = Room(LIMIT, lambda: 0)
    room.take(LIMIT, LIMIT)
    with pytest.raises(FramingError):
        room.expect(LIMIT)
    room.give_back(LIMIT)
    room.expect(LIMIT)
    assert room.arriving == 0


def test_one_body_is_always_taken_while_no_other_is_held() -> None:
    room = Room(LIMIT, lambda: 0)
    room.expect(5 * LIMIT)
    room.take(5 * LIMIT, 5 * LIMIT)
    with pytest.raises(FramingError):
        room.take(1, 1)


def test_a_small_body_is_let_in_unasked_and_counted_as_it_arrives() -> None:
    room = Room(LIMIT, lambda: LIMIT)
    room.expect(SMALL_BYTES)
    with pytest.raises(FramingError):
        room.take(1, 1)
