"""Who waits for the process that keeps feedback and gives up costs nobody else's opinion."""

import asyncio
import os
from pathlib import Path

import msgspec

from headway.config import ServerSettings
from headway.engine.clerk import Clerk
from headway.observe.feedback import Opinion, Question, Said

HOOK = """
import pathlib

def slow(opinion):
    pathlib.Path(opinion["comment"]).read_text()  # a pipe: until somebody writes
    return opinion
"""


def opinion(comment: str) -> Question:
    raw = msgspec.Raw(b"1")
    return Question(Opinion("m", "1", "good", raw, raw, comment=comment))


async def asked_while_one_gives_up(folder: Path) -> Said:
    pipe = folder / "pipe"
    settings = ServerSettings(
        feedback=str(folder / "said.db"), feedback_redact=f"{folder / 'redact.py'}:slow"
    )
    clerk = Clerk(settings)
    try:
        first = asyncio.create_task(clerk.ask(opinion(str(pipe))))
        writer = await asyncio.to_thread(open, pipe, "w")  # opens when the hook reads
        second = asyncio.create_task(clerk.ask(opinion("nobody waits for this one")))
        await asyncio.sleep(0)  # it takes its place in the queue
        second.cancel()
        await asyncio.wait([second])
        writer.close()
        return await first
    finally:
        process = clerk._process
        clerk.close()
        if process is not None:
            await process.wait()


def test_who_gives_up_in_the_queue_does_not_end_what_serves_another(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "redact.py").write_text(HOOK)
    assert asyncio.run(asked_while_one_gives_up(tmp_path)) == Said(id=1)
