"""The pipe by which all children tell the supervisor of the errors that they log, a line each.

A line is written at once, and is no longer than what a pipe takes whole, so that those of several processes never mix;
a child that finds the pipe full loses the line, and never waits for the supervisor.
"""

import asyncio
import logging
import os

from headway.observe.error_log import ErrorLog, Keeper
from headway.observe.log import LINE_BYTES

_READ_BYTES = 1 << 16


class Reports:
    """The reading end, and what came last; the supervisor's own errors too.

    Args:
        loop: the loop that it reads on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.errors = ErrorLog()
        self._loop = loop
        self._end, self.fd = os.pipe()
        """`fd` is the writing end, for children to inherit."""
        os.set_blocking(self._end, False)
        self._rest = b""
        self._keeper = Keeper(self.errors, "supervisor")
        logging.getLogger().addHandler(self._keeper)
        loop.add_reader(self._end, self._read)

    def _read(self) -> None:
        data = os.read(self._end, _READ_BYTES)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.errors.take(line)
        if len(self._rest) > LINE_BYTES:  # no process of ours writes so
            self._rest = b""

    def close(self) -> None:
        """Close both ends."""
        logging.getLogger().removeHandler(self._keeper)
        self._loop.remove_reader(self._end)
        os.close(self._end)
        os.close(self.fd)
