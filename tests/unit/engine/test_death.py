"""What a process died of, by its exit code and what the kernel counts."""

import signal

import pytest

from headway.engine.child import Death, death


@pytest.mark.parametrize(
    ("code", "is_ours", "kills", "died"),
    [
        (0, False, 0, Death("exit", "exit code 0")),
        (3, False, 1, Death("exit", "exit code 3")),
        (-signal.SIGSEGV, False, 1, Death("signal", "SIGSEGV")),
        (-signal.SIGKILL, False, 1, Death("memory", "SIGKILL (out of memory)")),
        (-signal.SIGKILL, False, 0, Death("signal", "SIGKILL")),
        (-signal.SIGKILL, False, None, Death("signal", "SIGKILL (out of memory?)")),
        (-signal.SIGKILL, True, 0, Death("killed", "SIGKILL of the supervisor")),
        (-63, False, None, Death("signal", "signal 63")),
    ],
)
def test_a_death_is_told_by_its_signs(
    code: int, *, is_ours: bool, kills: int | None, died: Death
) -> None:
    assert death(code, is_ours=is_ours, kills=kills) == died
    assert died.told == ("out of memory" if died.cause == "memory" else "")
