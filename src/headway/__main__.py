"""`python -m headway`, and what the `headway` script runs: signals are heeded from the first moment on.

SIGTERM ends a command as Ctrl-C does. Left alone it would end the process without a word, or, in a container whose
first process this is, do nothing. `serve` has its own way with both once it runs.
"""

import contextlib
import os
import signal
import sys

from headway.errors import Exit


def _fill_standard_streams() -> None:
    """Give those that whoever started us has closed to /dev/null; else sockets and files would take their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (they stay open for the process)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def main() -> int:
    """Run the command line of this process; returns its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _fill_standard_streams()
    try:
        from headway import commands  # noqa: PLC0415  (reading it takes longer than a signal may wait)

        code = commands.main()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    if code == Exit.INTERRUPTED:
        # CPython keeps in mind an interrupt that met a library's `exec`, and would end by that signal at the very end.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
