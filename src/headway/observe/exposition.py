"""The counters as text that Prometheus reads (text format 0.0.4); it writes no cell.

Labels hold the names of models that are served and our own words, never what a request says.
"""

from collections.abc import Iterable, Mapping, Sequence

from headway.observe.metrics import Board, Histogram, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HISTOGRAMS = (
    ("request_seconds", "latency", "Time from the last byte of a request to its end."),
    ("queue_seconds", "queue", "Time that a request waited for a slot."),
    ("grab_requests", "grab", "Requests that a free slot took at once."),
    ("batch_rows", "batch", "Rows of one model call."),
)
_GAUGES = (
    ("queue_requests", "queue_depth", "Requests that wait for a slot."),
    ("queue_bytes", "queue_bytes", "Bytes of bodies that wait for a slot."),
    ("in_flight", "in_flight", "Requests that a worker has."),
    ("cache_bytes", "cache_bytes", "Bytes of answers that the gateways keep."),
    (
        "cache_waiting_requests",
        "cache_waiting",
        "Requests that wait for the answer of an equal one; they are in no queue.",
    ),
)
_COUNTERS = (
    ("decode_seconds_total", "decode_s", "Time spent on inflating, decoding and checking."),
    ("compute_seconds_total", "compute_s", "Time spent in the model."),
    ("encode_seconds_total", "encode_s", "Time spent on encoding answers."),
    (
        "worker_ejections_total",
        "ejections",
        "Times that a gateway sent a worker nothing for a while, because it failed.",
    ),
    ("memory_shortages_total", "shortages", "Model calls that memory did not hold."),
    ("cache_hits_total", "cache_hits", "Requests that a kept answer answered."),
    (
        "cache_shared_total",
        "cache_shared",
        "Requests that the answer of an equal one under way answered.",
    ),
    ("cache_misses_total", "cache_misses", "Requests that were looked up, and asked."),
    ("cache_evictions_total", "cache_evictions", "Kept answers that were pushed out by others."),
    ("cache_rows_total", "cache_rows", "Rows that a worker had the answers of."),
)
_CONNECTIONS = (
    ("connections", "open", "gauge", "Connections that are open."),
    ("connections_total", "accepted", "counter", "Connections that were accepted."),
    ("connections_refused_total", "refused", "counter", "Connections turned away at the limit."),
    (
        "connections_lost_total",
        "lost",
        "counter",
        "Connections that ended with a gateway that died.",
    ),
    ("gateway_restarts_total", "restarts", "counter", "Gateways that had to be started again."),
)


def exposition(
    board: Board,
    names: Sequence[str],
    *,
    ready: Mapping[str, bool] | None = None,
    version: str = "",
    started_s: float = 0.0,
) -> str:
    """Write all counters, summed over the processes.

    Args:
        board: the counters.
        names: the models' names, in the order of their places on the board.
        ready: by name, whether a worker can answer; left out, the line is too.
        version: of the server.
        started_s: when the server started, in seconds since the epoch; left out, the line is too.
    """
    totals = {f'model="{_escape(name)}"': board.totals(i) for i, name in enumerate(names)}
    lines = list(_requests(totals, board.totals(board.unrouted)))
    for name, key, text in _HISTOGRAMS:
        lines += _head(name, "histogram", text)
        for label, total in totals.items():
            lines += _histogram(name, label, total.histogram(key))
    lines += _derived(totals)
    for kind, rows in (("counter", _COUNTERS), ("gauge", _GAUGES)):
        for name, key, text in rows:
            lines += _head(name, kind, text)
            lines += [_line(name, label, total[key]) for label, total in totals.items()]
    lines += _head("worker_restarts_total", "counter", "Workers that had to be started again.")
    for label, total in totals.items():
        for cause, restarts in total.restarts().items():
            lines.append(_line("worker_restarts_total", f'{label},reason="{cause}"', restarts))
    connections = board.gateway_totals()
    for name, key, kind, text in _CONNECTIONS:
        lines += [*_head(name, kind, text), _line(name, "", connections[key])]
    lines += _server(ready, version, started_s)
    return "\n".join(lines) + "\n"


def _requests(totals: Mapping[str, Totals], unrouted: Totals) -> Iterable[str]:
    yield from _head(
        "requests_total", "counter", "Requests that ended, by outcome; no model: not routed."
    )
    for label, total in [*totals.items(), ('model=""', unrouted)]:
        for outcome, count in total.outcomes().items():
            yield _line("requests_total", f'{label},outcome="{outcome}"', count)


def _derived(totals: Mapping[str, Totals]) -> Iterable[str]:
    yield from _head("rows_total", "counter", "Rows that the model was called with.")
    for label, total in totals.items():
        yield _line("rows_total", label, total.histogram("batch")["sum"])
    yield from _head("executions_total", "counter", "Model calls.")
    for label, total in totals.items():
        yield _line("executions_total", label, sum(total.histogram("batch")["counts"]))


def _histogram(name: str, label: str, histogram: Histogram) -> Iterable[str]:
    seen = 0.0
    for bound, count in zip((*histogram["bounds"], "+Inf"), histogram["counts"], strict=True):
        seen += count
        yield _line(f"{name}_bucket", f'{label},le="{bound}"', seen)
    yield _line(f"{name}_sum", label, histogram["sum"])
    yield _line(f"{name}_count", label, seen)


def _server(ready: Mapping[str, bool] | None, version: str, started_s: float) -> Iterable[str]:
    if ready is not None:
        yield from _head("model_ready", "gauge", "Whether the model can be asked.")
        for name, is_ready in ready.items():
            yield _line("model_ready", f'model="{_escape(name)}"', float(is_ready))
    if started_s:
        yield from _head("start_time_seconds", "gauge", "When the server started, since the epoch.")
        yield _line("start_time_seconds", "", started_s)
    yield from _head("info", "gauge", "The server's version.")
    yield _line("info", f'version="{_escape(version)}"', 1.0)


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP headway_{name} {text}", f"# TYPE headway_{name} {kind}"]


def _line(name: str, labels: str, value: float) -> str:
    number = str(int(value)) if value.is_integer() else repr(value)
    return f"headway_{name}{{{labels}}} {number}" if labels else f"headway_{name} {number}"


def _escape(text: str) -> str:
    """Escape a label's value: backslash, line feed and quote, nothing else has a meaning."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
