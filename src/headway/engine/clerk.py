"""A process of the gateway's that keeps what people say of answers (`observe.feedback`): asked line by line.

It is started when somebody first asks, ends with its gateway, and is started again after its death. Its disk and its
operator's hook may be slow or hang: nobody waits for longer than `ANSWER_S`, and only so many wait.
"""

import asyncio
import contextlib
import sys

import msgspec

from headway import config
from headway.config import ServerSettings
from headway.errors import BusyError
from headway.observe.feedback import Question, Said

ANSWER_S = 10.0
"""It starts, and answers, within this; or it is ended."""
MOST_WAITING = 32
_MOST_ANSWER_BYTES = 2**22
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""In JSON both are nothing but space between values."""
_MODULE = "headway.observe.feedback"


class Clerk:
    """Keeps feedback where the settings say."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def ask(self, question: Question) -> Said:
        """Have something kept or counted.

        Raises:
            BusyError: too many wait, or it does not answer.
        """
        if self._waiting >= MOST_WAITING:
            raise BusyError("too much feedback waits to be kept; nothing was kept")
        self._waiting += 1
        try:
            async with asyncio.timeout(ANSWER_S), self._turn:
                try:
                    return await self._asked(question)
                except BaseException:
                    self.close()  # or the next one would read what was meant for this one
                    raise
        except (TimeoutError, OSError, ValueError, msgspec.MsgspecError) as e:
            raise BusyError("what keeps feedback does not answer; try again") from e
        finally:
            self._waiting -= 1

    async def _asked(self, question: Question) -> Said:
        if self._process is None or self._process.returncode is not None:
            self._process = await self._start()
            said = await self._read(self._process)
            if said.problem:
                self.close()
                return said
        assert self._process.stdin is not None
        # What was asked and answered is passed on as it was written, perhaps over several lines.
        line = msgspec.json.encode(question).translate(_ONE_LINE)
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()
        return await self._read(self._process)

    async def _start(self) -> asyncio.subprocess.Process:
        settings = self._settings
        places = (settings.feedback, str(settings.feedback_bytes), settings.feedback_redact)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE, *places),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MOST_ANSWER_BYTES,
            env=config.child_environment({}),
        )

    @staticmethod
    async def _read(process: asyncio.subprocess.Process) -> Said:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise OSError
        return msgspec.json.decode(line, type=Said)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process = None
