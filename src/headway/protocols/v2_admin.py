"""V2's extensions for operators over REST: which models there are, load and unload, log and trace settings.

Specification: triton-inference-server/server, docs/protocol/extension_model_repository.md ("Repository"),
extension_logging.md ("Logging") and extension_trace.md ("Trace"). Not here: inference, which is `v2`'s.

The index is anybody's, the rest an operator's. Chosen where we differ: a load is by what headway.yaml says, so that
its parameters `config` and `file:...` are refused; a load and an unload answer as KServe's do; what a trace holds is
the exporter's business, so that of the trace settings only `trace_rate` and `trace_level` can change, for all models
together; log lines go to standard error in the format that the server was started with.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from headway.errors import BadInput, UnknownPath, Unsupported
from headway.model.call import Call, Order, Result
from headway.model.wording import told
from headway.protocols import Ask, Facts, Reply, Route, Tuning, Wire, row_error
from headway.protocols._v2 import STATUSES, chunk_error, render, stream_type

__all__ = ["STATUSES", "chunk_error", "render", "stream_type"]

_REPOSITORY = "/v2/repository/models/{model}"
_TRACE = "/v2/models/{model}/trace/setting"
ROUTES: Sequence[Route] = (
    Route("POST", "/v2/repository/index", "index", is_local=True, takes_body=True),
    Route("POST", _REPOSITORY + "/load", "load", is_admin=True, takes_body=True),
    Route("POST", _REPOSITORY + "/unload", "unload", is_admin=True, takes_body=True),
    Route("GET", "/v2/logging", "logging", is_local=True, is_admin=True),
    Route("POST", "/v2/logging", "set_logging", is_admin=True, takes_body=True),
    Route("GET", "/v2/trace/setting", "trace", is_local=True, is_admin=True),
    Route("POST", "/v2/trace/setting", "set_trace", is_admin=True, takes_body=True),
    Route("GET", _TRACE, "trace", is_local=True, is_admin=True),
    Route("POST", _TRACE, "set_trace", is_admin=True, takes_body=True),
)
HEADERS: Sequence[str] = ()

_LEVELS = ("error", "warning", "info", "debug")
"""Each with those before it."""


class _Index(Struct):
    ready: bool = False


class _Verb(Struct):
    parameters: dict[str, Any] = {}


class _Logging(Struct, forbid_unknown_fields=True):
    """Logging: settings that are left out stay as they are."""

    log_file: str | None = None
    log_info: bool | None = None
    log_warning: bool | None = None
    log_error: bool | None = None
    log_verbose_level: Annotated[int, Meta(ge=0)] | None = None
    log_format: str | None = None


def decode(ask: Ask, wire: Wire) -> Call:
    """Read a request of a worker: there is none."""
    raise UnknownPath


def encode(ask: Ask, call: Call, result: Result, wire: Wire) -> Reply:
    """Write the answer of a worker: there is none."""
    raise row_error(call, result) if result.errors else UnknownPath()


def chunk(ask: Ask, call: Call, value: Any, wire: Wire) -> bytes:
    """Write an item of a stream: there is none."""
    return b""


def answer(ask: Ask, facts: Facts) -> Reply:
    """List the models, or show settings. Raises CallerError."""
    if ask.op == "index":
        body: Any = _index(facts, is_ready=_read(ask, _Index).ready)
    elif ask.op == "logging":
        body = _logging(facts.tuning)
    else:
        if ask.model:
            facts.description(ask.model, ask.version)
        body = _trace(facts.tuning)
    return Reply(200, msgspec.json.encode(body))


def order(ask: Ask, facts: Facts) -> Order:
    """Read what an operator wants. Raises CallerError."""
    if ask.op == "load":
        _check_parameters(_read(ask, _Verb).parameters, ())
        return Order("load", ask.model)
    if ask.op == "unload":
        # Repository: "unload_dependents"; no model depends on another one here.
        _check_parameters(_read(ask, _Verb).parameters, ("unload_dependents",))
        return Order("unload", ask.model)
    if ask.op == "set_logging":
        return Order("set", settings={"log_level": _level(_read(ask, _Logging), facts.tuning)})
    if ask.model:
        facts.description(ask.model, "")
        advice = "POST /v2/trace/setting changes those of all"
        raise Unsupported(what="a model's own trace setting", advice=advice)
    return Order("set", settings=_share(_read(ask, dict[str, Any]), facts.tuning))


def obeyed(ask: Ask, facts: Facts) -> Reply:
    """Say that it is done; of settings, all of them as they are now."""
    if ask.op in ("load", "unload"):
        return Reply(200, msgspec.json.encode({"name": ask.model, ask.op: True}))
    is_logging = ask.op == "set_logging"
    body = _logging(facts.tuning) if is_logging else _trace(facts.tuning)
    return Reply(200, msgspec.json.encode(body))


def _read(ask: Ask, kind: Any) -> Any:
    """A body that may be empty. Raises BadInput."""
    try:
        return msgspec.json.decode(ask.body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"{ask.op}: {told(e, ask.body)}") from e


# Repository


def _index(facts: Facts, *, is_ready: bool) -> list[dict[str, str]]:
    """Repository: 'If "ready" is true only models that are ready are returned'."""
    lines = []
    for name, versions in facts.descriptions.items():
        state = facts.state(name)
        if is_ready and state.state != "READY":
            continue
        version = (list(versions) or [""])[-1]
        lines.append({"name": name, "version": version, **state._asdict()})
    return lines


def _check_parameters(given: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := given.keys() - set(known):
        advice = "a model is loaded by what headway.yaml says"
        raise Unsupported(what=f"the parameter {min(unknown)[:80]!r}", advice=advice)


# Logging


def _logging(tuning: Tuning) -> dict[str, Any]:
    rank = _LEVELS.index(tuning.log_level)
    return {
        "log_file": "",
        "log_info": rank >= 2,
        "log_warning": rank >= 1,
        "log_error": True,
        "log_verbose_level": int(rank == 3),
        "log_format": "ISO8601",
    }


def _level(wanted: _Logging, tuning: Tuning) -> str:
    """The level that settings come to: the lowest that is asked for, and whatever is worse. Raises BadInput."""
    now = _logging(tuning)
    for name in ("log_file", "log_format", "log_error"):
        value = getattr(wanted, name)
        if value is not None and value != now[name]:
            raise BadInput(
                where=name, expected=f"{now[name]!r}: it can't change", found=repr(value)[:80]
            )
    given = {name: value for name in now if (value := getattr(wanted, name)) is not None}
    merged = {**now, **given}
    if given.get("log_info") is False and "log_verbose_level" not in given:
        merged["log_verbose_level"] = 0
    if merged["log_verbose_level"]:
        return "debug"
    return "info" if merged["log_info"] else "warning" if merged["log_warning"] else "error"


# Trace


def _trace(tuning: Tuning) -> dict[str, Any]:
    """Trace: values are strings; `trace_rate` is how many requests there are to one that is traced."""
    is_on = bool(tuning.traces and tuning.traces_share)
    return {
        "trace_file": "",
        "trace_level": ["TIMESTAMPS" if is_on else "OFF"],
        "trace_rate": str(round(1 / tuning.traces_share)) if tuning.traces_share else "0",
        "trace_count": "-1",
        "log_frequency": "0",
    }


def _share(wanted: Mapping[str, Any], tuning: Tuning) -> dict[str, float | None]:
    """The share of traced requests that settings come to; None: what is configured. Raises BadInput."""
    now = _trace(tuning)
    share: float | None = tuning.traces_share
    for name, value in wanted.items():
        if name not in now:
            raise BadInput(
                where="trace setting", expected=f"one of {', '.join(now)}", found=repr(name)[:80]
            )
        if name == "trace_rate":
            share = None if value is None else _rate(value)
        elif name != "trace_level" and value not in (None, now[name]):
            raise BadInput(
                where=name, expected=f"{now[name]!r}: it can't change", found=repr(value)[:80]
            )
    if "trace_level" in wanted:
        share = _leveled(wanted["trace_level"], share, tuning)
    return {"traces_share": share}


def _leveled(level: Any, share: float | None, tuning: Tuning) -> float | None:
    """Trace: levels are OFF, TIMESTAMPS and TENSORS; null clears a setting."""
    if level is None:
        return None
    levels = level if isinstance(level, list) else [level]
    if levels == ["OFF"]:
        return 0.0
    if levels != ["TIMESTAMPS"]:
        raise BadInput(
            where="trace_level", expected='["OFF"] or ["TIMESTAMPS"]', found=repr(level)[:80]
        )
    if not tuning.traces:
        expected = "a server that has an exporter (the setting `traces`)"
        raise BadInput(where="trace_level", expected=expected, found="none")
    return share or 1.0 if share is not None else None


def _rate(value: Any) -> float:
    text = str(value)
    if not (text.isascii() and text.isdigit()) or not 0 < len(text) <= 9 or not int(text):
        raise BadInput(
            where="trace_rate", expected="a whole number from 1 to 999999999", found=text[:40]
        )
    return 1 / int(text)
