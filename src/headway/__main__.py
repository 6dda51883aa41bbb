"""`python -m headway`, and what the `headway` script runs: signals are heeded from the first moment on.

SIGTERM ends a command as Ctrl-C does. Left alone it would end the process without a word, or, in a container whose
first process this is, do nothing. `serve` has its own way with both once it runs.
"""

import contextlib
import os
import signal
import sys

from headway.errors import Exit


def main() -> int:
    """Run the command line of this process; returns its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
