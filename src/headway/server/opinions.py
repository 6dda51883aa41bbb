"""The page's own path /feedback: how much is kept, and one opinion more.

GET answers `{"is_kept": bool, "models": {model: {version: {"good": n, "bad": n}}}}`; POST takes an `Opinion`.
"""

import logging
from collections.abc import Collection

import msgspec

from headway import errors
from headway.engine.clerk import Clerk
from headway.observe.feedback import Opinion, Question, Said
from headway.protocols import Reply, is_json
from headway.server.http1 import Head

log = logging.getLogger(__name__)

PATH = "/feedback"


async def answer(head: Head, body: bytes, clerk: Clerk | None, models: Collection[str]) -> Reply:
    """Count, or keep.

    Raises:
        UnknownPath: nothing is kept here.
        CallerError: it is no opinion, or of no model of this server.
        BusyError: it can't be kept now.
    """
    if head.method != "POST":
        said = Said() if clerk is None else await clerk.ask(Question())
        if said.problem:
            return _told(said)
        told = {"is_kept": clerk is not None, "models": said.models or {}}
        return Reply(200, msgspec.json.encode(told))
    if clerk is None:
        raise errors.UnknownPath("no feedback is kept here: the setting `feedback` names no file")
    opinion = _read(head, body)
    if opinion.model not in models:
        raise errors.UnknownModel(model=opinion.model, known=", ".join(models))
    return _told(await clerk.ask(Question(opinion)))


def _read(head: Head, body: bytes) -> Opinion:
    kind = head.headers.get("content-type", "")
    if not kind or not is_json(kind):  # what a form of a foreign page can't send unasked
        raise errors.UnsupportedMedia(what="content type", found=kind, expected="application/json")
    try:
        # As text: what it holds as JSON is passed on unread, and must be UTF-8, too.
        return msgspec.json.decode(body.decode(), type=Opinion)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise errors.BadInput(where="body", expected="an opinion", found=str(e)) from e


def _told(said: Said) -> Reply:
    if said.problem:
        log.error("feedback_not_kept", extra={"reason": said.reason or said.problem})
        status = 507 if said.is_full else 500
        return Reply(status, msgspec.json.encode({"error": said.problem, "code": "not_kept"}))
    return Reply(201, msgspec.json.encode({"id": said.id} if said.id else {"kept": False}))
