"""Which rows of which requests make a batch: group, cut, halve. Pure; an owner is whatever holds the rows."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Owner = TypeVar("Owner")

Rows = Sequence[int]


def by_key(
    keys: Sequence[Hashable], only: Sequence[int] | None = None
) -> list[tuple[Hashable, Rows]]:
    """The rows of each bucket key, in order; of all rows, or of some only."""
    if only is not None:
        kept: dict[Hashable, list[int]] = {}
        for row in only:
            kept.setdefault(keys[row], []).append(row)
        return list(kept.items())
    first = keys[0]
    if all(key == first for key in keys):
        return [(first, range(len(keys)))]
    members: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    return list(members.items())


def by_length(
    group: Iterable[tuple[Owner, Rows]], length: Callable[[Owner, int], int]
) -> list[tuple[Owner, Rows]]:
    """The rows of a group, the shortest first; rows of one owner that follow each other stay together."""
    rows = sorted(
        ((owner, row) for owner, members in group for row in members), key=lambda r: length(*r)
    )
    found: list[tuple[Owner, list[int]]] = []
    for owner, row in rows:
        if found and found[-1][0] is owner:
            found[-1][1].append(row)
        else:
            found.append((owner, [row]))
    return list(found)


def cut(group: Iterable[tuple[Owner, Rows]], max_rows: int) -> Iterator[list[tuple[Owner, Rows]]]:
    """Cut a group into batches of at most `max_rows`, splitting an owner's rows only where it must be."""
    batch: list[tuple[Owner, Rows]] = []
    room = max_rows
    for owner, rows in group:
        rest = rows
        if batch and room < len(rest) <= max_rows:
            yield batch
            batch, room = [], max_rows
        while len(rest) > room:
            if room:
                batch.append((owner, rest[:room]))
            yield batch
            rest, batch, room = rest[room:], [], max_rows
        if rest:
            batch.append((owner, rest))
            room -= len(rest)
    if batch:
        yield batch


def halve(
    batch: Sequence[tuple[Owner, Rows]], left: int
) -> tuple[list[tuple[Owner, Rows]], list[tuple[Owner, Rows]]]:
    """Cut a batch in two, the first with `left` rows."""
    half: list[tuple[Owner, Rows]] = []
    rest: list[tuple[Owner, Rows]] = []
    for owner, rows in batch:
        if rows[:left]:
            half.append((owner, rows[:left]))
        if rows[left:]:
            rest.append((owner, rows[left:]))
        left = max(0, left - len(rows))
    return half, rest
