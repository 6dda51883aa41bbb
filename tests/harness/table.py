"""Mutants of the table of a request's life, which mutmut can't make: the table is read when its module is imported.

    python -m harness.table

In each cell the next state, then the act, is replaced by each other one, and the tests of `life` must fail. Prints
who survived, and how many did not.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from headway.engine import life
from headway.engine.life import TABLE, Act, Event, State

TESTS = Path(__file__).parents[1] / "unit/engine/test_life.py"

Cell = tuple[State, Act]


def mutants() -> Iterator[tuple[State, Event, Cell]]:
    """Each cell of the table with each fault that it can have."""
    for state in State:
        for event in Event:
            after, act = TABLE[state][event]
            yield from ((state, event, (other, act)) for other in State if other is not after)
            yield from ((state, event, (after, other)) for other in Act if other is not act)


def tests() -> list[Callable[[], None]]:
    """The tests of `life`, which need no fixtures; those with examples come last."""
    spec = importlib.util.spec_from_file_location("test_life", TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [test for name, test in vars(module).items() if name.startswith("test_")]
    return sorted(found, key=lambda test: hasattr(test, "hypothesis"))


def survives(state: State, event: Event, cell: Cell, judges: list[Callable[[], None]]) -> bool:
    """Whether the tests pass though a cell is another one."""
    rows = [list(row) for row in TABLE]
    rows[state][event] = cell
    life.TABLE = tuple(tuple(row) for row in rows)
    try:
        for judge in judges:
            judge()
    except AssertionError:
        return False
    finally:
        life.TABLE = TABLE
    return True


def main() -> int:
    """Make them all; returns an exit code."""
    judges, made = tests(), list(mutants())
    assert survives(State.QUEUED, Event.DISPATCH, TABLE[State.QUEUED][Event.DISPATCH], judges)
    survivors = [mutant for mutant in made if survives(*mutant, judges)]
    for state, event, (after, act) in survivors:
        print(f"survived: {state.name} {event.name} -> {after.name} {act.name}")
    print(f"life's table: {len(made) - len(survivors)} of {len(made)} killed")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
