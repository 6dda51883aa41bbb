"""The ledger's judge: each end is in its class, and what is not right is never called so."""

import json
from dataclasses import replace

import pytest
from harness.truth import Asked, End, Mood, Seen, classify, right_row

ID = (3 << 40) + 8
ASKED = Asked(ID, Mood.GOOD, ["hello"], 30.0)
RIGHT = right_row(ID, 1, "hello")


def ends(seen: Seen | None, asked: Asked = ASKED, **known: set[int]) -> End:
    return classify(asked, seen, known.get("live", {1}), known.get("answered", set()))[0]


def ok(answer: object) -> Seen:
    return Seen(200, json.dumps(answer).encode())


def test_the_right_answer_is_exact() -> None:
    assert ends(ok(RIGHT)) is End.EXACT


@pytest.mark.parametrize(
    "row",
    [
        right_row(ID + 8, 1, "hello"),
        right_row(ID, 2, "hello"),
        right_row(ID, 1, "hallo"),
        RIGHT[:3],
        [*RIGHT, 0],
        [str(n) for n in RIGHT],
        [RIGHT],
        {},
        None,
    ],
)
def test_another_ids_versions_or_inputs_answer_is_wrong(row: object) -> None:
    assert ends(ok(row)) is End.WRONG


def test_bytes_that_are_no_answer_are_wrong() -> None:
    assert ends(Seen(200, b"{")) is End.WRONG


def test_an_answer_that_its_own_request_has_had_already_is_a_duplicate() -> None:
    other = right_row(ID + 8, 1, "hello")

    assert ends(ok(other), answered={ID + 8}) is End.DUPLICATE


def test_any_version_that_was_live_meanwhile_may_answer_but_one_alone() -> None:
    asked = replace(ASKED, texts=["a", "b"], versions=frozenset({1}))
    rows = [
        [right_row(ID + i, v, t) for i, (v, t) in enumerate(zip(vs, "ab", strict=True))]
        for vs in [(1, 1), (2, 2), (1, 2), (3, 3)]
    ]

    assert [ends(ok(r), asked, live={2}) for r in rows] == [
        End.EXACT,
        End.EXACT,
        End.WRONG,
        End.WRONG,
    ]


def test_rows_in_another_order_are_wrong() -> None:
    asked = replace(ASKED, texts=["a", "b"])
    rows = [right_row(ID, 1, "a"), right_row(ID + 1, 1, "b")]

    assert ends(ok(rows), asked) is End.EXACT
    assert ends(ok(rows[::-1]), asked) is End.WRONG
    assert ends(ok(rows[:1]), asked) is End.WRONG


def test_tensors_are_read_row_by_row() -> None:
    asked = replace(ASKED, texts=["a", "b"], is_v2=True)
    flat = [*right_row(ID, 1, "a"), *right_row(ID + 1, 1, "b")]

    assert ends(ok({"outputs": [{"data": flat}]}), asked) is End.EXACT
    assert ends(ok({"outputs": [{"data": flat[4:] + flat[:4]}]}), asked) is End.WRONG
    assert ends(ok({"outputs": []}), asked) is End.WRONG


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        (None, End.FAILED),
        (Seen(500, b'{"code":"model_failed"}'), End.FAILED),
        (Seen(503, b"{}", {"retry-after": "1"}), End.REFUSED),
        (Seen(503, b"{}"), End.FAILED),
        (Seen(429, b"{}", {"retry-after": "1"}), End.REFUSED),
        (Seen(429, b"{}"), End.CLIENT_ERROR),
        (Seen(504, b"{}"), End.TIMEOUT),
        (Seen(400, b"{}"), End.CLIENT_ERROR),
    ],
)
def test_what_is_no_answer_has_a_class_too(seen: Seen | None, end: End) -> None:
    assert ends(seen) is end
